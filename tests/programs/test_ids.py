"""Ids in place of texts: all that checkpoints without a tokenizer take."""
import json
import shutil

import numpy as np
import pytest
from running import ROOT, SHAPES, answers, output, refused, run
from safetensors.numpy import load_file

BASIC, IMAGES = ROOT / "tests/data/basic", ROOT / "tests/data/images"  # neither has a tokenizer
DATE = "date: march 5, 2024"


def written(ids: list[int]) -> str:
    return ",".join(map(str, ids))


def test_a_checkpoint_without_a_tokenizer_generates():
    """The ids that transformers generated from the reference's, also after eos."""
    tensors = load_file(BASIC / "reference.safetensors")
    ids, start, both = (tensors[name].ravel().tolist() for name in (
        "inputs.input_ids", "inputs.generate_from", "generated"))
    made, flags = both[len(start):], ("-m", BASIC, "--ignore-eos")
    text = output("generate", *flags, "--input-ids", written(ids), "--decoder-input-ids", written(start), "-n", len(made))
    assert text == written(made) and len(made) > 8
    rest = output("generate", *flags, "--input-ids", written(ids), "--decoder-input-ids", f"{written(start)},{text[:5]}",
                  "-n", len(made) - 2)
    assert text == text[:5] + "," + rest
    [line] = answers(*flags, "-n", len(made), lines=[{"id": 1, "input_ids": ids, "decoder_input_ids": start}])
    assert line == {"id": 1, "finish_reason": "length", "ids": both}


def test_an_eos_that_came_is_one_of_the_ids():
    [line] = answers("-m", BASIC, "-n", 200, "--temp", 1, "-s", 1, lines=[{"input_ids": [2, 5, 7]}])
    text = output("generate", "-m", BASIC, "-n", 200, "--temp", 1, "-s", 1, "--input-ids", "2,5,7")
    assert line["finish_reason"] == "eos" and text == written(line["ids"][1:]) and text.endswith(",1")


def test_several_sequences_and_the_decoder_alone():
    lines = output("generate", "-m", BASIC, "--decoder-input-ids", "2,9", "--num-beams", 3, "--num-return-sequences", 2,
                   "-n", 4).splitlines()
    [line] = answers("-m", BASIC, "-n", 4, "--num-beams", 3, "--num-return-sequences", 2,
                     lines=[{"decoder_input_ids": [2, 9]}])
    assert lines == [written(one["ids"][2:]) for one in line["sequences"]] and len(lines) == 2
    assert all("text" not in one for one in (line, *line["sequences"]))
    drawn = output("generate", "-m", BASIC, "--decoder-input-ids", "2,9", "--temp", 2, "-s", 4, "--num-return-sequences",
                   2, "-n", 4)
    assert len(drawn.splitlines()) == 2


def test_with_images():
    config = json.loads((IMAGES / "config.json").read_text())
    image = config["encoder"]["mm_tokens_per_image"] * [config["image_token_index"]]
    ids = written([2, *image, 5])
    assert output("generate", "-m", IMAGES, "--image", SHAPES, "--input-ids", ids, "-n", 3).count(",") == 2
    refused(run("generate", "-q", "-m", IMAGES, "--image", SHAPES, "--input-ids", "2,5"), 1, "image tokens: expected ")


@pytest.mark.parametrize("arguments", [("-p", "x"), ("--raw-prompt", "-p", "x"), ("--decoder-prompt", "x"),
                                       ("--input-ids", "2", "--decoder-prompt", ""), ("--image", SHAPES)])
@pytest.mark.parametrize("name", ["generate", "look", "trace"])
def test_a_text_needs_a_tokenizer(tmp_path, name, arguments):
    out = () if name == "generate" else ("-o", tmp_path / "out")
    refused(run(name, "-q", "-m", IMAGES, *arguments, *out), 1,
            "expected tokenizer.json or tokenizer.model for a text, found neither; --input-ids and --decoder-input-ids "
            "take ids")
    assert list(tmp_path.iterdir()) == []


def test_a_text_needs_a_tokenizer_in_a_line():
    text, ids = answers("-m", BASIC, "-n", 2, lines=[{"prompt": "x", "id": 1}, {"input_ids": [2], "id": 2}], code=1)
    assert list(text) == ["id", "error"] and "--input-ids" in text["error"] and len(ids["ids"]) == 3


def test_gaps_need_a_tokenizer():
    refused(run("generate", "-q", "-m", BASIC, "--fill", "-p", "a ___ c"), 1, "for a text, found neither; --input-ids")


