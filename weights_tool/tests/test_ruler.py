"""ruler's items, without a tokenizer: what is asked has one answer, and it follows from the text; scoring; bad values."""
import re
from collections import Counter
from random import Random

import pytest

from t5gemma2_weights_tool.cli import main
from t5gemma2_weights_tool.pocket.items import is_held_out
from t5gemma2_weights_tool.ruler import counting, words
from t5gemma2_weights_tool.ruler.item import hidden, listed, score
from t5gemma2_weights_tool.ruler.prompt import FORMS, Prompt, prompt
from t5gemma2_weights_tool.ruler.wordings import FAMILIES, WORDINGS

KINDS = [pytest.param(wording, family, id=f"{wording.name}-{family.name}")
         for wording in WORDINGS.values() for family in wording.families]


def needles(text: str, question: str) -> list[str]:
    """Values of the keys that the question names."""
    pairs = re.findall(r"code of ([a-z-]+) is (\d+)\.", text)
    return [value for key, value in pairs if re.search(rf"\b{key}\b", question)]


def chained(text: str, question: str) -> list[str]:
    """Variables of a value."""
    value = re.search(r"value (\d+)", question)[1]
    names = [value]
    for name, before in re.findall(r"Let ([A-Z]+) = (\w+)\.", text):
        if before in names:
            names.append(name)
    return names[1:]


def codes_of_chains(text: str, question: str) -> list[str]:
    links = dict(re.findall(r"the code of (\w+) is (?:the code of )?(\w+)\.", text))
    at = re.search(r"what is the code of (\w+)\?$", question)[1]
    for _ in range(3):
        at = links[at]
    return [at]


def most_frequent(count: int, pattern: str):
    def solve(text: str, _question: str) -> list[str]:
        ranks = Counter(re.findall(pattern, text.partition("\n\n")[2])).most_common(count + 1)
        assert ranks[count - 1][1] > ranks[count][1]  # no tie
        return [word for word, _ in ranks[:count]]
    return solve


def played(text: str, question: str) -> list[str]:
    person = re.search(r"where (.+) was born", question)[1]
    town, = re.findall(rf"\b{person} was born in (\w+)\.", text)
    names, = re.findall(rf"In {town} they play the (\w+), which is also called the (\w+)\.", text)
    return list(names)


SOLVERS = {"variables": chained, "common words": most_frequent(10, r"\d+\. (\w+)"),
           "frequent words": most_frequent(3, r"[a-z]+"), "two hops": played}


def solver(wording, family):
    return codes_of_chains if (wording.name, family.name) == ("pocket", "two hops") else SOLVERS.get(family.name, needles)


@pytest.mark.parametrize("wording, family", KINDS)
def test_the_text_answers_the_question(wording, family):
    """By other code than the one that made it, by every maker; the text alone grows with the size."""
    for number, make in ((number, make) for number in range(20) for make in family.makers):
        items = [make(f"seed {number}", size) for size in (0, 1, 2, 7, 60)]
        for item in items:
            found = solver(wording, family)(item.text, item.question)
            assert sorted(found) == sorted(item.answers) and len(set(found)) == len(found), item
            assert score(item.answers, item.any_of, item.solution) == 1
            assert all(answer in item.text for answer in item.answers)
            assert not any(answer in item.question + item.lead for answer in item.answers)
            assert (item.question, item.lead, item.solution, item.names) == (
                items[0].question, items[0].lead, items[0].solution, items[0].names)
        sizes = [len(item.text) for item in items]
        assert sizes == sorted(sizes) and len(set(sizes)) >= 4  # of the coded words two may be as long
        assert items[3] == make(f"seed {number}", 7)


@pytest.mark.parametrize("wording, family", KINDS)
def test_seeds_differ(wording, family):
    assert len({family.makers[0](str(seed), 3).text for seed in range(50)}) == 50


def test_all_families():
    assert FAMILIES == ("single", "multi-key", "multi-value", "multi-query", "variables", "common words", "frequent words",
                        "two hops")
    assert [family.name for family in WORDINGS["pocket"].families] == ["single", "multi-key", "multi-value", "multi-query",
                                                                      "two hops"]


def test_needles_keep_their_relative_depth():
    filler = [f"{number}." for number in range(100)]
    texts = [hidden(["first", "second"], filler[:size], Random(1)).split() for size in (10, 100)]
    depths = [[text.index(needle) / len(text) for needle in ("first", "second")] for text in texts]
    assert all(abs(a - b) < 0.15 and a < 1 for a, b in zip(*depths)) and depths[0][0] < depths[0][1]
    assert hidden(["a", "b"], [], Random(1)) == "a b"


