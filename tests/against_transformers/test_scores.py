"""t5gemma2-score and generate --logprobs against transformers' forced decoding."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, T5Gemma2ForConditionalGeneration

from programs import ROOT, run
from t5gemma2_weights_tool.cli import main

POCKET = ROOT / "examples/pocket"
IMAGE = ROOT / "examples/inputs/shapes.png"
CLOSE = 1e-4  # nats
TARGETS = ["2024-03-05", "ox cat", "twelve thousand three hundred and forty-five and so on " * 6, "日本 élan", " "]


@pytest.fixture(scope="module")
def model():
    return T5Gemma2ForConditionalGeneration.from_pretrained(POCKET, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(POCKET)


def forced(model, source: list[int], ids: list[int], given: int, **inputs) -> torch.Tensor:
    """Log-probabilities [tokens behind the first `given` ids, vocab]. No source: one that the mask hides."""
    encoder_ids = torch.tensor([source or [2]])
    with torch.no_grad():
        logits = model(input_ids=encoder_ids, attention_mask=torch.full_like(encoder_ids, bool(source)),
                       decoder_input_ids=torch.tensor([ids[:-1]]), use_cache=False, **inputs).logits
    return torch.log_softmax(logits[0, given - 1:].double(), -1)


def check_tokens(tokens: list[dict], theirs: torch.Tensor, ids: list[int]) -> None:
    assert [token["id"] for token in tokens] == ids and len(theirs) == len(ids)
    for token, row in zip(tokens, theirs, strict=True):
        expected = row[token["id"]]
        assert abs(token["logprob"] - float(expected)) <= CLOSE
        # Neighbours that are as near to each other as we are to transformers may change places.
        assert int((row > expected + CLOSE).sum()) + 1 <= token["rank"] <= int((row > expected - CLOSE).sum()) + 1


def check_target(answer: dict, theirs: torch.Tensor, ids: list[int]) -> None:
    check_tokens(answer["tokens"], theirs, ids)
    right = theirs[range(len(ids)), ids]
    assert answer["sum"] == pytest.approx(float(right.sum()), abs=CLOSE * len(ids))
    assert answer["mean"] == pytest.approx(float(right.mean()), abs=CLOSE)
    assert answer["perplexity"] == pytest.approx(float(torch.exp(-right.mean())), rel=1e-3)


def answers(*arguments, lines: list[dict] | None = None, folder=POCKET) -> list[dict]:
    flags = ["--jsonl"] if lines else []
    text = "".join(json.dumps(line) + "\n" for line in lines or [])
    done = run("t5gemma2-score", "-q", "-m", folder, *flags, *arguments, text=text)
    assert (done.returncode, done.stderr) == (0, ""), done
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("eos", [False, True])
@pytest.mark.parametrize("start", ["", "in the year "])
@pytest.mark.parametrize("prompt", ["date: the 5th of march 2024", "sort: ox cat " * 30, None])
def test_targets(prompt, start, eos, model, tokenizer):
    """The source is longer than the window, or there is none."""
    source = tokenizer(prompt)["input_ids"] if prompt else []
    begin = tokenizer(start)["input_ids"]
    flags = [*(["-p", prompt] if prompt else []), *(["--decoder-prompt", start] if start else []),
             *(["--eos"] if eos else []), *(word for target in TARGETS for word in ("--target", target))]
    scored = answers(*flags)
    assert len(scored) == len(TARGETS)
    for target, answer in zip(TARGETS, scored, strict=True):
        ids = tokenizer(target, add_special_tokens=False)["input_ids"] + [1] * eos
        check_target(answer, forced(model, source, begin + ids, len(begin)), ids)
        shown = [token["text"] for token in answer["tokens"]]
        assert "".join(shown).removesuffix("<eos>") == target or any(text.startswith("<0x") for text in shown)


def test_jsonl(model, tokenizer):
    lines = [{"id": 1, "prompt": "sort: ox cat", "target": "cat ox"},
             {"prompt": "sort: ox cat", "targets": ["cat ox", "ox cat"], "eos": True},
             {"input_ids": [2, 893, 326], "decoder_input_ids": [2, 7], "target_ids": [5, 9, 9]}]
    one, two, three = answers(lines=lines)
    source = tokenizer("sort: ox cat")["input_ids"]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("cat ox", "ox cat")]
    assert list(one) == ["id", "tokens", "sum", "mean", "perplexity"] and one["id"] == 1
    check_target(one, forced(model, source, [2, *ids[0]], 1), ids[0])
    for answer, tokens in zip(two["scores"], ids, strict=True):
        check_target(answer, forced(model, source, [2, *tokens, 1], 1), [*tokens, 1])
    check_target(three, forced(model, [2, 893, 326], [2, 7, 5, 9, 9], 2), [5, 9, 9])


def test_image(model, tmp_path):
    trace = tmp_path / "trace.safetensors"
    prompt = "what colour is the square?"
    assert run("t5gemma2-trace", "-q", "-p", prompt, "--image", IMAGE, "-o", trace).returncode == 0
    inputs = load_file(trace)
    [answer] = answers("-p", prompt, "--image", IMAGE, "--target-ids", "5,900,7")
    theirs = forced(model, inputs["inputs.input_ids"][0].tolist(), [2, 5, 900, 7], 1,
                    pixel_values=inputs["inputs.pixel_values"])
    check_target(answer, theirs, [5, 900, 7])


def test_softcap(tmp_path):
    """Logits are those after the softcap."""
    preset = ROOT / "weights_tool/t5gemma2_weights_tool/presets/tiny.json"
    (tmp_path / "config.json").write_text(
        preset.read_text().replace('"final_logit_softcapping": null', '"final_logit_softcapping": 2.5'))
    assert main(["random", str(tmp_path / "config.json"), "-o", str(tmp_path / "model")]) == 0
    model = T5Gemma2ForConditionalGeneration.from_pretrained(tmp_path / "model", dtype=torch.float32).eval()
    [answer] = answers("--input-ids", "2,7,9,62,11", "--decoder-input-ids", "2", "--target-ids", "5,9,62,8,20",
                       folder=tmp_path / "model")
    assert "text" not in answer["tokens"][0]
    check_target(answer, forced(model, [2, 7, 9, 62, 11], [2, 5, 9, 62, 8, 20], 1), [5, 9, 62, 8, 20])


@pytest.mark.parametrize("flags", [[], ["--temp", "1.5", "--seed", "7", "--repeat-penalty", "1.3"],
                                   ["--num-beams", "3", "--num-return-sequences", "2"]])
def test_logprobs_of_generated_text(flags, model, tokenizer):
    """Of the raw logits, whatever chose the tokens."""
    prompt, start = "in words: 39629", "thirty"
    line = {"prompt": prompt, "decoder_prompt": start, "logprobs": 4, "n_predict": 12}
    done = run("t5gemma2-generate", "-q", "-m", POCKET, "--jsonl", *flags, text=json.dumps(line) + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    source, begin = tokenizer(prompt)["input_ids"], tokenizer(start)["input_ids"]
    for made in [answer, *answer.get("sequences", [])]:
        theirs = forced(model, source, made["ids"], len(begin))
        check_tokens(made["logprobs"], theirs, made["ids"][len(begin):])
        for token, row in zip(made["logprobs"], theirs, strict=True):
            best = torch.topk(row, 4)
            assert len(token["top"]) == 4
            for likely, expected in zip(token["top"], best.values, strict=True):
                assert abs(likely["logprob"] - float(row[likely["id"]])) <= CLOSE
                assert abs(likely["logprob"] - float(expected)) <= CLOSE
    if not flags:
        assert all(token["rank"] == 1 and token["top"][0]["id"] == token["id"] for token in answer["logprobs"])
        assert all(key in answer["logprobs"][0]["top"][0] for key in ("id", "text", "logprob"))


def test_the_mean_is_transformers_loss(model, tokenizer):
    """The loss of a model that is trained on the target: labels are the target and eos, shifted in behind bos."""
    source, target = tokenizer("sort: ox cat", return_tensors="pt"), "cat ox"
    labels = torch.tensor([tokenizer(target, add_special_tokens=False)["input_ids"] + [1]])
    with torch.no_grad():
        loss = model(**source, labels=labels).loss
    [answer] = answers("-p", "sort: ox cat", "--target", target, "--eos")
    assert answer["mean"] == pytest.approx(-float(loss), abs=CLOSE)
