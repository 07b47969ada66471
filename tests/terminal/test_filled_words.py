"""generate --fill on a terminal: the filled prompt, with the fillings underlined.

Needs pexpect, pyte and the built programs, see test_terminal.py. Run: pytest tests/terminal
"""
import re

import pytest
from test_terminal import TIMINGS, Terminal, show, text_of

GAPS = ("-m", "pocket", "--fill", "-p", "monday tuesday ___ friday ___ sunday")
FILLED = "monday tuesday wednesday thursday friday saturday sunday"
UNDERLINED = "wednesday thursday" + "saturday"


def underlined(screen) -> str:
    """The underlined characters, blanks between words included."""
    cells = (screen.buffer[y][x] for y in range(screen.lines) for x in range(screen.columns))
    return "".join(cell.data for cell in cells if cell.underscore)


def test_filled_words_are_underlined():
    screen = show("generate", *GAPS).screen()
    lines = text_of(screen).split("\n")
    assert lines[0] == FILLED and TIMINGS.fullmatch(lines[1])
    assert underlined(screen) == UNDERLINED


def test_each_of_several_texts_is_underlined():
    screen = show("generate", "-q", *GAPS, "--num-beams", "2", "--num-return-sequences", "2").screen()
    assert text_of(screen).split("\n")[0] == FILLED and underlined(screen).startswith(UNDERLINED)


def test_a_gap_left_out_is_not_underlined():
    terminal = show("generate", "-q", *GAPS, "-n", "0")
    assert terminal.shown() == GAPS[-1] and "\x1b" not in terminal.raw


@pytest.mark.parametrize("term, no_colour", [("dumb", ""), ("", ""), ("xterm", "1")])
def test_plain_text_where_nobody_wants_more(term, no_colour, monkeypatch):
    monkeypatch.setenv("NO_COLOR", no_colour)
    terminal = show("generate", "-q", *GAPS, term=term)
    assert terminal.shown() == FILLED and "\x1b[4m" not in terminal.raw


def test_plain_text_in_a_file(tmp_path):
    show("generate", *GAPS, redirect=f">{tmp_path}/text")
    assert (tmp_path / "text").read_text() == FILLED


def test_an_empty_no_color_does_not_count(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "")
    assert underlined(show("generate", "-q", *GAPS).screen()) == UNDERLINED


def test_a_bar_says_how_far_it_is():
    drawn = "\n".join(show("generate", *GAPS, "-n", "30").draws())
    assert re.search(r"^writing 6\b", drawn, re.M) and "reading" not in drawn


def test_interrupt_fills_with_what_is_there():
    terminal = Terminal("generate", *GAPS, "--ignore-eos", "-n", "1000000")
    terminal.until(r"writing \d*9\b")
    terminal.interrupt()
    assert terminal.end() == 130
    assert "\nmonday tuesday wednesday thursday friday saturday" in "\n" + terminal.shown()
