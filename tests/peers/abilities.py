"""The table of docs/abilities.md, and what its cells are tried with: a try says yes, no or wrong, as the cell does."""
import atexit
import re
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "programs"))
from running import ROOT  # noqa: E402

PAGE = ROOT / "docs/abilities.md"
COLUMNS = ("transformers", "CTranslate2", "llama.cpp", "here")
NATS = 0.01      # log-probabilities that are no farther apart are the same
VECTORS = 0.001  # of the largest number: the same for hidden states
ROUNDED = 0.003  # nats, on average: where numbers are rounded to fewer bits, they are farther off than this
TRIES: dict[tuple[str, str], object] = {}


@cache
def page() -> str:
    return PAGE.read_text()


@cache
def table() -> tuple[list[str], dict[tuple[str, str], str]]:
    """The heading row, and {(what, column): cell}."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page().splitlines() if line.startswith("|")]
    heading, _, *body = rows
    return heading, {(row[0], column): cell for row in body for column, cell in zip(COLUMNS, row[1:], strict=True)}


def tries(column: str, *rows: str):
    """Makes a function the try of these cells."""
    def register(function):
        once = cache(function)
        for row in rows:
            assert (row, column) not in TRIES, f"{row}, {column}: tried twice"
            TRIES[row, column] = once
        return function
    return register


@cache
def scratch() -> Path:
    """A folder for all that is converted."""
    folder = Path(tempfile.mkdtemp(prefix="abilities-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


# ---- what a try says ----


def same(found, expected) -> str:
    """Texts or ids."""
    return "yes" if found == expected else "wrong"


def distance(found, expected) -> float:
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape and expected.size, (found.shape, expected.shape)
    return float(np.abs(found - expected).max())


def near(found, expected) -> str:
    """Log-probabilities."""
    return "yes" if distance(found, expected) <= NATS else "wrong"  # wrong for NaN


def near_vectors(found, expected) -> str:
    return "yes" if distance(found, expected) <= VECTORS * np.abs(np.asarray(expected)).max() else "wrong"


def rounded(found, expected, most: float) -> str:
    """Log-probabilities of a model whose numbers have been rounded: off, but by no more than `most` nats on average."""
    mean = float(np.abs(np.asarray(found) - np.asarray(expected)).mean())
    assert mean > ROUNDED, f"{mean} nats: nothing has been rounded"
    return "yes" if mean <= most else "wrong"


def on_the_page(message: str) -> str:
    assert message in " ".join(page().split()), f"{PAGE.name} does not say {message}"
    return message


def refused(call, message: str) -> str:
    """No, with this message, which stands on the page."""
    try:
        call()
    except Exception as error:  # any kind, as the message is compared
        assert on_the_page(message) in str(error), f"expected {message}, found {error}"
        return "no"
    return "yes"


def absent(names, *words: str) -> str:
    """No where none of the names has one of the words in it."""
    assert names
    return "yes" if any(re.search("|".join(words), name, re.I) for name in names) else "no"
