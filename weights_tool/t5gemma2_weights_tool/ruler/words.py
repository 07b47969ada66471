"""Made-up words, and the pools of plain ones. No word of a pool is part of another, so that a wrong word in an answer
is not taken for a right one."""
from random import Random

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"
QUALITIES = ("brave", "calm", "dark", "eager", "faint", "gentle", "hollow", "icy", "jolly", "keen", "lucky", "mild",
             "noble", "odd", "pale", "quick", "rough", "silent", "tiny", "upper", "vivid", "warm", "young", "zesty")
THINGS = ("anchor", "button", "candle", "dragon", "engine", "feather", "guitar", "hammer", "island", "jacket", "kitten",
          "lantern", "meadow", "needle", "orchard", "pepper", "quarry", "ribbon", "saddle", "temple", "umbrella",
          "violin", "window", "yogurt")
NOUNS = tuple("""
    acid bark beam belt bird bolt bone brick broom brush bulb cake calf camp cave chain chalk cheek chess chin claw cliff
    cloud clown coal coin corn couch crab crane crew cube curb desk dice ditch dock dove drum duck dust fence fern film
    flag flute foam fork frog fruit gate ghost glove glue goat grape gulf hawk hinge horn hotel inch jazz jeep joke juice
    kite knee knife lace lamb leaf lens lime lunch mask maze menu milk mint moth mouse mud nest nurse oak oven palm peach
    pearl pencil piano pipe plum pond purse quilt quiz raft rail rice roof rope rug salt sauce scarf shelf shirt silk
    skirt sled snail snow sock soup spoon squid stove straw swan sword tent thumb tiger toast tooth torch towel tribe
    truck tulip valve vase veil vest vine violet wagon wasp wheel whip wolf wood wrist yacht yolk zebra
    """.split())


def pair(rng: Random) -> str:
    """brave-lantern"""
    return f"{rng.choice(QUALITIES)}-{rng.choice(THINGS)}"


def letters(rng: Random, count: int) -> str:
    """Consonants and vowels in turn: "kobalu" for 6."""
    return "".join(rng.choice(VOWELS if i % 2 else CONSONANTS) for i in range(count))


def compounds() -> tuple[str, ...]:
    """Every noun before every other, so that even the longest list of words does not run out of them: "lampbird"."""
    return tuple(dict.fromkeys(first + second for first in NOUNS for second in NOUNS if first != second))
