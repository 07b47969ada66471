"""t5gemma2-score, and generate --logprobs: what is wrong gets one clear line. Numbers are tested against transformers."""
import json
import math
import subprocess

import pytest
from running import PROGRAMS, ROOT, SHAPES, answers, output, refused, run

POCKET = ROOT / "examples/pocket"


def scored(*arguments, text: str = "") -> list[dict]:
    return [json.loads(line) for line in output("score", *arguments, text=text).splitlines()]


def test_the_right_answer_is_likelier():
    right, wrong = scored("sort: ox cat", "--target", "cat ox", "--target", "ox cat")
    assert list(right) == ["tokens", "sum", "mean", "perplexity"]
    assert right["mean"] > -0.01 > wrong["mean"] and all(token["rank"] == 1 for token in right["tokens"])
    for one in right, wrong:
        assert [list(token) for token in one["tokens"]] == [["id", "text", "logprob", "rank"]] * 2
        assert math.isclose(one["sum"], sum(token["logprob"] for token in one["tokens"]), abs_tol=1e-9)
        assert math.isclose(one["mean"], one["sum"] / 2) and math.isclose(one["perplexity"], math.exp(-one["mean"]))
    assert [token["text"] for token in wrong["tokens"]] == ["ox", " cat"]


def test_where_a_target_begins_and_ends():
    [whole] = scored("in words: 12", "--target", "twelve", "--eos")
    assert whole["tokens"][-1]["text"] == "<eos>" and whole["tokens"][-1]["id"] == 1
    [alone] = scored("in words: 12", "--target", "", "--eos")
    assert len(alone["tokens"]) == 1
    [part] = scored("in words: 12", "--decoder-prompt", "twel", "--target", "ve")
    [ids] = scored("--input-ids", ",".join(output("tokenize", "in words: 12").split()), "--target-ids",
                   ",".join(str(token["id"]) for token in whole["tokens"]))
    assert ids["tokens"] == whole["tokens"] and part["tokens"][0]["text"] == "ve"
    [nothing] = scored("--target", "twelve")  # no source
    assert nothing["sum"] < whole["sum"]
    [picture] = scored("--image", SHAPES, "-p", "what colour is the square?", "--target", "purple", "--eos")
    assert picture["perplexity"] < 1.1


def test_jsonl():
    lines = [{"id": 1, "prompt": "sort: ox cat", "target": "cat ox"}, {"prompt": "x", "target": ""},
             {"prompt": "x", "targets": []}, {"prompt": "x"}, {"prompt": "x", "target": "a", "targets": ["b"]},
             {"prompt": "x", "target": "a", "target_ids": [5]}, {"prompt": "x", "target_ids": [99999]},
             {"prompt": "x", "target": 5}, {"prompt": "x", "targets": ["a", 5]}, {"prompt": "x", "target": "a", "eos": 1},
             {"prompt": "x", "input_ids": [2], "target": "a"}, {"images": ["/no/cat.png"], "target": "a"},
             {"target": "a", "mean": 1, "tag": "kept"}]
    done = run("score", "--jsonl", "-m", POCKET, text="".join(json.dumps(line) + "\n\n" for line in lines) + "[]\n")
    made = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and len(made) == 14
    [right] = scored("sort: ox cat", "--target", "cat ox")
    assert made[0] == {"id": 1, **right}
    wrong = {1: "target: expected a text, found an empty one", 2: "targets: expected one text or more, found a list of 0",
             3: "target: expected one of target, targets and target_ids, found none",
             4: "target: expected one of target, targets and target_ids, found several",
             5: "target: expected one of target, targets and target_ids, found several",
             6: "target: token id: expected 0 to 1234, found 99999", 7: "target: expected a text, found 5",
             8: "targets[1]: expected a text, found 5", 9: "eos: expected true or false, found 1",
             10: "input_ids: expected ids or prompt, not both", 11: "/no/cat.png: expected an image",
             13: "expected an object, found a list of 0"}
    assert {i for i, line in enumerate(made) if "error" in line} == set(wrong)
    for i, message in wrong.items():
        assert made[i]["error"].startswith(f"stdin line {2 * i + 1}: ") and message in made[i]["error"], made[i]
    assert made[12]["tag"] == "kept" and len(made[12]["tokens"]) == 1
    assert "not copied from the lines, as answers have keys of these names: mean" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("t5gemma2-score: error: 12 of 14 lines failed")


@pytest.mark.parametrize("arguments, code, message", [
    (["x"], 2, "expected --target TEXT, found none"),
    (["x", "--target", ""], 1, "target: expected a text, found an empty one; eos alone can be scored with --eos"),
    (["x", "--target-ids", ""], 1, "target: expected a text, found an empty one"),
    (["x", "--target-ids", "5,x"], 1, 'target ids: byte 2: expected a token id, found "x"'),
    (["x", "--target-ids", "5,1235"], 1, "target: token id: expected 0 to 1234, found 1235"),
    (["x", "--target", "a", "--target-ids", "5"], 2, "--target-ids"),
    (["x", "--target", b"\xff"], 2, "--target: expected UTF-8"),
    (["x", "--target", "a", "--jsonl"], 2, "--jsonl: sources and targets come line by line"),
    (["x", "--target", "a", "-f", "x"], 2, "-f: expected --jsonl, too"),
    (["--jsonl", "-f", "/no/lines"], 1, "/no/lines: expected a file to read"),
    (["x", "--target", "a", "--decoder-input-ids", ""], 2, "--decoder-input-ids: expected at least one id"),
    (["--image", "/no/cat.png", "--target", "a"], 1, "/no/cat.png: expected an image"),
])
def test_what_is_wrong_is_told_in_one_line(arguments, code, message):
    done = subprocess.run([PROGRAMS / "t5gemma2-score", "-q", "-m", POCKET, *arguments], capture_output=True, timeout=60)
    assert done.returncode == code and done.stdout == b"", done
    assert message in done.stderr.decode() and done.stderr.count(b"\n") == 1, done


# ---- generate --logprobs ----


def test_logprobs_are_those_of_score():
    [made] = answers("--logprobs", 2, lines=[{"prompt": "in words: 12"}])
    assert list(made) == ["text", "finish_reason", "ids", "logprobs"]
    assert [token["id"] for token in made["logprobs"]] == made["ids"][1:]
    [same] = scored("in words: 12", "--target-ids", ",".join(map(str, made["ids"][1:])))
    for token, other in zip(made["logprobs"], same["tokens"], strict=True):
        assert len(token.pop("top")) == 2 and token == other
    [none] = answers(lines=[{"prompt": "in words: 12", "logprobs": 0}])
    assert all(token["top"] == [] for token in none["logprobs"])
    [without] = answers(lines=[{"prompt": "in words: 12"}])
    assert "logprobs" not in without and without["text"] == made["text"]


def test_a_key_that_is_obeyed_is_no_lost_key():
    done = run("generate", "-m", POCKET, "--jsonl", text='{"prompt": "in words: 12", "logprobs": 1}')
    assert done.returncode == 0 and "not copied" not in done.stderr


def test_logprobs_need_jsonl():
    refused(run("generate", "-m", POCKET, "--logprobs", "2", "x"), 2, "--logprobs: expected --jsonl, too")
    [line] = answers(lines=[{"prompt": "x", "logprobs": -1}], code=1)
    assert "logprobs: expected a whole number from 0" in line["error"]
