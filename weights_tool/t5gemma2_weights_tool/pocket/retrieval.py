"""Needles in long text, in the spirit of RULER: the question stands at the end, the needles anywhere before it.

    single      the code of amber is 4821.                                    what is the code of amber?
    multi-key   the same for up to six keys
    one hop     the code of cedar is the code of amber.                       what is the code of cedar?
    two hops    and one more: the code of pearl is the code of cedar.         what is the code of pearl?

Distractors of the last two are chains of the same kind. Lengths are in tokens of the pocket model, <bos> included; at
length 0 there is no filler: needles and question alone.
"""
import re
from random import Random

from .grammar import english, random_sentence

KEYS = ("amber", "basil", "cedar", "coral", "delta", "ember", "fern", "grove", "hazel", "iris", "jade", "karma",
        "lotus", "maple", "nova", "onyx", "opal", "pearl", "quartz", "river", "sable", "topaz", "umber", "willow")
USUAL, TRAINED = 80, 240  # without a given length: anything between
SHORTEST = {"single": 20, "multi-key": 30, "one hop": 50, "two hops": 70}  # into which the needles fit, of keys two
TOKEN = re.compile(r"<\w+>|\n{1,4}| ?[a-z]+|.")
LONGEST = 1_000_000  # tokens
MAX_KEYS = 6
NEEDLE, QUESTION = 11, 8  # tokens of a key's needle, and of the question with <bos>
CHAINS = 2  # of the variables, one of them asked about


def token_count(text: str) -> int:
    """How many tokens a text of this package's generators has, <bos> included."""
    return 1 + len(TOKEN.findall(text))


def random_codes(rng: Random, count: int) -> list[str]:
    return [str(code) for code in rng.sample(range(1000, 10000), count)]


def fits(kind: str | None, length: int) -> bool:
    """Whether items of this kind, or of any, can be that short."""
    return length == 0 or shortest(kind) <= length <= LONGEST


def lengths_of(kind: str | None) -> str:
    """For messages."""
    return f"0 (no filler), or {shortest(kind)} to {LONGEST} tokens for {kind or 'all kinds of retrieval'}"


def shortest(kind: str | None) -> int:
    return max(SHORTEST.values()) if kind is None else SHORTEST[kind]


def in_filler(rng: Random, needles: list[str], question: str, length: int) -> str:
    """The needles in their order among sentences, as many as fit in, and the question."""
    if length == 0:
        return " ".join([*needles, question])
    free = length - token_count(" ".join([*needles, question]))
    if free < 0:
        raise ValueError(f"expected 0 or at least {length - free} tokens, found {length}")
    filler: list[str] = []
    while True:
        sentence = f"{english(random_sentence(rng))}."
        free -= token_count(sentence) - 1  # without <bos>; its space is part of its first word
        if free < 0:
            break
        filler.append(sentence)
    places = sorted(rng.randint(0, len(filler)) for _ in needles)
    for place, needle in reversed(list(zip(places, needles))):
        filler.insert(place, needle)
    return " ".join([*filler, question])


def some_length(rng: Random, length: int | None) -> int:
    return rng.randint(USUAL, TRAINED) if length is None else length


def needle(key: str, value: str) -> str:
    return f"the code of {key} is {value}."


def question(key: str) -> str:
    return f"what is the code of {key}?"


def links(chain: list[str], code: str) -> list[str]:
    """The first key's code, and each other's by the key before it."""
    return [needle(key, value) for key, value in zip(chain, [code, *(f"the code of {key}" for key in chain)])]


def keyed(most: int):
    """One needle for each of two to `most` keys, or for a single one; no more keys than fit in."""
    def generate(rng: Random, length: int | None = None):
        length = some_length(rng, length)
        fewest = min(2, most)
        fitting = max(fewest, (length - QUESTION) // NEEDLE) if length else most
        count = rng.randint(fewest, min(most, fitting))
        pairs = list(zip(rng.sample(KEYS, count), random_codes(rng, count)))
        key, code = rng.choice(pairs)
        needles = [needle(name, value) for name, value in pairs]
        return in_filler(rng, needles, question(key), length), code, f"{key} {code}"
    return generate


def chained(hops: int):
    """Chains of `hops` links; the question is about the end of one."""
    def generate(rng: Random, length: int | None = None):
        keys, codes = rng.sample(KEYS, CHAINS * (hops + 1)), random_codes(rng, CHAINS)
        chains = [keys[i::CHAINS] for i in range(CHAINS)]
        needles = [link for chain, code in zip(chains, codes) for link in links(chain, code)]
        asked = rng.randrange(CHAINS)
        needles = interleaved(rng, needles, hops + 1)
        text = in_filler(rng, needles, question(chains[asked][-1]), some_length(rng, length))
        return text, codes[asked], " ".join([*chains[asked], codes[asked]])
    return generate


def interleaved(rng: Random, needles: list[str], run: int) -> list[str]:
    """Runs of needles mixed at random, each run in its own order."""
    runs = [needles[i:i + run] for i in range(0, len(needles), run)]
    turns = rng.sample([i for i in range(len(runs)) for _ in range(run)], len(needles))
    return [runs[i].pop(0) for i in turns]


RETRIEVAL = {"single": keyed(1), "multi-key": keyed(MAX_KEYS), "one hop": chained(1), "two hops": chained(2)}
