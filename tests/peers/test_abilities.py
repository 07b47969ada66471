"""Every cell of the table of docs/abilities.md is tried, and says what is found.

Needs weights_tool with its [peers] extra, peft, sentence-transformers, a C++ compiler, and the programs:
T5GEMMA2_PROGRAMS is their folder (build/bin).
"""
import re
from importlib.metadata import version

import ability_of_ctranslate2  # noqa: F401: the modules fill TRIES
import ability_of_ctranslate2_folders  # noqa: F401
import ability_of_llama  # noqa: F401
import ability_of_llama_files  # noqa: F401
import ability_of_ours  # noqa: F401
import ability_of_ours_folders  # noqa: F401
import ability_of_transformers  # noqa: F401
import ability_of_transformers_folders  # noqa: F401
import pytest
from abilities import COLUMNS, TRIES, near, near_vectors, page, refused, rounded, table

CELL = re.compile(r"(yes|no|wrong)(, (short|decoder))?( \((\d+)\))?")


@pytest.mark.parametrize("what, column", TRIES)
def test_every_cell(what, column):
    assert TRIES[what, column]() == table()[1][what, column].split(",")[0].split()[0]


def test_every_cell_has_a_try_and_every_try_a_cell():
    assert set(table()[1]) == set(TRIES)


def test_cells_are_short_and_their_notes_are_there():
    matches = [CELL.fullmatch(cell) for cell in table()[1].values()]
    assert all(matches), list(table()[1].values())
    used = [int(match[5]) for match in matches if match[5]]
    notes = [int(number) for number in re.findall(r"^(\d+)\. ", page(), re.M)]
    assert notes == list(range(1, len(notes) + 1)) == sorted(set(used))
    assert list(dict.fromkeys(used)) == notes, "numbered as they come"


def test_versions_in_the_heading_are_those_that_were_tried():
    heading = table()[0]
    assert [cell.split()[0].rstrip(",") for cell in heading[1:]] == list(COLUMNS)
    packages = [["transformers", "peft", "sentence-transformers"], ["ctranslate2"], ["xllamacpp"], []]
    for cell, names in zip(heading[1:], packages, strict=True):
        found = re.findall(r"`([\d.]+)`", cell)
        expected = [version(name) for name in names]
        assert found == (expected if names != ["xllamacpp"] else [expected[0].rpartition(".")[2], *expected])


def test_what_a_try_says_of_other_numbers():
    """Also of those that are none."""
    for compare in near, near_vectors:
        assert [compare([x, 1], [0, 1]) for x in (0, 0.1, float("nan"))] == ["yes", "wrong", "wrong"]
    with pytest.raises(AssertionError, match="nothing has been rounded"):
        rounded([1, 1], [1, 1], 1)
    with pytest.raises(AssertionError, match="expected requires torchao, found 'another'"):
        refused(lambda: {}["another"], "requires torchao")
    assert refused(lambda: None, "requires torchao") == "yes"
