"""Runs the programs for the tests. T5GEMMA2_PROGRAMS is their folder (default: build/bin); the model is pocket."""
import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(os.environ.get("T5GEMMA2_PROGRAMS", ROOT / "build/bin")).resolve()
SHAPES = ROOT / "examples/inputs/shapes.png"


def run(name: str, *arguments, text: str = "", **options) -> subprocess.CompletedProcess:
    """Runs a program with `text` on standard input."""
    return subprocess.run([PROGRAMS / f"t5gemma2-{name}", *map(str, arguments)], input=text, capture_output=True,
                          encoding="utf-8", timeout=300, **options)


def output(name: str, *arguments, text: str = "", **options) -> str:
    """The standard output of a program that succeeds and prints nothing on standard error."""
    done = run(name, "-q", *arguments, text=text, **options)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def refused(done: subprocess.CompletedProcess, code: int, message: str) -> None:
    """Asserts that there is one line on standard error, with `message` in it, and nothing on standard output."""
    assert done.returncode == code and done.stderr.count("\n") == 1 and message in done.stderr, done
    assert done.stdout == "", done


def answers(*arguments, lines: list[dict], code: int = 0) -> list[dict]:
    """The answers of generate --jsonl."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = run("generate", "-q", "--jsonl", *arguments, text=text)
    assert done.returncode == code, done
    return [json.loads(line) for line in done.stdout.splitlines()]
