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
    """A bar with the loss for each stage, and a note at each checkpoint."""
    draws = show("train", "--recipe", "smoke", "--stage", "language", "--workers", "1", "-o", tmp_path, columns=200)
    lines = bars(draws)["language"]
    assert has_time_left(lines, r"\d+/10") and re.search(r"step/s, loss \d\.\d{3}\]", lines[-1]), lines
    begun, *checkpoints = draws[-1].split("\n")
    assert begun.endswith("recipe smoke, seed 1, 1 worker")
    assert re.fullmatch(r"language: step 10 of 10, loss \d\.\d{3}", checkpoints[-1])


def test_evaluate():
    """One bar for all groups; the table stands alone in the end, below the notes."""
    draws = show("evaluate", POCKET, "-n", "4", "--tasks", "dates", columns=200)
    found = bars(draws)
    assert list(found) == ["loading", "answering"] and has_time_left(found["answering"], r"\d+/20")
    rows = draws[-1].split("\n")
    assert [re.match(r"\d of 5|task", row)[0] for row in rows[1:7]] == [*(f"{n} of 5" for n in range(1, 6)), "task"]
    assert len(rows) == 1 + 5 + 1 + 5 + 1
