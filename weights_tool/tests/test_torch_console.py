"""Bars of commands that compute for a while."""
import re

import pytest
from pseudo_terminal import Terminal, bars, has_time_left, show

pytestmark = pytest.mark.torch

POCKET, SHAPES = "examples/pocket", "examples/inputs/shapes.png"


def test_record(tmp_path):
    """Layers, of the vision tower too, and tokens."""
    output = tmp_path / "r.safetensors"
    draws = show("record", POCKET, "--image", SHAPES, "--input-length", "900", "--generate", "40", "--light", "-o", output,
                 columns=200)
    found = bars(draws)
    assert list(found) == ["loading", "forward pass", "generating", "checking"] and " 0/215 " in found["loading"][0]
    for what, count in (("forward pass", r"\d+/15"), ("generating", r"\d+/40"), ("checking", r"\d+/15")):
        assert has_time_left(found[what], count), found[what]
    loaded, margin, written = draws[-1].split("\n")
    assert loaded == "examples/pocket: 218 tensors loaded, none missing" and "smallest greedy margin" in margin
    assert written.startswith(f"{output}: ") and written.endswith(" tensors")


def test_interrupt_takes_the_bar_away(tmp_path):
    terminal = Terminal("record", POCKET, "--generate", "100000", "-o", tmp_path / "r.safetensors", "--light")
    terminal.until("forward pass: .* 0/12 .*generating: ")
    terminal.child.sendintr()
    assert terminal.end() == 130
    assert terminal.draws()[-1] == "examples/pocket: 218 tensors loaded, none missing"
    assert not (tmp_path / "r.safetensors").exists()


def test_train(tmp_path):
    """A bar with the loss for each stage, a note at each checkpoint, and no bar of the libraries."""
    terminal = Terminal("train", "--recipe", "smoke", "--stage", "ul2", "--workers", "1", "-o", tmp_path, columns=200)
    terminal.until(r"ul2: +[1-9]0%")
    terminal.child.sendintr()
    assert terminal.end() == 1
    draws = terminal.draws()
    found = bars(draws)
    assert list(found) == ["language", "making", "loading", "ul2"] and has_time_left(found["language"], r"\d+/10")
    assert re.search(r"step/s, loss \d\.\d{3}\]", found["ul2"][-1]), found["ul2"]
    notes = [r".*: recipe smoke, seed 1, 1 worker", r"language: step 10 of 10, loss \d\.\d{3}",
             r".*/adapted: 160 tensors, .*", "stopping after this step; once more to stop at once",
             r"ul2: step \d of 10, loss \d\.\d{3}", r"weights_tool: ul2: stopped after \d of 10 steps; .*"]
    assert re.fullmatch("\n".join(notes), draws[-1]), draws[-1]


def test_evaluate():
    """One bar for all groups; the table stands alone in the end, below the notes."""
    draws = show("evaluate", POCKET, "-n", "4", "--tasks", "dates", columns=200)
    found = bars(draws)
    assert list(found) == ["loading", "answering"] and has_time_left(found["answering"], r"\d+/20")
    rows = draws[-1].split("\n")
    assert [re.match(r"\d of 5|task", row)[0] for row in rows[1:7]] == [*(f"{n} of 5" for n in range(1, 6)), "task"]
    assert len(rows) == 1 + 5 + 1 + 5 + 1
