"""generate --fill: prompts with their gaps, ___, filled in.

Needs weights_tool and the built programs. Run: pytest tests/programs
"""
import json
import re
from random import Random

import pytest
from running import ROOT, SHAPES, answers, output, refused, run

from t5gemma2_weights_tool.pocket import items

DAYS = "monday tuesday ___ friday"
FILLED = "monday tuesday wednesday thursday friday"
SENTINEL = re.compile("<unused[0-9]+>")


def notes(*arguments, text: str = "") -> tuple[str, list[str]]:
    """The output and the notes."""
    done = run("generate", "-m", "pocket", "--fill", *arguments, text=text)
    assert done.returncode == 0, done
    return done.stdout, [line for line in done.stderr.splitlines() if line.startswith("note: ")]


# ---- output ----

@pytest.mark.parametrize("prompt, filled", [
    (DAYS, FILLED),
    ("monday tuesday ______ friday", FILLED),
    ("10 20 ___ 50 60 ___ 80", "10 20 30 40 50 60 70 80"),
    ("old is not ___ says the dog in the garden", "old is not young says the dog in the garden"),
])
def test_gaps_are_filled(prompt, filled):
    assert notes("-p", prompt) == (filled, [])


def test_prompts_from_anywhere(tmp_path):
    (tmp_path / "prompt").write_text(DAYS + "\n")
    assert output("generate", "--fill", "-f", tmp_path / "prompt") == FILLED
    assert output("generate", "--fill", text=DAYS + "\n") == FILLED
    assert output("generate", "--fill", DAYS) == FILLED


def test_an_image_beside_gaps():
    prompt = "<start_of_image>" + DAYS
    assert output("generate", "--fill", "-p", DAYS, "--image", SHAPES).startswith("monday tuesday ")
    filled = output("generate", "--fill", "-p", prompt, "--image", SHAPES)
    assert filled.startswith("<start_of_image>monday tuesday ") and filled.endswith(" friday")


@pytest.mark.parametrize("flags", [("--num-beams", "3"), ("--temp", "0.5", "-s", "1")])
def test_each_of_several_texts_is_filled(flags):
    lines = output("generate", "--fill", "-p", DAYS, "--num-return-sequences", "3", *flags).splitlines()
    assert len(lines) == 3 and FILLED in lines
    assert all(line.startswith("monday tuesday ") and line.endswith(" friday") for line in lines)


def test_the_beginning_of_the_answer():
    assert notes("-p", DAYS, "--decoder-prompt", "<unused31> wednesday") == (FILLED, [])
    given = notes("-p", DAYS, "--decoder-prompt", "<unused31> blue", "-n", "0")[0]
    assert given == "monday tuesday blue friday"


def test_other_sentinels():
    line, = answers("--fill", "--first-sentinel", "30", lines=[{"prompt": DAYS}])
    assert line["ids"][1] == 38  # <unused30>, which pocket would generate there itself
    assert output("generate", "--fill", "--first-sentinel", "31", "-p", DAYS) == FILLED


# ---- answers that do not fill the gaps as asked ----

def test_a_gap_that_is_left_out():
    filled, said = notes("-p", "monday ___ wednesday ___ friday", "--decoder-prompt", "<unused30> thursday", "-n", "0")
    assert filled == "monday ___ wednesday thursday friday"
    assert said == ["note: gap 1 was left out", "note: the answer was cut at its limit, which -n sets"]


@pytest.mark.parametrize("flags", [("-n", "1"), ("--stop", " ")])
def test_a_gap_that_was_cut_before_a_word_came(flags):
    filled, said = notes("-p", "10 20 ___ 50 60 ___ 80", *flags)
    assert filled == "10 20 ___ 50 60 ___ 80" and said[:2] == ["note: gap 1 was left out", "note: gap 2 was left out"]


def test_a_gap_that_is_filled_twice():
    answer = "<unused31> tuesday<unused31> blue<unused2> red"
    filled, said = notes("-p", "monday ___ wednesday", "--decoder-prompt", answer, "-n", "0")
    assert filled == "monday tuesday wednesday"
    assert said[:2] == ['note: gap 1 was filled again: " blue" was ignored',
                        'note: the answer has <unused2>, which no gap has: " red" was ignored']


def test_notes_say_of_which_text():
    said = notes("-p", DAYS, "-n", "1", "--num-beams", "2", "--num-return-sequences", "2")[1]
    assert said[0].startswith("note: text 1: ") and said[-1].startswith("note: text 2: ")


