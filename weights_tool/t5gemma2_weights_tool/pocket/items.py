"""Items of the pocket model's tasks: a prompt, its one right answer, and the pictures that the prompt shows.

An item's content (the date, the words to sort, the things in a picture, ...) decides by its hash whether the item is
for training or held out, so that nothing held out was trained on in another form or at another place.
"""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from . import grammar, infilling, questions, retrieval, scenes, texts
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
    "translation": grammar.TRANSLATION,
    "retrieval": retrieval.RETRIEVAL,
    "infilling": infilling.INFILLING,
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


def plain_sentence(rng: Random) -> str:
    while True:
        text = grammar.english(grammar.random_sentence(rng))
        if not is_held_out(text):
            return f"{text}."


def described(rng: Random) -> str:
    return draw("caption", rng, held_out=False).answer


def solved(task: str):
    """An item's prompt with its answer behind it; of a text with gaps the whole text."""
    length = retrieval.USUAL if task == "retrieval" else None

    def line(rng: Random) -> str:
        item = draw(task, rng, held_out=False, length=length)
        return item.content if task == "infilling" else f"{item.prompt} {item.answer}"
    return line


LINES = (plain_sentence, plain_sentence, described,
         *(solved(task) for task in TASKS if task not in ("caption", "question")))


def sentences(rng: Random, longest: int = 128) -> Iterator[str]:
    """Texts without end to learn the language from, training side only: lines of one sort, up to `longest` tokens."""
    while True:
        line = rng.choice(LINES)
        text, length = line(rng), rng.randint(1, longest)
        while retrieval.token_count(longer := f"{text}\n{line(rng)}") <= length:
            text = longer
        yield text
