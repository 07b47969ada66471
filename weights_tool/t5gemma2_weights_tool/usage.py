"""Reading a command line. An unknown command or flag is refused first, with the nearest that there is."""
import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches


def parse(parser: argparse.ArgumentParser, commands: Mapping[str, argparse.ArgumentParser],
          words: Sequence[str]) -> argparse.Namespace:
    """Ends with exit status 2 at wrong usage."""
    if words and not words[0].startswith("-"):
        if words[0] not in commands:
            parser.error(f"unknown command {words[0]}{nearest(words[0], commands)}")
        refuse_unknown_flags(commands[words[0]], words[1:])
    return parser.parse_args(words)


def refuse_unknown_flags(command: argparse.ArgumentParser, words: Sequence[str]) -> None:
    known = command._option_string_actions
    for word in words:
        if word == "--":
            return
        flag = word.partition("=")[0]
        if looks_like_flag(word) and word[:2] not in known and not any(name.startswith(flag) for name in known):
            command.error(f"unknown flag {flag}{nearest(flag, known)}")


def looks_like_flag(word: str) -> bool:
    """As argparse sees it: neither a lone -, nor a negative number, nor words."""
    return word.startswith("-") and word != "-" and " " not in word and not re.fullmatch(r"-[\d.]+", word)


def nearest(word: str, known: Iterable[str]) -> str:
    found = get_close_matches(word, known, n=1)
    return f"; the nearest is {found[0]}" if found else ""
