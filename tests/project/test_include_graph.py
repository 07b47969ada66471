"""Headers include only what stands above them in the reading order; and each rule is seen broken in a copy.

Run: pytest tests/project
"""
import shutil

import pytest
from include_graph import ROOT, draw, errors, read_graph


def test_every_header_is_listed_and_includes_only_headers_above_it():
    graph = read_graph(ROOT / "t5gemma2")
    assert errors(graph) == [], "\n" + draw(graph)


@pytest.mark.parametrize("header, line, expected", [
    ("tensor.hpp", '#include "linear.hpp"', ["circle: ", "tensor.hpp: includes linear.hpp, which stands below it"]),
    ("error.hpp", '#  include "tensor.hpp"', ["error.hpp: includes tensor.hpp, which stands below it"]),
    ("rms_norm.hpp", "#include <t5gemma2/rope.hpp>", ["rms_norm.hpp: includes rope.hpp, which stands below it"]),
    ("kernels/functions.hpp", '#include "../trace.hpp"', ["includes trace.hpp, but kernels stands below paper"]),
    ("io/mapped_file.hpp", '#include "../trace.hpp"', ["but io stands below paper"]),
    ("tokenizer/utf8.hpp", '#include "../trace.hpp"', ["but tokenizer stands below paper"]),
    ("image/pixels.hpp", '#include "../trace.hpp"', ["but image stands below paper"]),
    ("checkpoint/hub.hpp", '#include "../trace.hpp"', ["but checkpoint stands below paper"]),
    ("progress.hpp", '#include "io/atomic_file.hpp"', ["but ground stands below io"]),
    ("fresh.hpp", "#pragma once", ["t5gemma2.hpp: fresh.hpp is missing from the list"]),
    ("kernels/fresh.hpp", "#pragma once", ["t5gemma2.hpp: kernels/fresh.hpp is missing from the list"]),
    ("t5gemma2.hpp", '#include "rope.hpp"', ["t5gemma2.hpp: rope.hpp is listed 2 times"]),
])
def test_a_broken_rule_is_found(tmp_path, header, line, expected):
    engine = tmp_path / "t5gemma2"
    shutil.copytree(ROOT / "t5gemma2", engine)
    with (engine / header).open("a") as file:
        file.write(line + "\n")
    found = errors(read_graph(engine))
    for part in expected:
        assert any(part in error for error in found), found


def test_an_include_of_no_file_is_refused(tmp_path):
    (tmp_path / "t5gemma2.hpp").write_text('#include "gone.hpp"\n')
    with pytest.raises(ValueError, match="gone.hpp"):
        read_graph(tmp_path)
