"""--dtype in every program that computes: what changes, what does not, and values that are refused.

Run: pytest tests/programs
"""
import json

import numpy as np
import pytest
from running import ROOT, SHAPES, output, refused, run
from safetensors.numpy import load_file

ROUNDED = ("bfloat16", "int8")
PROMPTS = {"in words: 39629": "thirty-nine thousand six hundred twenty-nine", "date: march 5, 2024": "2024-03-05"}


def traced(folder, *arguments) -> dict[str, np.ndarray]:
    """The tensors of one pass of pocket."""
    file = folder / "trace.safetensors"
    output("trace", "-p", "sort: ox cat", "--decoder-prompt", "cat", "-o", file, *arguments)
    return load_file(file)


@pytest.mark.parametrize("dtype", ["float32", *ROUNDED])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_text(dtype, prompt):
    assert output("generate", "-p", prompt, "--dtype", dtype) == PROMPTS[prompt]


@pytest.mark.parametrize("dtype", ROUNDED)
def test_image(dtype):
    prompt = ("-p", "<start_of_image>how many shapes are there?", "--image", SHAPES)
    assert output("generate", *prompt, "--dtype", dtype) == output("generate", *prompt)


def test_float32_is_the_default(tmp_path):
    plain, named = traced(tmp_path), traced(tmp_path, "--dtype", "float32")
    assert all(np.array_equal(plain[name], named[name]) for name in plain)


@pytest.mark.parametrize("dtype", ROUNDED)
def test_trace(dtype, tmp_path):
    plain, rounded = traced(tmp_path), traced(tmp_path, "--dtype", dtype)
    assert plain.keys() == rounded.keys()
    logits = [tensors["lm_head"] for tensors in (plain, rounded)]
    distance = np.linalg.norm(logits[1] - logits[0]) / np.linalg.norm(logits[0])
    assert 1e-4 < distance < 0.05
    embedded = "model.encoder.text_model.embed_tokens"
    assert np.array_equal(plain[embedded], rounded[embedded])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads(threads, tmp_path):
    one, more = (traced(tmp_path, "--dtype", "int8", "-t", count) for count in (1, threads))
    assert all(np.array_equal(one[name], more[name]) for name in one)


def test_compare_tells_how_far_it_is():
    basic = ROOT / "tests/data/basic"
    done = run("compare", basic, basic / "reference.safetensors", "--dtype", "int8")
    assert done.returncode == 1 and "82 over tolerance" in done.stdout
    assert run("compare", basic, basic / "reference.safetensors", "--dtype", "int8", "--tolerance", "1").returncode == 0


def test_compare_rounds_images_too():
    images = ROOT / "tests/data/images"
    done = run("compare", images, images / "reference.safetensors", "--dtype", "int8")
    assert done.returncode == 1 and "FIRST that diverges: model.encoder.vision_tower.embeddings.patch_embedding\n" in done.stdout


def test_look(tmp_path):
    output("look", "-p", "in words: 12", "--dtype", "int8", "-o", tmp_path / "page.html")
    assert "twelve" in (tmp_path / "page.html").read_text()


def test_bench(tmp_path):
    output("bench", "-m", "pocket", "--repeats", 1, "--only", "linear/lm_head/1", "--json", tmp_path / "one.json", "--dtype", "int8")
    output("bench", "-m", "pocket", "--repeats", 1, "--only", "linear/lm_head/1", "--json", tmp_path / "two.json")
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))
    assert (one["dtype"], two["dtype"]) == ("int8", "float32")
    assert one["rows"][0]["bytes"] * 2 * 32 == two["rows"][0]["bytes"] * 34  # pocket is stored in bfloat16


@pytest.mark.parametrize("program", ["generate", "trace", "look", "compare", "bench"])
@pytest.mark.parametrize("value", ["float16", "INT8", "int4", ""])
def test_other_values(program, value, tmp_path):
    done = run(program, "--dtype", value)
    refused(done, 2, f"--dtype: expected one of float32, bfloat16, int8, found {value}")