def test_texts_that_stop_need_a_tokenizer():
    refused(run("generate", "-q", "-m", BASIC, "--input-ids", "2", "--stop", "a"), 1,
            "stop texts: expected a tokenizer, which makes ids into texts, found none")


def test_a_broken_tokenizer_is_not_a_missing_one(tmp_path):
    shutil.copytree(BASIC, tmp_path / "model")
    (tmp_path / "model/tokenizer.json").write_text("")
    refused(run("generate", "-q", "-m", tmp_path / "model", "--input-ids", "2"), 1, "tokenizer.json: ")


def test_the_decoder_begins_where_a_file_says(tmp_path):
    model = shutil.copytree(BASIC, tmp_path / "model")
    file = model / "generation_config.json"
    for config, start in (({"bos_token_id": 7}, 7), ({"bos_token_id": 7, "decoder_start_token_id": 8}, 8), ({}, 2)):
        file.write_text(json.dumps({"eos_token_id": 1} | config))
        assert answers("-m", model, "-n", 1, lines=[{"input_ids": [2]}])[0]["ids"][0] == start
    file.unlink()
    assert answers("-m", model, "-n", 1, lines=[{"input_ids": [2]}])[0]["ids"][0] == 2


@pytest.mark.parametrize("arguments, code, message", [
    (("--input-ids", "2,64"), 1, "token id: expected 0 to 63, found 64"),
    (("--decoder-input-ids", "2,64"), 1, "token id: expected 0 to 63, found 64"),
    (("--input-ids", "2,-1"), 1, '--input-ids: byte 2: expected a token id, found "-1"'),
    (("--input-ids", "two"), 1, '--input-ids: byte 0: expected a token id, found "two"'),
    (("--input-ids", "2,99999999999"), 1, "--input-ids: byte 2: expected a token id"),
    (("--decoder-input-ids", ""), 2, "--decoder-input-ids: expected at least one id, found none"),
    (("--decoder-input-ids", "2;3"), 1, '--decoder-input-ids: byte 0: expected a token id, found "2;3"'),
    (("--input-ids", "2", "-p", "x"), 2, "--input-ids"),
])
@pytest.mark.parametrize("name", ["generate", "look", "trace"])
def test_wrong_ids(tmp_path, name, arguments, code, message):
    out = () if name == "generate" else ("-o", tmp_path / "out")
    refused(run(name, "-q", "-m", BASIC, *arguments, *out), code, message)


def test_wrong_ids_of_beams():
    refused(run("generate", "-q", "-m", BASIC, "--decoder-input-ids", "64", "--num-beams", 2), 1,
            "token id: expected 0 to 63, found 64")


def test_echo_knows_no_ids():
    refused(run("generate", "-q", "-m", BASIC, "--decoder-input-ids", "2", "--echo"), 2, "--echo prints --decoder-prompt")


def test_trace_of_ids(tmp_path):
    """Asserts that the reference's tensors are the same, by name."""
    reference = load_file(BASIC / "reference.safetensors")
    ids = {name: written(reference[f"inputs.{name}"].ravel().tolist()) for name in ("input_ids", "decoder_input_ids")}
    output("trace", BASIC, "--input-ids", ids["input_ids"], "--decoder-input-ids", ids["decoder_input_ids"], "-o",
           tmp_path / "trace.safetensors")
    traced = load_file(tmp_path / "trace.safetensors")
    for name in ids:
        assert np.array_equal(traced[f"inputs.{name}"], reference[f"inputs.{name}"])
    assert np.allclose(traced["logits"], reference["logits"], atol=1e-4)


def test_look_shows_ids_as_pieces(tmp_path):
    made = output("generate", "-m", BASIC, "--input-ids", "2,5,7", "--ignore-eos", "-n", 3).split(",")
    output("look", "-m", BASIC, "--input-ids", "2,5,7", "-n", 3, "-o", tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    data = json.loads(html.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert [piece["text"].strip() for piece in data["prompt"]] == ["2", "5", "7"]
    words = [word["text"].strip() for word in data["words"]]
    assert words == ["2", *made][:len(words)] and len(words) >= 2


def test_with_a_tokenizer_texts_come_out():
    ids = ",".join(output("tokenize", "-m", "pocket", text=DATE).split())
    assert output("generate", "--input-ids", ids) == "2024-03-05" == output("generate", "-p", DATE)
    assert output("generate", "--input-ids", f"[{ids.replace(',', ', ')}]") == "2024-03-05"
