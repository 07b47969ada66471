"""What is asked: an item of a family, and how a family makes items of any size.

    text       Remember the access codes ... The access code of brave-lantern is 4831927. ...
    question   What is the access code of brave-lantern?
    lead        The access code of brave-lantern is
    solution    4831927.
    answers    ("4831927",)

A pretrained model goes on after the lead; solved examples end with the solution. The score is the share of the answers
that occur in what it writes, or with `any_of` 1 if one of them does.
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Item:
    text: str
    question: str
    lead: str
    solution: str
    answers: tuple[str, ...]
    names: tuple[str, ...]  # what the question is about: solved examples are about others
    any_of: bool = False

    def wanted(self) -> str:
        """For people: "expected: 4831927"."""
        return f"{'one of' if self.any_of else 'expected'}: {', '.join(self.answers)}"


Maker = Callable[[str, int], Item]


@dataclass(frozen=True)
class Family:
    """A maker makes of a seed and a size the item with `size` units of filler or, where the text is a list, with so many
    more words; its answers and names depend on the seed alone. The first maker whose items fit is taken."""
    name: str
    makers: tuple[Maker, ...]  # several: from what long inputs have to what short ones have
    example_size: int = 0      # of a solved example
    shorter: tuple[Maker, ...] = ()  # of solved examples beside each maker, where the makers' own are too long

    def of_examples(self, maker: Maker) -> Maker:
        return self.shorter[self.makers.index(maker)] if self.shorter else maker


@dataclass(frozen=True)
class Group:
    """What becomes one figure."""
    length: int  # tokens
    family: Family


@dataclass(frozen=True)
class Wording:
    """How items become prompts; see prompt.py."""
    name: str
    families: tuple[Family, ...]
    before_question: str
    before_answer: str
    between: str           # a solved example and what follows
    stop: tuple[str, ...]  # ends an answer
    shots: int             # solved examples, unless told otherwise


def score(answers: Sequence[str], any_of: bool, found: str) -> float:
    """0 to 1, case ignored."""
    there = [answer.casefold() in found.casefold() for answer in answers]
    return float(any(there)) if any_of else sum(there) / len(there)


def listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def hidden(needles: Sequence[str], filler: Sequence[str], rng: Random) -> str:
    """The needles in their order among the sentences of the filler, each at its own relative depth, whatever the size."""
    depths = sorted(rng.random() for _ in needles)
    sentences = list(filler)
    for depth, needle in reversed(list(zip(depths, needles))):
        sentences.insert(int(depth * (len(filler) + 1)), needle)
    return " ".join(sentences)


def distinct(rng: Random, count: int, make: Callable[[Random], str]) -> list[str]:
    """`count` different ones."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[make(rng)] = None
    return list(found)
