"""Needles: a key has a value, somewhere in the filler, and the question is about one key or several.

    single        one key with one value
    multi-key     four keys, one of them asked about
    multi-value   one key with four values, all of them wanted
    multi-query   four keys, all of them asked about
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from .item import Family, Item, hidden
from .sentences import sentences

SEVERAL = 4


@dataclass(frozen=True)
class Style:
    """The words of a wording. `several`: a key has more than one value."""
    intro: str
    keys: Callable[[Random, int], list[str]]
    value: Callable[[Random, str], str]  # of a key
    statement: Callable[[str, str, bool], str]
    question: Callable[[Sequence[str], bool], str]
    lead: Callable[[Sequence[str], bool], str]
    solution: Callable[[Sequence[str]], str]
    sentence: Callable[[Random], str]  # of filler
    example_size: int  # sentences of filler in a solved example


@dataclass(frozen=True)
class Needles:
    """One family in one style."""
    style: Style
    keys: int = 1
    values: int = 1
    asked: int = 1

    def __call__(self, seed: str, size: int) -> Item:
        style, rng, several = self.style, Random(seed), self.values > 1
        pairs = self.pairs(rng)
        keys = list(dict.fromkeys(key for key, _ in pairs))
        asked = rng.sample(keys, self.asked)
        answers = tuple(value for name in asked for key, value in pairs if key == name)
        needles = [style.statement(key, value, several) for key, value in pairs]
        return Item(style.intro + hidden(needles, sentences(seed, size, style.sentence), rng), style.question(asked, several),
                    style.lead(asked, several), style.solution(answers), answers, tuple(keys))

    def pairs(self, rng: Random) -> list[tuple[str, str]]:
        """Keys with values; no value twice."""
        pairs: dict[str, str] = {}
        for key in self.style.keys(rng, self.keys):
            wanted = len(pairs) + self.values
            while len(pairs) < wanted:
                pairs.setdefault(self.style.value(rng, key), key)
        return [(key, value) for value, key in pairs.items()]


def needle_families(style: Style) -> tuple[Family, ...]:
    return (Family("single", (Needles(style),), style.example_size),
            Family("multi-key", (Needles(style, keys=SEVERAL),), style.example_size),
            Family("multi-value", (Needles(style, values=SEVERAL),), style.example_size),
            Family("multi-query", (Needles(style, keys=SEVERAL, asked=SEVERAL),), style.example_size))
