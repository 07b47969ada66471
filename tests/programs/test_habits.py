"""docs/habits.md, row by row: command lines of llama.cpp, ollama and transformers do what the page says.

Run: pytest tests/programs
"""
import os
import re
import subprocess

import pytest
from running import PROGRAMS, ROOT

PAGE = (ROOT / "docs/habits.md").read_text()
ROWS = re.findall(r"^\| `(.*)` \| `(.*)` \| (.*) \|$", PAGE, re.M)
COMMANDS = [command.replace(r"\|", "|") for _, command, _ in ROWS]


def test_the_table_is_whole():
    assert len(ROWS) == len(re.findall(r"^\| `", PAGE, re.M)) >= 40
    assert len(set(COMMANDS)) == len(COMMANDS)


@pytest.mark.parametrize("command, said", list(zip(COMMANDS, [row[2] for row in ROWS], strict=True)), ids=COMMANDS)
def test_a_row(command, said, tmp_path):
    """The third column: prints `TEXT`; notes `TEXT`; or is refused (STATUS): `TEXT`, with ... for any text and / for a new line."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "model.gguf").touch()
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HF_HUB_CACHE": str(tmp_path)})
    refusal = re.fullmatch(r"is refused \((\d)\): `(.*)`", said)
    if refusal:
        error = re.fullmatch(r"t5gemma2\S*: error: (.*?)(?: \(--help lists the \w+\))?\n", done.stderr)
        assert done.returncode == int(refusal[1]) and done.stdout == "" and same(refusal[2], error[1]), done
        return
    prints, note = re.fullmatch(r"prints `(.*?)`(?:, notes `(.*)`)?", said).groups()
    assert done.returncode == 0 and same(prints, done.stdout), done
    assert same(note or "", "\n".join(re.findall(r"^note: (.*)$", done.stderr, re.M))), done.stderr


def same(expected: str, found: str) -> bool:
    pattern = re.escape(expected).replace(r"\.\.\.", ".*")
    return re.fullmatch(pattern, " / ".join(found.strip().splitlines())) is not None
