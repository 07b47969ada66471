"""Items of the pocket model's tasks: a prompt, its one right answer, and the pictures that the prompt shows.

An item's content (the date, the words to sort, the things in a picture, ...) decides by its hash whether the item is
for training or held out, so that nothing held out was trained on in another form or at another place.
"""
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from . import questions, scenes, texts
from .scenes import Scene

HELD_OUT = 0.1  # of the contents


@dataclass(frozen=True)
class Item:
    task: str
    kind: str
    prompt: str   # <start_of_image> stands for each picture
    answer: str
    content: str  # parts that are held out by themselves are separated by questions.PART
    scenes: tuple[Scene, ...] = ()


GENERATORS: dict[str, dict[str, Callable]] = {
    "caption": scenes.CAPTIONS,
    "question": questions.QUESTIONS,
    "dates": texts.DATES,
    "numbers": texts.NUMBERS,
    "sorting": texts.SORTING,
    "counting": texts.COUNTING,
}
TASKS = tuple(GENERATORS)
KINDS = {task: tuple(kinds) for task, kinds in GENERATORS.items()}


def is_held_out(content: str) -> bool:
    """The same on every machine and in every version."""
    value = int.from_bytes(blake2b(content.encode(), digest_size=8).digest(), "big")
    return value < HELD_OUT * 2**64


def draw(task: str, rng: Random, held_out: bool, kind: str | None = None, length: int | None = None) -> Item:
    """One item of one side of the split; `length` (retrieval only) is the most tokens that its prompt has."""
    kind = kind or rng.choice(KINDS[task])
    arguments = () if length is None else (length,)
    while True:
        item = Item(task, kind, *GENERATORS[task][kind](rng, *arguments))
        if all(is_held_out(part) == held_out for part in item.content.split(questions.PART)):
            return item
