"""Filler in English: plain sentences of a grammar, millions of different ones, without digits and capital names.

    In the evening the old sailor carried a wooden box across the bridge.
"""
from collections.abc import Callable
from random import Random

TIMES = ("In the morning", "In the evening", "Before noon", "After lunch", "Late at night", "Early in spring", "Last summer",
         "On a cold day", "When the rain stopped", "As every week", "During the holidays", "Shortly before sunset",
         "After a long walk", "Without a word", "For the second time", "Much later", "As usual", "To everyone's surprise")
ADJECTIVES = ("old", "young", "tall", "quiet", "cheerful", "tired", "careful", "friendly", "curious", "patient", "busy",
              "clever", "shy", "proud", "lonely", "polite")
PEOPLE = ("sailor", "baker", "teacher", "farmer", "nurse", "painter", "gardener", "carpenter", "student", "postman",
          "fisherman", "tailor", "librarian", "miller", "singer", "shepherd", "doctor", "mechanic", "cook", "weaver")
VERBS = ("carried", "found", "sold", "repaired", "painted", "borrowed", "forgot", "cleaned", "described", "lost",
         "bought", "hid", "measured", "admired", "returned", "wrapped", "opened", "noticed")
QUALITIES = ("wooden", "heavy", "small", "broken", "yellow", "round", "expensive", "dusty", "beautiful", "empty",
             "strange", "soft", "narrow", "shiny", "plain", "large")
THINGS = ("box", "chair", "ladder", "basket", "lamp", "clock", "blanket", "bottle", "wheel", "hat", "mirror", "kettle",
          "book", "drum", "letter", "rope", "bell", "table", "bucket", "picture")
PLACES = ("across the bridge", "behind the church", "at the market", "near the harbour", "in the kitchen", "by the lake",
          "under the roof", "on the way home", "beside the road", "in the garden", "at the station", "above the shop",
          "in front of the school", "along the river", "outside the village", "between two houses")


def sentence(rng: Random) -> str:
    def one(words: tuple[str, ...]) -> str:  # choice() takes three times as long
        return words[int(rng.random() * len(words))]
    when = f"{one(TIMES)} the" if rng.random() < 0.5 else "The"
    who, quality = f"{one(ADJECTIVES)} {one(PEOPLE)}", one(QUALITIES)
    article = "an" if quality[0] in "aeiou" else "a"
    return f"{when} {who} {one(VERBS)} {article} {quality} {one(THINGS)} {one(PLACES)}."


def sentences(seed: str, count: int, make: Callable[[Random], str] = sentence) -> list[str]:
    """The first `count` of this seed."""
    rng = Random(f"{seed} filler")
    return [make(rng) for _ in range(count)]
