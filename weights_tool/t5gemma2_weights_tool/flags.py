"""Commands with their examples, and the types of their arguments."""
import argparse

import numpy as np


class Parser(argparse.ArgumentParser):
    """Names the next step in every error."""

    def error(self, message: str):
        super().error(f"{message} ({self.prog} --help says more)")


def add_command(commands, name: str, what: str, *examples: str) -> argparse.ArgumentParser:
    """A command that does `what`; its --help ends with the examples, each what follows the command's name."""
    lines = "\n".join(f"  weights_tool {name} {example}" for example in examples)
    parser = commands.add_parser(name, help=what, description=what, epilog=f"examples:\n{lines}",
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and notes")
    return parser


def add_model(parser: argparse.ArgumentParser) -> None:
    """The checkpoint folder, with or without -m. (A type would be applied to the default of what is left out.)"""
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("model", nargs="?", default=argparse.SUPPRESS, metavar="MODEL", help="checkpoint folder")
    model.add_argument("-m", "--model", metavar="MODEL", help="the same, as the engine's programs have it")


def id_list(text: str) -> np.ndarray:
    """ "2,5,7" -> int64 [1, 3]; "" -> [1, 0]."""
    try:
        return np.array([[int(part) for part in text.split(",") if part.strip()]], np.int64).reshape(1, -1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected ids separated by commas, found {text!r}") from None


def utf8(text: str) -> str:
    """A text that was UTF-8 on the command line."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise argparse.ArgumentTypeError("expected UTF-8, found other bytes")
    return text


def count(text: str) -> int:
    """A whole number from 0."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, found {text!r}")
    return int(text)


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)


def whole_numbers(text: str) -> tuple[int, ...]:
    """ "1,2,8" -> (1, 2, 8)."""
    parts = text.split(",")
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected whole numbers from 1 separated by commas, found {text!r}")
    return tuple(map(int, parts))


def positive_real(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected a positive number, found {text!r}")
    return value
