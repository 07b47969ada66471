"""Items without pictures: every answer computed again from the prompt, by other means."""
import re
from collections import Counter
from datetime import datetime
from random import Random

import pytest

from t5gemma2_weights_tool.pocket import grammar, infilling, items, retrieval
from t5gemma2_weights_tool.pocket.items import Item

HELD_OUT_BELOW_60 = [18, 29, 47, 55]
KINDS = [(task, kind) for task in items.TASKS for kind in items.KINDS[task]]


def drawn(task: str, kind: str | None = None, n: int = 300, length: int | None = None) -> list[Item]:
    rng = Random(7)
    return [items.draw(task, rng, i % 2 == 0, kind, length) for i in range(n)]


@pytest.mark.parametrize("kind, pattern", [
    ("5 march 2024", "%d %B %Y"), ("march 5, 2024", "%B %d, %Y"), ("the 5th of march 2024", "the %d of %B %Y"),
    ("tuesday, 5 march 2024", "%A, %d %B %Y"), ("5.3.2024", "%d.%m.%Y")])
def test_dates(kind, pattern):
    for item in drawn("dates", kind):
        text = item.prompt.removeprefix("date: ")
        day = datetime.strptime(re.sub("(?<=[0-9])(st|nd|rd|th)", "", text), pattern)
        assert item.answer == item.content == f"{day:%Y-%m-%d}" and 1900 <= day.year < 2100
        if kind.startswith("tuesday"):
            assert text.startswith(f"{day:%A}".lower())
        if kind.startswith("the"):
            ending = "th" if day.day // 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
            assert text.startswith(f"the {day.day}{ending} of")


NUMBER_WORDS = {word: n for n, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen".split())} | dict(zip("twenty thirty forty fifty sixty seventy eighty ninety".split(),
                                             range(20, 100, 10)))


def value(words: str) -> int:
    """Of "seventy-one thousand four hundred six"."""
    total = 0
    for word in re.split("[ -]", words):
        if word == "thousand":
            total *= 1000
        elif word == "hundred":
            total += total % 1000 * 99
        else:
            total += NUMBER_WORDS[word]
    return total


def test_numbers():
    for item in drawn("numbers", "to words"):
        assert value(item.answer) == int(item.prompt.removeprefix("in words: ")) < 100_000
    for item in drawn("numbers", "to digits"):
        assert str(value(item.prompt.removeprefix("in digits: "))) == item.answer == item.content
    assert {len(item.answer) for item in drawn("numbers", "to digits")} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("kind, key", [("words", str), ("numbers", int)])
def test_sorting(kind, key):
    for item in drawn("sorting", kind):
        given, answer = item.prompt.removeprefix("sort: ").split(), item.answer.split()
        assert Counter(given) == Counter(answer) and len(set(given)) == len(given) >= 3
        assert all(key(left) < key(right) for left, right in zip(answer, answer[1:]))


def test_counting():
    found = drawn("counting", n=1000)
    for item in found:
        word, text = re.fullmatch("how many times ([a-z]+): (.*)", item.prompt).groups()
        assert int(item.answer) == text.split().count(word) and 5 <= len(text.split()) <= 10
    assert_balanced([item.answer for item in found], list("01234"))


def assert_balanced(answers: list[str], expected: list[str]) -> None:
    """All expected ones and no other, each about as often."""
    counts, fair = Counter(answers), len(answers) / len(expected)
    assert set(counts) == set(expected)
    assert all(0.7 * fair < n < 1.3 * fair for n in counts.values()), counts


def translated(text: str) -> str:
    """Lumi to English, word by word."""
    tables = (grammar.NOUNS, grammar.ADJECTIVES, grammar.VERBS, grammar.PLACES, grammar.TIMES, grammar.ARTICLES)
    back = [{lumi: english for english, lumi in table.items()} for table in tables]
    assert len({word for table in back for word in table}) == sum(map(len, tables))
    nouns, adjectives, verbs, places, times, articles = back
    words, phrases, time, place = text.split(), [], "", ""
    if words[0] in times:
        time = times[words.pop(0)]
    if words[0] in places:
        place = places[words.pop(0)]
    while len(words) > 1:
        noun = nouns[words.pop(0)]
        adjective = adjectives[words.pop(0)] if words[0] in adjectives else ""
        article = articles[words.pop(0)]
        phrases.append(f"{article} {adjective} {noun}".replace("  ", " ").replace("a old", "an old"))
    thing, subject = phrases
    return " ".join(f"{time} {subject} {verbs[words[0]]} {thing} {place}".split())


def test_translation():
    for item in drawn("translation", "to lumi"):
        assert f"in lumi: {translated(item.answer)}" == item.prompt
    for item in drawn("translation", "to english"):
        assert translated(item.prompt.removeprefix("in english: ")) == item.answer == item.content


@pytest.mark.parametrize("kind, needles, hops", [("single", 1, 0), ("multi-key", 6, 0), ("one hop", 4, 1), ("two hops", 6, 2)])
def test_retrieval(kind, needles, hops):
    positions = []
    for length in (0, retrieval.SHORTEST[kind], 80, 240, 1920):
        for item in drawn("retrieval", kind, 40, length):
            told = dict(re.findall(r"the code of (\w+) is (\d{4})\.", item.prompt))
            links = dict(re.findall(r"the code of (\w+) is the code of (\w+)\.", item.prompt))
            assert len(set(told) | set(links)) == len(told) + len(links) <= needles
            assert len(set(told.values())) == len(told)
            key, = re.findall(r" what is the code of (\w+)\?$", item.prompt)
            found = 0
            while key in links:
                key, found = links[key], found + 1
            assert found == hops and item.answer == told[key]
            if length == 0:
                assert re.fullmatch(r"(the code of \w+ is [\w ]+\. )+what is the code of \w+\?", item.prompt)
                continue
            assert length - 20 < retrieval.token_count(item.prompt) <= length
            if length > 100:
                positions.append(item.prompt.index(item.answer) / len(item.prompt))
    assert min(positions) < 0.15 and max(positions) > 0.6


