"""t5gemma2-look's page: its numbers compared with those of t5gemma2-trace, and its texts.

Needs weights_tool with its [test] extra and the built programs: T5GEMMA2_PROGRAMS is their folder (build/bin).
Run: pytest tests/look/test_look.py
"""
import base64
import json
import shutil

import numpy as np
import pytest
from page import BASIC, Page, look, make_image, make_model, program, template
from safetensors.numpy import load_file, save_file

HOSTILE = "</script><!-- & \"quotes\" 'more' <b>bold</b>\n\n<img src=x onerror=alert(1)> 日本語 é\t{{data}} @page@ ü"
SENTENCE = "Once upon a time, in a small village by the sea, there was a girl who could hear the stars."


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("look") / "model")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return make_image(tmp_path_factory.mktemp("images") / "wide.ppm", 120, 70)


@pytest.fixture(scope="module")
def other_image(tmp_path_factory):
    return make_image(tmp_path_factory.mktemp("images") / "tall.ppm", 40, 90)


def traced(model, page, out, *arguments):
    """The weights [words, layers, heads, columns] by t5gemma2-trace."""
    done = program("trace", model, "-o", out, "--decoder-prompt", "".join(page.words()[1:]), *arguments)
    assert done.returncode == 0, done.stderr
    tensors, words, first = load_file(out), page.data["words"], page.data["first"]
    expected = np.zeros_like(page.weights)
    for layer in range(expected.shape[1]):
        at = f"model.decoder.layers.{layer}.self_attn."
        own = tensors[at + "weights"][0].astype(np.float64)  # [heads, m, m]
        assert own.shape[1] == words[-1]["first"] + words[-1]["size"]
        by_word = np.stack([own[..., w["first"]:w["first"] + w["size"]].sum(-1) for w in words], axis=-1)
        cross = tensors.get(at + "cross_weights", np.zeros((1, *own.shape[:2], 0)))[0]
        rows = np.concatenate([cross, by_word], axis=-1)
        for i, word in enumerate(words[first:first + expected.shape[0]]):
            expected[i, layer] = rows[:, word["first"] - 1:word["first"] + word["size"] - 1].mean(axis=1)
    return expected


