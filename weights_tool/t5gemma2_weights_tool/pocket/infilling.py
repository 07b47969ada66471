"""Texts with gaps that have one right filling, as UL2 asks for them: a sentinel stands for a gap, the answer gives each
sentinel and what it stands for. A gap takes the spaces before its words along, as tokens do:

    monday tuesday<unused31> friday saturday    <unused31> wednesday thursday
"""
from random import Random

from .grammar import ARTICLES, NOUNS, PLACES, english, random_sentence
from .texts import DAYS, MONTHS, in_words

SENTINELS = tuple(f"<unused{n}>" for n in reversed(range(32)))  # in the order in which they are used
YOUNG = {"dog": "pup", "cow": "calf", "sheep": "lamb", "horse": "foal", "goat": "kid", "bear": "cub",
         "duck": "duckling", "frog": "tadpole", "cat": "kitten", "pig": "piglet"}
OPPOSITES = (("hot", "cold"), ("day", "night"), ("up", "down"), ("wet", "dry"), ("fast", "slow"), ("old", "young"),
             ("large", "small"), ("open", "shut"), ("left", "right"), ("top", "bottom"), ("first", "last"),
             ("yes", "no"))
STEPS = (1, 2, 5, 10)


def with_gaps(words: list[str], gaps: list[tuple[int, int]]) -> tuple[str, str]:
    """Prompt and answer for words of which those from..to are left out."""
    prompt, answer, done = [], [], 0
    for sentinel, (start, end) in zip(SENTINELS, gaps):
        prompt += [*words[done:start - 1], words[start - 1] + sentinel]
        answer += [sentinel, *words[start:end]]
        done = end
    return " ".join([*prompt, *words[done:]]), " ".join(answer)


def in_a_run(rng: Random, words: list[str], first: int):
    """One or two gaps in a run that its first words and one word behind each gap determine."""
    start = rng.randint(first, len(words) - 2)
    end = rng.randint(start + 1, min(start + 3, len(words) - 1))
    gaps = [(start, end)]
    if end + 2 < len(words) and rng.random() < 0.5:
        second = rng.randint(end + 1, len(words) - 2)
        gaps.append((second, rng.randint(second + 1, min(second + 2, len(words) - 1))))
    return *with_gaps(words, gaps), " ".join(words)


def calendar(names: tuple[str, ...]):
    """Names one after the other, from any."""
    def generate(rng: Random):
        start = rng.randrange(len(names))
        return in_a_run(rng, [names[(start + i) % len(names)] for i in range(rng.randint(5, 12))], 1)
    return generate


def sequence(written):
    """Numbers at equal distances; two in front show the distance."""
    def generate(rng: Random):
        step, start = rng.choice(STEPS), rng.randint(0, 60)
        return in_a_run(rng, [written(start + step * i) for i in range(rng.randint(5, 7))], 2)
    return generate


def repeated(rng: Random):
    """A sentence twice; one of the two has gaps."""
    sentence = english(random_sentence(rng)).split()
    size = len(sentence)
    words = [*sentence, "and", *sentence]
    at = rng.choice((0, size + 1))
    start = rng.randint(1, size - 1)
    end = rng.randint(start + 1, min(start + 3, size))
    return *with_gaps(words, [(at + start, at + end)]), " ".join(sentence)


def facts(rng: Random):
    """Young animals and opposites, with something around them."""
    if rng.random() < 0.5:
        animal = rng.choice(tuple(YOUNG))
        fact = f"a young {animal} is a {YOUNG[animal]}".split()
    else:
        one, other = rng.sample(rng.choice(OPPOSITES), 2)
        fact = f"{one} is not {other}".split()
    speaker = [rng.choice(tuple(ARTICLES)), rng.choice(tuple(NOUNS))]
    words = [*fact, "says", *speaker, *rng.choice(tuple(PLACES)).split()]
    return *with_gaps(words, [(len(fact) - 1, len(fact))]), " ".join(words)


INFILLING = {"days": calendar(DAYS), "months": calendar(MONTHS), "digits": sequence(str), "words": sequence(in_words),
             "repeated": repeated, "facts": facts}