def test_the_sentinel_behind_the_last_gap_ends_the_answer(tmp_path):
    """The last of four tokens is forced to be a sentinel."""
    for file in (ROOT / "examples/pocket").iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "generation_config.json").unlink()
    config = {"eos_token_id": 1, "bos_token_id": 2, "forced_eos_token_id": 38, "max_new_tokens": 4}
    (tmp_path / "generation_config.json").write_text(json.dumps(config))
    line, = answers("-m", tmp_path, "--fill", lines=[{"prompt": DAYS}])
    assert line["ids"][-1] == 38 and line["finish_reason"] == "stop" and line["filled"] == FILLED


# ---- wrong usage ----

@pytest.mark.parametrize("arguments, code, message", [
    (("-p", "monday tuesday"), 1, "prompt: gaps: expected ___ where words are missing, found none"),
    (("-p", "monday ___<unused3>"), 1, "prompt: gaps: expected ___ alone, found <unused3>, too"),
    (("-p", "___ a " * 33), 1, "expected at most 32, a sentinel for each from <unused31> down, found 33"),
    (("-p", DAYS, "--first-sentinel", "32"), 1, "<unused32>: expected a piece of the vocabulary, found none"),
    (("--image", SHAPES), 1, "prompt: gaps: expected a text with ___ where words are missing, found no text"),
    (("--decoder-prompt", "a"), 1, "prompt: gaps: expected a text"),
    (("-p", DAYS, "--decoder-prompt", "friday"), 1, "decoder prompt: beginning: expected <unused31>"),
    (("-p", DAYS, "--decoder-input-ids", "2,38"), 1, "decoder prompt: beginning: expected <unused31>"),
    (("--input-ids", "2,39"), 2, "--fill: gaps are ___ in a prompt, not in --input-ids"),
    (("-p", DAYS, "--special"), 2, "--fill prints the prompt with its gaps filled"),
    (("-p", DAYS, "--first-sentinel", "-1"), 2, "--first-sentinel"),
])
def test_what_cannot_be_filled(arguments, code, message):
    refused(run("generate", "-q", "--fill", *arguments), code, message)


def test_first_sentinel_alone():
    refused(run("generate", "-q", "--first-sentinel", "3", "-p", DAYS), 2, "--first-sentinel: expected --fill")


def test_underscores_are_text_without_fill():
    assert "___" not in output("generate", "-p", DAYS)


# ---- JSONL ----

def test_jsonl_lines_that_fill_and_lines_that_do_not():
    lines = answers(lines=[{"prompt": DAYS, "fill": True}, {"prompt": "sort: ox cat"}])
    assert list(lines[0]) == ["text", "finish_reason", "ids", "filled", "gaps"]
    assert lines[0]["filled"] == FILLED and lines[0]["gaps"] == ["wednesday thursday"]
    assert lines[0]["text"] == " wednesday thursday" and lines[0]["ids"][:2] == [2, 39]
    assert lines[1]["text"] == "cat ox" and "filled" not in lines[1]


def test_jsonl_says_what_was_left_out():
    line, = answers("--fill", "-n", "0",
                    lines=[{"prompt": "___ ox ___ cat", "decoder_prompt": "<unused30> dog"}])
    assert line["filled"] == "___ ox dog cat" and line["gaps"] == [None, "dog"]


def test_jsonl_notes_say_of_which_line():
    line = json.dumps({"prompt": DAYS, "fill": True})
    said = run("generate", "-m", "pocket", "--jsonl", "-n", "1", text=f"\n{line}\n").stderr
    assert said.startswith("note: stdin line 2: gap 1 was left out\nnote: stdin line 2: the answer was cut at its limit, which -n sets\n")


def test_jsonl_fills_each_of_several_texts():
    line, = answers("--fill", "--num-beams", "2", "--num-return-sequences", "2", lines=[{"prompt": DAYS}])
    assert line["filled"] == FILLED
    assert [one["filled"].split()[:2] for one in line["sequences"]] == [["monday", "tuesday"]] * 2


def test_pocket_fills_held_out_items():
    """As many as its model card says: 97.8 % to 100 % of each kind."""
    rng = Random(7)
    drawn = [items.draw("infilling", rng, held_out=True) for _ in range(100)]
    made = answers("--fill", lines=[{"prompt": SENTINEL.sub(" ___", item.prompt)} for item in drawn])
    right = 0
    for item, line in zip(drawn, made):
        gaps = [text.strip() for text in SENTINEL.split(item.answer)[1:]]
        whole = SENTINEL.sub(lambda _, words=iter(gaps): " " + next(words), item.prompt)
        right += line["gaps"] == gaps
        assert (line["filled"] == whole) == (line["gaps"] == gaps), line
    assert right >= 95, right
