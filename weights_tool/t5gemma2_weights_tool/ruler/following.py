"""Families in which one finding leads to the next.

    variables   Let KOVAL = 48213. ... Let MIREF = KOVAL. ...     which five variables have the value 48213?
    two hops    Ada Kobalu was born in Mirefod. ... In Mirefod they play the zalobin, which is also called ...
                which instrument do they play in the town where Ada Kobalu was born?

The text of the last is nothing but such facts about other people and towns; either name of the instrument is right.
"""
from random import Random

from .item import Family, Item, distinct, hidden, listed
from .sentences import sentences
from .words import letters

HOPS = 4
FIRST_NAMES = ("Ada", "Boris", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Karla", "Leo", "Mona",
               "Nils", "Olga", "Peter", "Rosa", "Simon", "Tessa", "Viktor")
PERSON, TOWN, INSTRUMENT = 6, 7, 8  # letters: of one length, none is part of another
FEWEST = 4  # facts about others
EXAMPLE_SIZE = 4    # sentences


def variables(seed: str, size: int) -> Item:
    rng = Random(seed)
    names = distinct(rng, HOPS + 1, lambda rng: letters(rng, 5).upper())
    value = str(rng.randint(10000, 99999))
    needles = [f"Let {name} = {before}." for name, before in zip(names, [value, *names])]
    return Item(f"Keep track of the variables in this text.\n\n{hidden(needles, sentences(seed, size), rng)}",
                f"Which five variables have the value {value}?", f" The five variables that have the value {value} are",
                f" {listed(names)}.", tuple(names), (*names, value))


def facts(rng: Random, count: int, taken: set[str]) -> list[str]:
    """About people and towns in turn, each of them once."""
    def fresh(length: int) -> str:
        while (word := letters(rng, length)) in taken:
            pass
        taken.add(word)
        return word

    found = []
    while len(found) < count:
        town = fresh(TOWN).title()
        found += [born(f"{rng.choice(FIRST_NAMES)} {fresh(PERSON).title()}", town),
                  plays(town, fresh(INSTRUMENT), fresh(INSTRUMENT))]
    return found[:count]


def born(person: str, town: str) -> str:
    return f"{person} was born in {town}."


def plays(town: str, instrument: str, other_name: str) -> str:
    return f"In {town} they play the {instrument}, which is also called the {other_name}."


def two_hops(seed: str, size: int) -> Item:
    rng = Random(seed)
    surname, town = letters(rng, PERSON).title(), letters(rng, TOWN).title()
    instruments = distinct(rng, 2, lambda rng: letters(rng, INSTRUMENT))
    person = f"{rng.choice(FIRST_NAMES)} {surname}"
    needles = [born(person, town), plays(town, *instruments)]
    rng.shuffle(needles)
    others = facts(Random(f"{seed} facts"), FEWEST + size, {surname.lower(), town.lower(), *instruments})
    return Item(f"These are facts about people and towns.\n\n{hidden(needles, others, rng)}",
                f"Which instrument do they play in the town where {person} was born?",
                f" In the town where {person} was born they play the", f" {instruments[0]}.", tuple(instruments),
                (surname, town, *instruments), any_of=True)


VARIABLES = Family("variables", (variables,), EXAMPLE_SIZE)
TWO_HOPS = Family("two hops", (two_hops,))
