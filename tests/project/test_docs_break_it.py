"""docs/break_it.py, without a compiler: its mutations fit the headers, docs/break_it.md shows them as they are."""
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "docs"))
import break_it  # noqa: E402


def page() -> str:
    return break_it.PAGE.read_text()


def test_the_page_shows_every_mutation_as_it_is_now():
    _, sections, _ = break_it.parts(page())
    assert len(sections) == len(break_it.MUTATIONS)
    for number, (section, mutation) in enumerate(zip(sections, break_it.MUTATIONS), 1):
        assert section.startswith(f"### {number}. {mutation.title}\n")
        assert "\n".join(["```diff", *break_it.diff(mutation), "```"]) in section
        assert " ".join(f"[{mutation.test}]. {mutation.matters}".split()) in " ".join(section.split())


def test_every_test_that_must_fail_is_there():
    for mutation in break_it.MUTATIONS:
        assert f'"{mutation.test}"' in (break_it.ROOT / "tests" / mutation.tests).read_text().replace('"\n          "', "")


def test_a_page_without_its_sections_is_found(monkeypatch, tmp_path):
    before, _, after = break_it.parts(page())
    monkeypatch.setattr(break_it, "PAGE", tmp_path / "break_it.md")
    monkeypatch.setattr(break_it, "sections", lambda some: [])
    monkeypatch.setattr(sys, "argv", ["break_it.py", "--check", "--some", "1"])
    break_it.PAGE.write_text(before + after)
    with pytest.raises(SystemExit, match="0 mutations, the list has"):
        break_it.main()
    break_it.PAGE.write_text(before)
    with pytest.raises(SystemExit, match=f"expected {break_it.BEGIN} and {break_it.END}"):
        break_it.main()


def test_a_compiler_that_is_not_there_is_named():
    with pytest.raises(SystemExit, match=r"docs/break_it.py: no-such-compiler: No such file"):
        break_it.must(["no-such-compiler"])
