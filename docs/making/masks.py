"""What each token sees, asked of the masks of mask.hpp themselves (masks.cpp)."""

from collections import defaultdict
from functools import cache

from repository import run
from sizes import PUBLISHED
from svg import Picture
from t5gemma2_weights_tool.markdown import table
from the_model import text_of

W, M, N = 4, 7, 6  # of the picture: window, decoder tokens, encoder tokens
CELL, GAP = 20, 6  # between cells; between X and H
COMPILE = """folder=$(mktemp -d) && trap 'rm -r "$folder"' EXIT && \
${CXX:-c++} -std=c++20 -O0 -I. $(pkg-config --cflags eigen3) docs/making/masks.cpp -o "$folder/masks\""""


def windows() -> list[int]:
    """The windows of the published models."""
    return sorted({text_of(name)["sliding_window"] for name in PUBLISHED})


@cache
def answers() -> dict[str, list[str]]:
    """What masks.cpp prints, by the first word of its lines; compiled once a run."""
    arguments = " ".join(str(number) for number in (W, M, N, *windows()))
    lines: dict[str, list[str]] = defaultdict(list)
    for line in run(f"{COMPILE} && \"$folder/masks\" {arguments}").splitlines():
        name, rest = line.split(" ", 1)
        lines[name].append(rest)
    return dict(lines)


def matrix(picture: Picture, x: float, y: float, name: str) -> None:
    """A mask: a row of cells for each query, the keys of X (or the encoder's own), then those of H."""
    own = "decoder" if name.startswith("merged") else "encoder"
    for query, row in enumerate(answers()[name]):
        for key, mark in enumerate(row):
            of_h = own == "decoder" and key >= M
            seen = "encoder-cell" if of_h else f"{own}-self" if key == query else f"{own}-cell"
            left = x + CELL * key + (GAP if of_h else 0)
            picture.rectangle(left, y + CELL * query, CELL - 2, CELL - 2, seen if mark == "x" else "faint", corner=2)


def panel(picture: Picture, x: float, y: float, name: str) -> None:
    """A mask with its words."""
    side, layer = name.split("_")
    picture.text(x, y + 12, "Encoder" if side == "encoder" else "Decoder: merged attention", "note strong")
    picture.text(x, y + 30, f"local layer, w = {W}" if layer == "local" else "global layer")
    top = y + 60
    keys = {0: f"X, {M} tokens", CELL * M + GAP: f"H, {N} tokens"} if side == "merged" else {0: f"{N} tokens"}
    for left, words in keys.items():
        picture.text(x + left, top - 8, words, "note small")
    matrix(picture, x, top, name)


def legend(picture: Picture, y: float) -> None:
    """What rows, columns and fills mean."""
    picture.text(8, y, "A row is a query, a column a key.")
    marks = (("self", "the query itself", 8), ("cell", "visible", 180), ("", "not visible", 300))
    for mark, words, x in marks:
        for i, side in enumerate(("encoder", "decoder")[: 2 if mark else 1]):
            kind = f"{side}-{mark}" if mark else "faint"
            picture.rectangle(x + CELL * i, y + 13, CELL - 2, CELL - 2, kind, corner=2)
        picture.text(x + CELL * (2 if mark else 1) + 5, y + 26, words)


def masks() -> str:
    """The four masks."""
    picture = Picture("What each token sees: the masks of the encoder and of merged attention", 484)
    for row, layer in enumerate(("local", "global")):
        panel(picture, 8, 4 + 214 * row, f"encoder_{layer}")
        panel(picture, 200, 4 + 214 * row, f"merged_{layer}")
    legend(picture, 444)
    return picture.svg()


def counts() -> str:
    """What a token in the middle of a long text sees in a local layer."""
    rows: list[list[str | int]] = []
    for w in windows():
        before, after, past, future, seen, all_of_h = (int(word) for word in answers()[str(w)][0].split())
        assert (before, after) == ((w + 1) // 2 - 1, w // 2)
        assert (past, future) == (w - 1, 0) and seen == all_of_h
        rows += [[w, "encoder", before, after, "-"], [w, "decoder", past, future, "all"]]
    return table(["w", "Layer of", "Before", "After", "Of H"], rows)


FIGURES = {"masks.svg": masks}