def check_numbers(page, expected):
    np.testing.assert_allclose(page.sums.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(page.weights.sum(-1), 1, atol=1e-5)
    for part in range(page.sums.shape[-1]):
        here = expected[..., page.part_of == part]
        np.testing.assert_allclose(page.sums[..., part], here.sum(-1), atol=1e-5)
        tolerance = here.max(-1, keepdims=True, initial=0) / 100 + 1e-7
        assert (np.abs(page.weights[..., page.part_of == part] - here) <= tolerance).all()
    averaged, expected_average = page.weights.mean((1, 2)), expected.mean((1, 2))
    np.testing.assert_allclose(averaged, expected_average, atol=expected_average.max() / 200)


def test_text(model, tmp_path):
    arguments = ["-p", "The quick brown fox jumps over the lazy dog."]
    page = look(model, tmp_path / "a.html", "-n", 0, "--decoder-prompt", SENTENCE, *arguments)
    assert page.data["weights"]["parts"] == 2 and page.data["images"] == []
    assert page.words()[:4] == ["<bos>", "Once", " upon", " a"]
    assert [word.strip() for word in page.words()[1:]] == SENTENCE.split()
    check_numbers(page, traced(model, page, tmp_path / "a.safetensors", *arguments))


def test_image(model, image, tmp_path):
    arguments = ["--image", image, "-p", "What is in <start_of_image> this?"]
    page = look(model, tmp_path / "a.html", "-n", 0, "--decoder-prompt", SENTENCE, *arguments)
    assert [piece["size"] for piece in page.data["prompt"] if piece["kind"] == "image"] == [16]
    [image] = page.data["images"]
    assert (image["width"], image["height"], image["name"]) == (56, 32, "wide.ppm")
    jpeg = base64.b64decode(image["source"].removeprefix("data:image/jpeg;base64,"))
    assert jpeg[:2] == b"\xff\xd8" and jpeg[-2:] == b"\xff\xd9"
    check_numbers(page, traced(model, page, tmp_path / "a.safetensors", *arguments))


def test_two_images_without_text(model, image, other_image, tmp_path):
    arguments = ["--image", image, "--image", other_image]
    page = look(model, tmp_path / "a.html", "-n", 0, "--decoder-prompt", SENTENCE, *arguments)
    assert page.data["weights"]["parts"] == 4 and len(page.data["images"]) == 2
    check_numbers(page, traced(model, page, tmp_path / "a.safetensors", *arguments))


@pytest.mark.parametrize("made", [False, True])
def test_probabilities_and_ids(model, image, tmp_path, made):
    """For each token of a word: the softmax of the raw logits, the rank, and the five likeliest tokens."""
    arguments = ["--image", image, "-p", "A <start_of_image> fox"]
    words = ["-n", 12] if made else ["-n", 0, "--decoder-prompt", SENTENCE + " 日é"]
    page = look(model, tmp_path / "a.html", *arguments, *words)
    done = program("trace", model, "-o", tmp_path / "a.safetensors", "--decoder-prompt", "".join(page.words()[1:]), *arguments)
    assert done.returncode == 0, done.stderr
    tensors = load_file(tmp_path / "a.safetensors")
    ids = tensors["inputs.decoder_input_ids"][0]
    assert [i for word in page.data["words"] for i in word["ids"]] == ids.tolist()
    of_prompt = [i for piece in page.data["prompt"] for i in piece["ids"] * (piece["size"] // len(piece["ids"]))]
    assert of_prompt == tensors["inputs.input_ids"][0].tolist()
    logits = tensors["logits"][0].astype(np.float64)
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    first, shown = page.data["first"], page.data["shown"]
    looked = page.data["words"][first:first + shown]
    assert len(page.data["predictions"]) == shown and any(word["size"] > 1 for word in looked)
    for word, tokens in zip(looked, page.data["predictions"], strict=True):
        assert [token["id"] for token in tokens] == word["ids"]
        for at, token in enumerate(tokens, word["first"]):
            row = p[at - 1]
            assert token["probability"] == pytest.approx(row[token["id"]], rel=1e-4)
            assert token["rank"] == 1 + (row > row[token["id"]]).sum()
            assert [one["id"] for one in token["best"]] == np.argsort(-row, kind="stable")[:5].tolist()
            assert [one["probability"] for one in token["best"]] == pytest.approx(np.sort(row)[:-6:-1], rel=1e-4)
        if all("<0x" not in token["text"] for token in tokens):
            assert "".join(token["text"] for token in tokens) == word["text"]


def test_logits_that_are_no_numbers_make_no_page(model, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    weights = load_file(tmp_path / "model/model.safetensors")
    norm = next(name for name in weights if name.endswith("decoder.norm.weight"))
    weights[norm] = np.full_like(weights[norm], np.nan)
    save_file(weights, tmp_path / "model/model.safetensors")
    done = program("look", "-m", tmp_path / "model", "-n", 0, "--decoder-prompt", "A fox", "-o", tmp_path / "a.html")
    assert done.returncode == 1 and done.stderr.endswith("logits: expected finite numbers, found NaN or infinity\n")
    assert not (tmp_path / "a.html").exists()


def test_decoder_alone(model, tmp_path):
    page = look(model, tmp_path / "a.html", "-n", 0, "--decoder-prompt", SENTENCE)
    assert page.data["prompt"] == []
    np.testing.assert_allclose(page.sums[..., -1], 1, atol=1e-5)
    check_numbers(page, traced(model, page, tmp_path / "a.safetensors"))


@pytest.mark.parametrize("given", ["", "Once upon"])
def test_generated_words(model, image, tmp_path, given):
    arguments = ["--image", image, "-p", "A <start_of_image>", "-n", 20, *(["--decoder-prompt", given] * bool(given))]
    page = look(model, tmp_path / "a.html", *arguments)
    done = program("generate", "-m", model, "--special", "--temp", 0, *arguments)
    assert done.returncode == 0, done.stderr
    assert page.data["made"] == page.data["first"] == 1 + len(given.split())
    assert "".join(page.words()[page.data["made"]:]) == done.stdout
    assert "".join(page.words()[:page.data["made"]]) == "<bos>" + given
    np.testing.assert_allclose(page.sums.sum(-1), 1, atol=1e-5)


def test_texts_survive(model, tmp_path):
    page = look(model, tmp_path / "a.html", "-p", HOSTILE, "-n", 0, "--decoder-prompt", HOSTILE)
    assert "".join(page.words()) == "<bos>" + HOSTILE
    assert "".join(piece["text"] for piece in page.data["prompt"]) == "<bos>" + HOSTILE
    empty = template()
    for mark in ("<", "</script", "<img", "<!--"):
        assert page.html.count(mark) == empty.count(mark)
    before, after = empty.split("{{data}}")
    assert page.html.startswith(before) and page.html.endswith(after)


def test_image_token_written_as_text(model, tmp_path):
    page = look(model, tmp_path / "a.html", "-p", "A <unused5> fox", "-n", 2)
    assert [piece["text"] for piece in page.data["prompt"] if piece["kind"] == "special"] == ["<bos>", "<unused5>"]


def test_nothing_from_outside(model, image, tmp_path):
    page = look(model, tmp_path / "a.html", "--image", image, "-n", 3)
    html = page.html.replace("'http://www.w3.org/2000/svg'", "")  # a name, not an address
    for address in ("http:", "https:", "src=\"", "url(", "@import"):
        assert address not in html


def test_too_large_a_page_says_so(model, tmp_path):
    arguments = ["-p", "The quick brown fox.", "-n", 0, "--decoder-prompt", SENTENCE]
    whole = look(model, tmp_path / "whole.html", *arguments)
    done = program("look", "-m", model, "-o", tmp_path / "a.html", "--megabytes", 0.002, *arguments)
    page = look(model, tmp_path / "a.html", "--megabytes", 0.002, *arguments)
    assert 0 < page.data["shown"] < whole.data["shown"] == len(SENTENCE.split())
    assert f"first {page.data['shown']} of {whole.data['shown']} words" in done.stderr
    np.testing.assert_array_equal(page.weights, whole.weights[:page.data["shown"]])


@pytest.mark.parametrize(("arguments", "code", "message"), [
    ([], 2, "expected a prompt (-p TEXT), --image or --decoder-prompt, found none"),
    (["-p", "A", "-n", "0"], 2, "-n 0 needs words in --decoder-prompt"),
    (["-p", "A", "-n", "0", "--decoder-prompt", ""], 2, "-n 0 needs words in --decoder-prompt"),
    (["-p", "A", "-n", "0", "--decoder-input-ids", "2"], 2, "-n 0 needs words in --decoder-prompt, or two ids in --decoder-input-ids"),
    (["-p", "A", "-n", "-2"], 2, "--n-predict: expected a whole number from -1 to 1000000000, found -2"),
    (["-p", "A <start_of_image>"], 1, "<start_of_image>"),
    (["-p", "A", "--image", "missing.png"], 1, "missing.png"),
])
def test_bad_input(model, tmp_path, arguments, code, message):
    out = tmp_path / "a.html"
    done = program("look", "-m", model, "-o", out, *arguments)
    assert done.returncode == code and done.stderr.count("\n") == 1 and message in done.stderr
    assert not out.exists()


def test_two_ids_are_a_word(tmp_path):
    page = look(BASIC, tmp_path / "a.html", "--input-ids", "2,5", "--decoder-input-ids", "2,7", "-n", 0)
    assert page.data["shown"] == 1 and page.words() == [" 2", " 7"]


def test_until_the_model_ends_the_text(tmp_path):
    arguments = ["-p", "sort: ox cat"]
    page = look("pocket", tmp_path / "a.html", "-n", -1, *arguments)
    assert page.words()[-1] == "<eos>" and page.data == look("pocket", tmp_path / "b.html", "-n", 40, *arguments).data


def test_texts_that_stop_need_a_tokenizer(tmp_path):
    """Stop strings of generation_config.json do nothing without a tokenizer, and a note says so."""
    model = shutil.copytree(BASIC, tmp_path / "model")
    (model / "generation_config.json").write_text(json.dumps({"stop_strings": ["a", "1"], "decoder_start_token_id": 2}))
    done = program("look", "-m", model, "--input-ids", "2,5", "-n", 6, "-o", tmp_path / "a.html")
    assert done.returncode == 0, done
    assert done.stderr.count("note: stop_strings of generation_config.json stop nothing: there is no tokenizer to make texts\n") == 1
    assert len(Page(tmp_path / "a.html").words()) == 7


@pytest.mark.parametrize("file", ["no/such/folder.html", ""])
def test_unwritable_is_said_before_the_model_is_read(tmp_path, file):
    done = program("look", "-m", "no/such/model", "-o", tmp_path / file, "-p", "A", "-n", 2)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"{tmp_path / file}: expected a file that can be written" in done.stderr
