"""Training samples as ids and pictures, each a function of its place alone: seed, stage, step, number in the batch.

The encoder reads what the processor makes of a prompt (bos, text, each picture's sequence; no eos), the decoder bos
and the answer, its labels are the answer and eos.
"""
from dataclasses import dataclass, field
from random import Random

import numpy as np
from tokenizers import Tokenizer

from . import drawing, ul2
from .infilling import SENTINELS
from .items import Item, draw, sentences
from .recipe import KIND, Family
from .scenes import COLOURS, SHAPES, Scene

PAD, EOS, BOS = 0, 1, 2
NOTHING = -100  # a label that is not counted
PLACEHOLDER = "<start_of_image>"


@dataclass
class Sample:
    encoder: list[int]
    answer: list[int]
    pictures: list[np.ndarray] = field(default_factory=list)  # uint8 [size, size, 3]
    cells: np.ndarray | None = None  # of the one picture, see `cells_of`


class Maker:
    """Makes samples of a family with a tokenizer and the sizes of the pictures."""

    def __init__(self, tokenizer: Tokenizer, image_size: int, image_tokens: int):
        self.tokenizer, self.image_size, self.image_tokens = tokenizer, image_size, image_tokens
        self.sentinels = np.array([tokenizer.token_to_id(text) for text in SENTINELS])
        self.sequence = f"\n\n{PLACEHOLDER}{'<image_soft_token>' * image_tokens}<end_of_image>\n\n"

    def make(self, family: Family, rng: Random, length: int | None) -> Sample:
        return getattr(self, family.source)(family, rng, length)

    def text_ids(self, text: str) -> list[int]:
        """Without bos."""
        return self.tokenizer.encode(text).ids[1:]

    def packed(self, _family: Family, rng: Random, length: int) -> Sample:
        """[bos text eos bos text ...], cut to `length` inputs and as many labels."""
        ids: list[int] = []
        texts = sentences(rng, length)
        while len(ids) <= length:
            ids += [BOS, *self.text_ids(next(texts)), EOS]
        return Sample([], ids[:length + 1])

    def denoise(self, _family: Family, rng: Random, length: int) -> Sample:
        ids: list[int] = []
        texts = sentences(rng, length)
        while len(ids) < length:
            ids += self.text_ids(next(texts) + "\n")
        source, target = ul2.denoise(np.array(ids[:length]), np.random.default_rng(rng.getrandbits(64)), self.sentinels)
        return Sample([BOS, *source.tolist()], target.tolist())

    def scenes(self, _family: Family, rng: Random, _length) -> Sample:
        scene, = draw("caption", rng, held_out=False).scenes
        return Sample([], [], [drawing.pixels(scene, self.image_size)], cells_of(scene, self.image_tokens))

    def items(self, family: Family, rng: Random, length: int | None) -> Sample:
        task, _, kind = rng.choices(list(family.tasks), family.tasks.values())[0].partition(KIND)
        return self.sample_of(draw(task, rng, False, kind or None, length))

    def sample_of(self, item: Item) -> Sample:
        prompt = item.prompt.replace(PLACEHOLDER, self.sequence)
        return Sample(self.tokenizer.encode(prompt).ids, self.text_ids(item.answer),
                      [drawing.pixels(scene, self.image_size) for scene in item.scenes])


def cells_of(scene: Scene, cells: int) -> np.ndarray:
    """What lies in each cell of the picture, row by row, that becomes one image token: float32 [5, cells], the shape's
    number (0 is nothing, the first shape is 1), the colour's, the size's, and how far right and down of the cell's middle
    (-0.5 to 0.5). A thing is where its middle is; NOTHING is said of a cell with two."""
    side = round(cells ** 0.5)
    found = np.full((5, cells), NOTHING, np.float32)
    found[0] = 0
    for thing in scene.things:
        column, row = int(thing.x * side), int(thing.y * side)
        cell, name = row * side + column, thing.name
        known = (SHAPES.index(name.shape) + 1, tuple(COLOURS).index(name.colour), int(name.size == "large"),
                 thing.x * side - column - 0.5, thing.y * side - row - 0.5)
        found[:, cell] = known if found[0, cell] == 0 else NOTHING
    return found
