"""The paper's Figure 2, drawn with this repository's functions on the boxes."""

import re

from repository import ROOT
from svg import LINE, Picture

LEFT, RIGHT = 115, 365  # the middles of the encoder and the decoder
IMAGE, IDS = 63, 180  # of the image's way, of the encoder's ids
LAYER = 262  # where the layers begin
STEP = 172  # from one sub-layer to the next


def check_functions(svg: str) -> None:
    """Fails unless all code in the picture names functions of t5gemma2/."""
    headers = "\n".join(path.read_text() for path in sorted((ROOT / "t5gemma2").rglob("*.hpp")))
    for name in re.findall(r'<tspan class="code">(.*?)</tspan>', svg):
        if not re.search(rf"^(inline )?[\w:<>]+ {name}\(", headers, re.MULTILINE):
            raise ValueError(f"architecture.svg: expected functions of t5gemma2/, found {name}")


def down(picture: Picture, x: float, y: float, end: float) -> None:
    """An arrow down."""
    picture.line((x, y), (x, end))


def inputs(picture: Picture) -> None:
    """Images and ids become the rows that the layers get."""
    picture.text(IMAGE, 16, "image", "note strong", "middle")
    down(picture, IMAGE, 22, 36)
    for i, function in enumerate(("pixel_values", "siglip", "average_pool", "rms_norm", "matmul")):
        picture.box(8, 36 + 36 * i, 110, 24, [f"`{function}`"], "encoder")
        down(picture, IMAGE, 60 + 36 * i, 72 + 36 * i if i < 4 else 218)
    picture.text(IDS, 122, "encoder ids", "note strong", "middle")
    picture.text(RIGHT, 122, "decoder ids", "note strong", "middle")
    picture.box(134, 146, 338, 42, ["`embed`", "rows of E × √d, the same on both sides"], "table")
    for x, end in ((IDS, 218), (RIGHT, LAYER)):
        down(picture, x, 128, 146)
        down(picture, x, 188, end)
    picture.box(8, 218, 214, 24, ["`place_image_features`"], "encoder")
    down(picture, LEFT, 242, LAYER)


def sub_layer(picture: Picture, x: int, y: int, words: list[str], kind: str, around: int) -> None:
    """Norm, sub-layer and norm, added to what goes around them at `around`."""
    edge = 8 if around > x else -8
    picture.line((x, y - 11), (around, y - 11), (around, y + 140), (x + edge, y + 140))
    picture.box(x - 80, y, 160, 24, ["`rms_norm`"])
    down(picture, x, y + 24, y + 36)
    picture.box(x - 80, y + 36, 160, 42, words, kind)
    down(picture, x, y + 78, y + 90)
    picture.box(x - 80, y + 90, 160, 24, ["`rms_norm`"])
    down(picture, x, y + 114, y + 132)
    picture.sign(x, y + 140, "+")


def layers(picture: Picture, x: int, attention: list[str], kind: str, around: int) -> None:
    """A layer of one side, and the norm after the last."""
    y = LAYER + 44
    picture.rectangle(x - 107, LAYER, 214, 2 * STEP + 36, "frame", corner=8)
    picture.text(x, LAYER + 18, "each `transformer_layer`", "note", "middle")
    down(picture, x, LAYER + 23, y)
    sub_layer(picture, x, y, attention, kind, around)
    down(picture, x, y + 148, y + STEP)
    sub_layer(picture, x, y + STEP, ["`feed_forward`", "GeGLU"], kind, around)
    down(picture, x, y + STEP + 148, LAYER + 2 * STEP + 54)
    picture.box(x - 80, LAYER + 2 * STEP + 54, 160, 24, ["`rms_norm`"])


def outputs(picture: Picture, y: int) -> None:
    """H to every decoder layer; logits, and the next id."""
    attention = LAYER + 44 + 57
    picture.line((LEFT + 80, y + 12), (240, y + 12), (240, attention), (RIGHT - 80, attention))
    picture.text(206, y + 6, "H", "note strong")
    for i, line in enumerate(("The encoder output H goes to", "merged attention in every", "layer of the decoder.")):
        picture.text(8, y + 48 + LINE * i, line)
    down(picture, RIGHT, y + 24, y + 38)
    picture.box(RIGHT - 107, y + 38, 214, 42, ["`logits_of`", "× Eᵀ"], "table")
    down(picture, RIGHT, y + 80, y + 94)
    picture.box(RIGHT - 107, y + 94, 214, 42, ["`most_likely`, or softmax", "and `draw_token`"])


def architecture() -> str:
    """Encoder and decoder side by side."""
    picture = Picture("The architecture of T5Gemma 2, with the functions of this repository", LAYER + 2 * STEP + 194)
    legend = {"encoder": "the encoder's side", "decoder": "the decoder's side", "table": "E, one matrix for three uses"}
    for i, (kind, words) in enumerate(legend.items()):
        picture.rectangle(224, 6 + 24 * i, 22, 14, kind, corner=3)
        picture.text(254, 18 + 24 * i, words)
    inputs(picture)
    layers(picture, LEFT, ["`self_attention`", "Q, K, V of X"], "encoder", 22)
    layers(picture, RIGHT, ["`merged_attention`", "Q of X; K, V of [X; H]"], "decoder", 458)
    outputs(picture, LAYER + 2 * STEP + 54)
    svg = picture.svg()
    check_functions(svg)
    return svg


FIGURES = {"architecture.svg": architecture}
