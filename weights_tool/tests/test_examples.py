"""The examples that end each command's --help do what they say; those that take hours or another's files are read."""
import shlex
from pathlib import Path

import pytest

from t5gemma2_weights_tool.cli import main, make_parser

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH, WITH_TORCH = {"random", "items", "tokenizer"}, {"record", "fixtures", "evaluate", "answers"}


def examples() -> list[list[str]]:
    """All of them, as words after the program's name."""
    found = []
    for name, command in make_parser()[1].items():
        lines = command.format_help().partition("\nexamples:\n")[2].splitlines()
        assert 1 <= len(lines) <= 2 and all(line.startswith(f"  weights_tool {name} ") for line in lines), name
        found += [shlex.split(line)[1:] for line in lines]
    return found


def runs(words: list[str]) -> bool:
    """Within seconds, from what the repository holds."""
    return words[0] in WITHOUT_TORCH | WITH_TORCH and "--engine" not in words and "tests/data" not in words


@pytest.mark.parametrize("words", [
    pytest.param(words, id=" ".join(words), marks=[pytest.mark.torch] if words[0] in WITH_TORCH else [])
    for words in examples() if runs(words)])
def test_example(words, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0
    for flag in {"-o", "--images"} & set(words):
        assert (tmp_path / words[words.index(flag) + 1]).exists()


def test_all_examples_are_read():
    parser, _ = make_parser()
    assert len(examples()) >= 11
    for words in examples():
        assert parser.parse_args(words).command == words[0]
