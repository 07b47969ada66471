"""Families in which nothing is hidden: the text is a list of words, and the question is which are the most frequent.

    common words     1. snail 2. oven 3. snail ...    ten words are there ten times as often as all others
    frequent words   ... kobalu ... mirefo ...        made-up words by a Zeta distribution; the dots do not count
"""
from dataclasses import dataclass, replace
from functools import cache, partial
from random import Random

from .item import Family, Item, distinct, listed
from .words import NOUNS, compounds, letters

COMMON = 10
ALPHA, ZETA_2 = 2.0, 1.6449340668482264  # the exponent, and the sum of 1 / k^2
DOTS, ASKED = "...", 3


@dataclass(frozen=True)
class Scale:
    """How often words are in the list, and how many uncommon ones there are at least."""
    common: int
    uncommon: int
    fewest: int
    plain: bool = False  # nouns: short, but few


SHORTEST = Scale(2, 1, 4, plain=True)
SCALES = (Scale(30, 3, 10), Scale(6, 1, 10), Scale(3, 1, 5, plain=True), SHORTEST)


@cache
def pool(plain: bool) -> tuple[str, ...]:
    return NOUNS if plain else compounds()


def common_words(scale: Scale, seed: str, size: int) -> Item:
    rng, choice = Random(seed), pool(scale.plain)
    common = rng.sample(choice, COMMON)
    others = [word for word in rng.sample(choice, len(choice)) if word not in common][:scale.fewest + size]
    words = common * scale.common + others * scale.uncommon
    Random(f"{seed} order").shuffle(words)
    text = " ".join(f"{number}. {word}" for number, word in enumerate(words, 1))
    return Item(f"Here is a numbered list of words. Some words are in it more often than others.\n\n{text}",
                "Which ten words are the most common in the list?", " The ten most common words are",
                f" {listed(common)}.", tuple(common), tuple(common))


def counts(total: int) -> list[int]:
    """How often each rank occurs among about `total` words, dots first."""
    found, rank = [], 1
    while (count := int(total / rank**ALPHA / ZETA_2)) > 0:
        found.append(count)
        rank += 1
    return found


FEWEST = 53  # words: 32 dots, 8, 3, 2, 1, ...; from here on the third word occurs more often than the fourth


def frequent_words(seed: str, size: int) -> Item:
    rng, frequency = Random(seed), counts(FEWEST + size)
    coded = distinct(rng, len(frequency) - 1, lambda rng: letters(rng, 6))
    words = [word for word, count in zip([DOTS, *coded], frequency) for _ in range(count)]
    Random(f"{seed} order").shuffle(words)
    asked = tuple(coded[:ASKED])
    return Item(f"Here is a text of coded words. The dots mean nothing.\n\n{' '.join(words)}",
                "Which three coded words occur most often, not counting the dots?",
                " The three coded words that occur most often are", f" {listed(asked)}.", asked, asked)


COMMON_WORDS = Family("common words", tuple(partial(common_words, scale) for scale in SCALES),
                      shorter=tuple(partial(common_words, replace(SHORTEST, plain=scale.plain)) for scale in SCALES))
FREQUENT_WORDS = Family("frequent words", (frequent_words,))
