"""The way of an image into the encoder's input, in a picture and tables, from the presets."""

from math import isqrt
from typing import Any

from sizes import PUBLISHED, config_of
from svg import LINE, Picture, number
from t5gemma2_weights_tool.markdown import table
from the_model import text_of

VISION_SIZES = ("image_size", "patch_size", "num_channels", "hidden_size")
SQUARE = 104  # the image in its picture


def grid(picture: Picture, x: float, y: float, size: float, cells: int, kind: str = "grid") -> None:
    """The lines of cells x cells in a square."""
    steps = [number(size / cells * i) for i in range(1, cells)]
    lines = "".join(f"M0 {step}h{size}M{step} 0v{size}" for step in steps)
    picture.elements.append(f'<path class="{kind}" transform="translate({x} {y})" stroke-width="0.5" d="{lines}"/>')


def landscape(picture: Picture, x: int, y: int) -> None:
    """An image: a hill under the sun."""
    picture.rectangle(x, y, SQUARE, SQUARE, "decoder")
    picture.elements.append(f'<circle class="encoder-cell" cx="{x + 76}" cy="{y + 28}" r="13"/>')
    picture.elements.append(f'<path class="table" d="M{x} {y + SQUARE}v-30l36-34l68 50v14z"/>')


def squares(picture: Picture, y: int, encoder: dict[str, Any]) -> None:
    """The image, its patches, and the means of blocks of patches."""
    vision, tokens = encoder["vision_config"], isqrt(encoder["mm_tokens_per_image"])
    side = vision["image_size"] // vision["patch_size"]
    assert tokens**2 == encoder["mm_tokens_per_image"] and side % tokens == 0
    for x in (8, 188):
        landscape(picture, x, y)
    picture.rectangle(368, y, SQUARE, SQUARE, "encoder")
    grid(picture, 188, y, SQUARE, side)
    grid(picture, 368, y, SQUARE, tokens, "encoder-line")
    for x in (188, 368):  # one mean, and the patches that it is made of
        cell = SQUARE / tokens
        picture.rectangle(x + 4 * cell, y + 8 * cell, cell, cell, "encoder-self")
    for x, above, below in ((150, "cut", ""), (330, "SigLIP", f"{side // tokens}×{side // tokens} mean")):
        picture.line((x - 33, y + 52), (x + 33, y + 52))
        picture.text(x, y + 44, above, "note small", "middle")
        picture.text(x, y + 70, below, "note small", "middle")


def captions(picture: Picture, y: int, encoder: dict[str, Any]) -> None:
    """What the three squares are, and their shapes."""
    tokens = encoder["mm_tokens_per_image"]
    pixels, patch, colours, hidden = (encoder["vision_config"][key] for key in VISION_SIZES)
    side, one = pixels // patch, isqrt(tokens)
    image = ("image", f"{pixels} × {pixels} pixels", f"[{colours}, {pixels}, {pixels}]")
    patches = (f"{side} × {side} patches", f"of {patch} × {patch} pixels", f"[{side**2}, {colours * patch**2}]",
               f"after SigLIP [{side**2}, {hidden}]")
    means = (f"{one} × {one} means", f"of {side // one} × {side // one} each", f"[{tokens}, {hidden}]")
    for x, words in zip((60, 240, 420), (image, patches, means), strict=True):
        for i, line in enumerate(words):
            picture.text(x, y + LINE * i, line, "note" if i else "note strong", "middle")


def places(picture: Picture, y: int, encoder: dict[str, Any]) -> None:
    """A prompt's tokens with an image among them."""
    begin, image, end = (encoder[f"{name}_token_index"] for name in ("boi", "image", "eoi"))
    cells = [("text", "table", 58), (str(begin), "table", 68)]
    cells += [("", "encoder", 20)] * 8 + [("…", "encoder", 24)] + [("", "encoder", 20)]
    cells += [(str(end), "box", 68), ("text", "table", 66)]
    x = 8
    for words, kind, width in cells:
        picture.box(x, y, width - 4, 28, [words] if words else [], kind)
        x += width
    tokens = encoder["mm_tokens_per_image"]
    picture.text(8, y + 46, "rows of E × √d", "note small")
    picture.text(232, y + 46, f"{tokens} × token {image}", "note small", "middle")
    picture.text(368, y + 46, "a vector of its own", "note small", "middle")


def image_strip() -> str:
    """The way of an image into the encoder's input."""
    encoder = config_of("270M-270M")["encoder"]
    d, hidden = encoder["text_config"]["hidden_size"], encoder["vision_config"]["hidden_size"]
    tokens = encoder["mm_tokens_per_image"]
    picture = Picture(f"One image becomes {tokens} tokens of the encoder's input", 340)
    squares(picture, 4, encoder)
    captions(picture, 128, encoder)
    picture.line((420, 170), (420, 200))
    words = [f"RMSNorm, then × W [{hidden}, {d}]:", f"{tokens} image features [{tokens}, {d}]"]
    picture.box(200, 200, 272, 44, words, "encoder")
    picture.line((234, 244), (234, 272))
    picture.line((134, 282), (134, 274), (334, 274), (334, 282), head=False)
    places(picture, 285, encoder)
    return picture.svg()


def shared(*keys: str) -> Any:
    """What stands in the encoder's configuration of every published size."""
    found = []
    for name in PUBLISHED:
        value = config_of(name)["encoder"]
        for key in keys:
            value = value[key]
        found.append(value)
    assert all(value == found[0] for value in found)
    return found[0]


def rows() -> str:
    """What an image is after each step."""
    vision, tokens = shared("vision_config"), shared("mm_tokens_per_image")
    pixels, patch, colours, hidden = (vision[key] for key in VISION_SIZES)
    patches = (pixels // patch) ** 2
    widths = ", ".join(str(text_of(name)["hidden_size"]) for name in PUBLISHED)
    return table(["After", "Rows", "Numbers in a row"], [
        ["[`pixel_values`]", colours, f"{pixels} × {pixels}"],
        ["[`patches_of`]", patches, f"{colours} × {patch} × {patch} = {colours * patch**2}"],
        [f"[`siglip`], {vision['num_hidden_layers']} layers", patches, hidden],
        ["[`average_pool`]", tokens, hidden],
        ["[`image_features`]", tokens, f"d ({widths})"],
    ])


def special_ids() -> str:
    """The ids around an image, and what the encoder gets for each."""
    return table(["Token", "Id", "Row of the encoder's input"], [
        ["begin of image", shared("boi_token_index"), "row of E × √d, as for text"],
        [f"image, {shared('mm_tokens_per_image')} times", shared("image_token_index"), "an image feature, as it is"],
        ["end of image", shared("eoi_token_index"), "`eoi_embedding`, as it is"],
    ])


FIGURES = {"image_strip.svg": image_strip}
