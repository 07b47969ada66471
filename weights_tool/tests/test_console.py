"""Bars: on a terminal only, with the time left, gone at the end; nothing of the kind when quiet, and errors always."""
import re

import pytest
from pseudo_terminal import Terminal, bars, has_time_left, show

ITEMS = ("items", "caption", "-n", "4000")
RANDOM = ("random", "--preset", "tiny", "-o")


@pytest.mark.parametrize("columns", [20, 40, 200])
def test_a_bar_for_what_goes_elsewhere(columns, tmp_path):
    terminal = Terminal(*ITEMS, redirect=f">{tmp_path}/items", columns=columns)
    assert terminal.end() == 0
    draws = terminal.draws()
    assert bars(draws)["making"] and draws[-1] == "" and (tmp_path / "items").read_text().count("-> ") == 4000
    assert all(len(part) < columns and "\n" not in part for part in terminal.raw.split("\r"))
    assert columns < 200 or has_time_left(bars(draws)["making"], r"\d+/4000")


def test_no_bar_beside_text():
    terminal = Terminal("items", "dates", "-n", "9")
    assert terminal.end() == 0
    assert "making" not in terminal.raw and terminal.draws()[-1].count("-> ") == 9


def test_what_nobody_reads_ends_quietly():
    terminal = Terminal("items", "dates", "-n", "100000", "-q", redirect="| head -n 1; exit ${PIPESTATUS[0]}")
    assert terminal.end() == 141
    assert re.fullmatch("[^\r\n]+\r\n", terminal.raw)


def test_a_checkpoint_is_made(tmp_path):
    """Notes are what they are, below a bar that is gone."""
    draws = show(*RANDOM, tmp_path / "o", columns=200)
    assert bars(draws)["making"]
    assert re.fullmatch(r"\S+: \d+ tensors, [\d,]+ parameters, float32, seed 0", draws[-1])


def test_quiet(tmp_path):
    terminal = Terminal(*RANDOM, tmp_path / "o", "--quiet")
    assert terminal.end() == 0 and terminal.raw == ""
    terminal = Terminal(*RANDOM, tmp_path / "o", "-q")
    assert terminal.end() == 1
    assert re.fullmatch(r"weights_tool: .*--force, found files in it\r\n", terminal.raw)


@pytest.mark.parametrize("options", [{"redirect": "2>{}"}, {"environment": {"TERM": "dumb"}}])
def test_no_bar_without_a_terminal_for_it(options, tmp_path):
    if "redirect" in options:
        options = {"redirect": options["redirect"].format(tmp_path / "err")}
    terminal = Terminal(*RANDOM, tmp_path / "o", **options)
    assert terminal.end() == 0
    said = (tmp_path / "err").read_text() if "redirect" in options else terminal.raw.replace("\r\n", "\n")
    assert re.fullmatch(r"\S+: \d+ tensors, [\d,]+ parameters, float32, seed 0\n", said)
