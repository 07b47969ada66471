"""A small grammar of sentences, in English and in Lumi, a made-up language with another word order.

    English   [time] subject verb object [place]      subject, object: article [adjective] noun
    Lumi      [time] [place] object subject verb      object, subject: noun [adjective] article

Both ways are exact: every English word has one Lumi word and every Lumi word one English word.
"""
from dataclasses import dataclass
from random import Random

ARTICLES = {"the": "lo", "a": "un"}
NOUNS = {"cat": "mako", "dog": "beru", "bird": "sili", "fish": "ploma", "horse": "tarun", "mouse": "pipi",
         "bear": "groma", "frog": "kwaka", "lion": "rauno", "sheep": "wolna", "fox": "visku", "duck": "dudra"}
ADJECTIVES = {"small": "neti", "large": "gando", "red": "rosa", "green": "verda", "blue": "azul", "black": "noro",
              "old": "veku", "young": "juno"}
VERBS = {"sees": "vidat", "hears": "audat", "likes": "amat", "finds": "trovat", "follows": "sekat", "helps": "yudat",
         "feeds": "mangat", "paints": "piktat"}
PLACES = {"in the garden": "gardi", "in the house": "domi", "in the street": "stradi", "in the forest": "silvi",
          "at the river": "rivi", "at the lake": "lagi"}
TIMES = {"today": "hode", "now": "nune", "often": "ofte", "on monday": "lunde", "on friday": "vende",
         "in summer": "somere", "in winter": "vintere"}


@dataclass(frozen=True)
class Phrase:
    article: str
    adjective: str  # may be empty
    noun: str


@dataclass(frozen=True)
class Sentence:
    time: str  # may be empty, as may be the place
    subject: Phrase
    verb: str
    object: Phrase
    place: str


def joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def random_phrase(rng: Random, noun: str) -> Phrase:
    adjective = rng.choice(tuple(ADJECTIVES)) if rng.random() < 0.5 else ""
    return Phrase(rng.choice(tuple(ARTICLES)), adjective, noun)


def random_sentence(rng: Random) -> Sentence:
    subject, other = rng.sample(tuple(NOUNS), 2)
    return Sentence(rng.choice(tuple(TIMES)) if rng.random() < 0.3 else "", random_phrase(rng, subject),
                    rng.choice(tuple(VERBS)), random_phrase(rng, other),
                    rng.choice(tuple(PLACES)) if rng.random() < 0.3 else "")


def english(sentence: Sentence) -> str:
    def words(phrase: Phrase) -> str:
        return joined("an" if phrase.article == "a" and phrase.adjective == "old" else phrase.article,
                      phrase.adjective, phrase.noun)
    return joined(sentence.time, words(sentence.subject), sentence.verb, words(sentence.object), sentence.place)


def lumi(sentence: Sentence) -> str:
    def words(phrase: Phrase) -> str:
        return joined(NOUNS[phrase.noun], ADJECTIVES.get(phrase.adjective, ""), ARTICLES[phrase.article])
    return joined(TIMES.get(sentence.time, ""), PLACES.get(sentence.place, ""), words(sentence.object),
                  words(sentence.subject), VERBS[sentence.verb])


def to_lumi(rng: Random):
    sentence = random_sentence(rng)
    return f"in lumi: {english(sentence)}", lumi(sentence), english(sentence)


def to_english(rng: Random):
    sentence = random_sentence(rng)
    return f"in english: {lumi(sentence)}", english(sentence), english(sentence)


TRANSLATION = {"to lumi": to_lumi, "to english": to_english}
