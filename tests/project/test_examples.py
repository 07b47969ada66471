"""What the examples print. They are built with the tests, in build/bin (T5GEMMA2_PROGRAMS).

Run: pytest tests/project
"""
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(os.environ.get("T5GEMMA2_PROGRAMS", ROOT / "build/bin")).resolve()
SHAPES = ROOT / "examples/inputs/shapes.png"


def run(name: str, *arguments) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    command = [PROGRAMS / f"example-{name}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def test_text():
    assert run("text") == (0, "thirty-nine thousand six hundred twenty-nine\n11 ids\n", "")


def test_image():
    assert run("image", SHAPES, "what colour is the square?") == (0, "purple\n", "")


@pytest.mark.parametrize("arguments, status, expected", [
    ((), 2, "usage: example-image IMAGE QUESTION"),
    (("gone.png", "describe"), 1, "gone.png: "),
    ((SHAPES, "<start_of_image> <start_of_image>"), 1, "prompt: "),
])
def test_image_refuses_what_it_cannot_use(arguments, status, expected):
    found, output, complaint = run("image", *arguments)
    assert (found, output, complaint.count("\n")) == (status, "", 1) and complaint.startswith(expected), complaint


def test_merged_attention():
    status, output, complaint = run("merged_attention")
    shown = re.fullmatch(r"O \[5, 32\], largest ([0-9.]+)\n", output)
    assert (status, complaint) == (0, "") and shown and 1 < float(shown[1]) < 100, output
