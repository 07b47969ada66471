"""The two wordings: English for models of language, and the pocket model's own, in which it was trained.

Pocket has no families for variables and for counting words: its training had neither. It was trained on `single`,
`multi-key` and (in vain: docs/pocket) `two hops`; multi-value and multi-query ask for what it has never seen.
"""
from collections.abc import Sequence
from random import Random

from ..pocket import retrieval
from ..pocket.grammar import english, random_sentence
from ..pocket.items import is_held_out
from .counting import COMMON_WORDS, FREQUENT_WORDS
from .following import TWO_HOPS, VARIABLES
from .item import Family, Item, Wording, distinct, hidden, listed
from .needles import Style, needle_families
from .sentences import sentence, sentences
from .words import pair

CHAIN = 3  # keys of pocket's two hops


def codes(several: bool) -> str:
    return "access codes" if several else "access code"


ENGLISH = Style(
    intro="Remember the access codes in this text.\n\n",
    keys=lambda rng, count: distinct(rng, count, pair),
    value=lambda rng, _key: str(rng.randint(1_000_000, 9_999_999)),
    statement=lambda key, value, several: f"{'One' if several else 'The'} access code of {key} is {value}.",
    question=lambda keys, several: (f"What are the four access codes of {keys[0]}?" if several else
                                    f"What {'are' if keys[1:] else 'is'} the {codes(bool(keys[1:]))} of {listed(keys)}?"),
    lead=lambda keys, several: (f" The four access codes of {keys[0]} are" if several else
                                f" The {codes(bool(keys[1:]))} of {listed(keys)} {'are' if keys[1:] else 'is'}"),
    solution=lambda values: f" {listed(values)}.",
    sentence=sentence,
    example_size=4)


def held_out_code(rng: Random, key: str) -> str:
    """One that the pocket model has not learned with this key."""
    while True:
        code, = retrieval.random_codes(rng, 1)
        if is_held_out(f"{key} {code}"):
            return code


def pocket_sentence(rng: Random) -> str:
    return f"{english(random_sentence(rng))}."


def pocket_question(keys: Sequence[str], several: bool) -> str:
    if several:
        return f"what are the codes of {keys[0]}?"
    return " ".join(map(retrieval.question, keys))


POCKET = Style(
    intro="",
    keys=lambda rng, count: rng.sample(retrieval.KEYS, count),
    value=held_out_code,
    statement=lambda key, value, _several: retrieval.needle(key, value),
    question=pocket_question,
    lead=lambda _keys, _several: "",
    solution=lambda values: f" {' '.join(values)}",
    sentence=pocket_sentence,
    example_size=2)


def pocket_two_hops(seed: str, size: int) -> Item:
    """The end of one of two chains, as in pocket.retrieval."""
    rng = Random(seed)
    keys = rng.sample(retrieval.KEYS, CHAIN * retrieval.CHAINS)
    chains = [keys[i::retrieval.CHAINS] for i in range(retrieval.CHAINS)]
    ends = [held_out_code(rng, " ".join(chain)) for chain in chains]
    needles = [link for chain, end in zip(chains, ends) for link in retrieval.links(chain, end)]
    asked = rng.randrange(len(chains))
    text = hidden(retrieval.interleaved(rng, needles, CHAIN), sentences(seed, size, pocket_sentence), rng)
    return Item(text, retrieval.question(chains[asked][-1]), "", f" {ends[asked]}", (ends[asked],), tuple(keys))


WORDINGS = {
    "english": Wording("english", (*needle_families(ENGLISH), VARIABLES, COMMON_WORDS, FREQUENT_WORDS, TWO_HOPS),
                       before_question="\n\nQuestion: ", before_answer="\nAnswer:", between="\n\n", stop=("\n",), shots=1),
    "pocket": Wording("pocket", (*needle_families(POCKET), Family("two hops", (pocket_two_hops,))),
                      before_question=" ", before_answer="", between=" ", stop=(), shots=0),
}
FAMILIES = tuple(family.name for family in WORDINGS["english"].families)  # every wording's are among them