def test_retrieval_without_a_length():
    lengths = [retrieval.token_count(item.prompt) for item in drawn("retrieval")]
    assert min(lengths) < 90 and 220 < max(lengths) <= 240
    for length, most in ((None, 6), (0, 6), (240, 6), (63, 5), (62, 4), (30, 2)):
        counts = {len(re.findall(r"is \d", item.prompt)) for item in drawn("retrieval", "multi-key", length=length)}
        assert counts == set(range(2, most + 1)), length


@pytest.mark.parametrize("kind, shortest", retrieval.SHORTEST.items())
def test_retrieval_that_does_not_fit(kind, shortest):
    assert retrieval.fits(kind, 0) and retrieval.fits(kind, shortest) and not retrieval.fits(kind, shortest - 1)
    assert not retrieval.fits(None, 69)
    with pytest.raises(ValueError, match="tokens, found 10"):
        drawn("retrieval", kind, 1, 10)


def filled(item: Item) -> str:
    """The prompt with the answer's spans at the places of their sentinels."""
    answer = re.findall(r"(<unused\d+>)([^<]*)", item.answer)
    names = [name for name, _ in answer]
    assert names == [f"<unused{31 - i}>" for i in range(len(names))] == re.findall(r"<unused\d+>", item.prompt)
    text = item.prompt
    for i, (name, span) in enumerate(answer):
        words = span if i + 1 == len(answer) else span.removesuffix(" ")
        assert re.fullmatch("( [a-z0-9-]+)+", words)
        text = text.replace(name, words)
    return text


def is_run(text: str, names: list[str]) -> bool:
    places = [names.index(word) for word in text.split()]
    return all((right - left) % len(names) == 1 for left, right in zip(places, places[1:]))


def test_infilling():
    days = [datetime(2024, 1, 1 + i).strftime("%A").lower() for i in range(7)]
    months = [datetime(2024, 1 + i, 1).strftime("%B").lower() for i in range(12)]
    assert all(is_run(filled(item), days) for item in drawn("infilling", "days"))
    assert all(is_run(filled(item), months) for item in drawn("infilling", "months"))
    for item in drawn("infilling", "digits"):
        numbers = list(map(int, filled(item).split()))
        assert len({right - left for left, right in zip(numbers, numbers[1:])}) == 1
        assert "<" not in " ".join(item.prompt.split()[:1])  # two numbers show the step
    for item in drawn("infilling", "repeated"):
        one, other = filled(item).split(" and ")
        assert one == other == item.content
    assert {"<" in item.prompt.split(" and ")[0] for item in drawn("infilling", "repeated")} == {True, False}
    for item in drawn("infilling", "facts"):
        fact = filled(item).split(" says ")[0]
        young = re.fullmatch(r"a young (\w+) is a (\w+)", fact)
        pair = re.fullmatch(r"(\w+) is not (\w+)", fact)
        assert infilling.YOUNG[young[1]] == young[2] if young else {pair.groups(), pair.groups()[::-1]} & {*infilling.OPPOSITES}
    for item in drawn("infilling", "words"):
        assert filled(item) == item.content


def test_facts_have_one_answer():
    words = [word for pair in infilling.OPPOSITES for word in pair]
    assert len(words) == len(set(words)) and len(set(infilling.YOUNG.values())) == len(infilling.YOUNG)


@pytest.mark.parametrize("task, kind", KINDS)
def test_split_seed_and_size(task, kind):
    def contents(held_out: bool) -> set[str]:
        rng = Random(3)
        return {part for _ in range(60) for part in items.draw(task, rng, held_out, kind).content.split(" | ")}
    trained, held_out = contents(False), contents(True)
    assert all(map(items.is_held_out, held_out)) and not any(map(items.is_held_out, trained)) and held_out
    assert [items.draw(task, Random(5), False, kind) for _ in range(3)] == [items.draw(task, Random(5), False, kind)] * 3
    longest = 240 if task == "retrieval" else 32
    for item in drawn(task, kind, 60):
        assert item.prompt.count("<start_of_image>") == len(item.scenes)
        assert retrieval.token_count(item.prompt) <= longest and retrieval.token_count(item.answer) - 1 <= 30


def test_split_is_stable_and_a_tenth():
    assert [n for n in range(60) if items.is_held_out(str(n))] == HELD_OUT_BELOW_60
    assert 0.09 < sum(items.is_held_out(str(n)) for n in range(20_000)) / 20_000 < 0.11


def test_sentences():
    texts, rng = items.sentences(Random(1)), Random(1)
    lengths = []
    for _ in range(400):
        text = next(texts)
        lengths.append(retrieval.token_count(text))
        for line in text.split("\n"):
            if re.fullmatch(r"[a-z ]+\.", line):
                assert not items.is_held_out(line[:-1])
            assert "<" not in line
    assert 100 < max(lengths) <= 128 and min(lengths) < 15
    again = items.sentences(rng)
    assert next(again) == next(items.sentences(Random(1)))
