"""Runs the programs that the module is compared with. T5GEMMA2_PROGRAMS is their folder (default: build/bin)."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(os.environ.get("T5GEMMA2_PROGRAMS", ROOT / "build/bin")).resolve()
DATA = ROOT / "tests/data"
POCKET = ROOT / "examples/pocket"
SHAPES = ROOT / "examples/inputs/shapes.png"


def run(name: str, *arguments, text: str = "") -> subprocess.CompletedProcess:
    """A program with `text` on standard input."""
    return subprocess.run([PROGRAMS / f"t5gemma2-{name}", "-q", *map(str, arguments)], input=text, capture_output=True,
                          encoding="utf-8", timeout=300)


def output(name: str, *arguments, text: str = "") -> str:
    """The standard output of a program that succeeds."""
    done = run(name, *arguments, text=text)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def lines(name: str, *arguments, text: str = "") -> list[dict]:
    """The JSON lines that a program writes."""
    return [json.loads(line) for line in output(name, *arguments, text=text).splitlines()]


def joined(ids) -> str:
    """Ids as the programs take them."""
    return ",".join(map(str, ids))
