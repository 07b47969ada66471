"""How the tests run the programs: T5GEMMA2_PROGRAMS is their folder (build/bin)."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(os.environ.get("T5GEMMA2_PROGRAMS", ROOT / "build/bin")).resolve()
TOKENIZER = ROOT / "tests/data/tokenizer/tokenizer.json"


def run(program: str, *arguments, text: str | None = None) -> subprocess.CompletedProcess:
    """The program's exit status and output; it has to be there."""
    command = [str(PROGRAMS / program), *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, encoding="utf-8", timeout=300)


def check(folder: Path) -> None:
    """t5gemma2-compare passes with its default tolerance, and has compared something."""
    result = run("t5gemma2-compare", folder, folder / "reference.safetensors")
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    compared = int(lines[0].split()[1])
    assert compared >= 10 and lines[0] == f"PASSED: {compared} compared, 0 over tolerance, 0 missing"
    assert any(line.startswith("generated: all ") for line in lines)


def tokenize(model: Path, lines: list, *arguments) -> list:
    """What t5gemma2-tokenize makes of each text (--decode: list of ids)."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    result = run("t5gemma2-tokenize", "-m", model, "--jsonl", *arguments, text=text)
    assert result.returncode == 0, result.stderr
    made = [json.loads(line) for line in result.stdout.split("\n")[:-1]]
    assert len(made) == len(lines)
    return made