def test_needles_lie_everywhere():
    family = WORDINGS["english"].families[0]
    texts = [family.makers[0](str(seed), 50).text for seed in range(200)]
    depths = sorted(text.index(" access code of ") / len(text) for text in texts)
    assert depths[0] < 0.08 and depths[-1] > 0.9 and 0.4 < depths[100] < 0.6


def test_pocket_asks_what_was_not_trained_on():
    single, two_hops = WORDINGS["pocket"].families[0], WORDINGS["pocket"].families[-1]
    for seed in range(20):
        item = single.makers[0](str(seed), 5)
        assert is_held_out(f"{item.names[0]} {item.answers[0]}")
        asked = Prompt(f"{item.text} what is the code of {item.names[0]}?", "")
        assert prompt(item, [], WORDINGS["pocket"], "encoder") == asked
        assert len(two_hops.makers[0](str(seed), 5).names) == 6


def test_orders_give_nothing_away():
    """Of lists, of the two facts, and of which key is asked about."""
    families = {family.name: family for family in WORDINGS["english"].families}
    for name, pattern in ("common words", r"\d+\. (\w+)"), ("frequent words", r"[a-z]+"):
        item = families[name].makers[-1]("x", 30)
        places = [i for i, word in enumerate(re.findall(pattern, item.text.partition("\n\n")[2])) if word == item.answers[0]]
        assert places != list(range(places[0], places[0] + len(places))), name
    items = [families["two hops"].makers[0](str(seed), 9) for seed in range(40)]
    births_first = [item.text.index(f"born in {item.names[1]}") < item.text.index(f"In {item.names[1]}") for item in items]
    assert 10 < sum(births_first) < 30
    items = [families["multi-key"].makers[0](str(seed), 9) for seed in range(80)]
    ranks = Counter(re.findall(r"code of \S+ is (\d+)", item.text).index(item.answers[0]) for item in items)
    assert sorted(ranks) == [0, 1, 2, 3] and min(ranks.values()) > 8


def test_words():
    """None is part of another, so that a wrong answer is not taken for a right one."""
    pool = set(words.compounds())
    assert len(pool) == len(words.NOUNS) * (len(words.NOUNS) - 1) and len(set(words.NOUNS)) == len(words.NOUNS)
    for choice, shortest in (words.NOUNS, 3), (tuple(pool), 6):
        known = set(choice)
        assert not [word for word in choice for i in range(len(word)) for j in range(i + shortest, len(word) + 1)
                    if j - i < len(word) and word[i:j] in known]


def test_counts_follow_a_zeta_distribution():
    big = counting.counts(100_000)
    assert abs(big[0] / 100_000 - 0.6079) < 1e-4 and abs(big[0] / big[9] - 100) < 0.3
    for total in range(counting.FEWEST, 2000):
        frequency = counting.counts(total)
        assert frequency == sorted(frequency, reverse=True) and frequency[3] > (frequency + [0])[4]


def test_one_text_cut_at_different_places():
    wording, family = WORDINGS["english"], WORDINGS["english"].families[0]
    item, example = family.makers[0]("a", 3), family.makers[0]("b", 1)
    made = {form: prompt(item, [example], wording, form) for form in FORMS}
    whole = made["decoder-only"].decoder
    assert made["decoder-only"].encoder is None and made["decoder-only"].request() == {"decoder_prompt": whole}
    for form in FORMS[:2]:
        assert made[form].encoder + made[form].decoder == whole
        assert made[form].request() == {"prompt": made[form].encoder, "decoder_prompt": made[form].decoder}
    assert made["encoder"].decoder == item.lead and made["question-in-decoder"].decoder.startswith("\n\nQuestion: What is")
    solved = f"{example.text}\n\nQuestion: {example.question}\nAnswer:{example.lead}{example.solution}"
    assert whole.startswith(f"{solved}\n\n{item.text}")
    assert whole.endswith(f"\n\nQuestion: {item.question}\nAnswer:{item.lead}") and not whole.endswith(" ")


def test_score():
    assert score(["123", "45"], False, " 45 and 123.") == 1 and score(["123", "45"], False, "12345") == 1
    assert score(["123", "45"], False, "124, 45") == 0.5 and score(["KOVAL"], False, " koval") == 1
    assert score(["a", "b"], True, "B") == 1 and score(["x", "y"], True, "z") == 0 and score(["x"], False, "") == 0
    assert listed(["a"]) == "a" and listed(["a", "b"]) == "a and b" and listed(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize("more, status, message", [
    (["--form", "sideways"], 2, "--form"),
    (["--lengths", "12,x"], 2, "whole numbers"),
    (["--wording", "french"], 2, "--wording"),
    (["--shotz", "1"], 2, "unknown flag --shotz; the nearest is --shots"),
])
def test_wrong_usage(more, status, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["ruler", "examples/pocket", *more])
    assert ended.value.code == status and message in capsys.readouterr().err
