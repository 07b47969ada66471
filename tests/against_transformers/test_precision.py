"""--dtype: how far bfloat16 is from float32, beside transformers in bfloat16, and what int8 and bfloat16 cost pocket."""

import json
import re
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from programs import PROGRAMS, ROOT, run
from t5gemma2_weights_tool.cli import main
from t5gemma2_weights_tool.fixtures import Fixture, both, fixture_config, fixture_inputs, vision
from t5gemma2_weights_tool.images import read_images
from t5gemma2_weights_tool.inputs import Inputs
from t5gemma2_weights_tool.model import load_config, load_model
from t5gemma2_weights_tool.prompt import encode_prompt, encode_text, read_tokenizer
from t5gemma2_weights_tool.random_checkpoint import write_random
from t5gemma2_weights_tool.record import forward, taps
from t5gemma2_weights_tool.storage import write_tensors
from test_tensors import ODD, REAL_WIDTHS

POCKET = ROOT / "examples/pocket"
CASES = {
    "odd_sizes": Fixture(both(**ODD), n=53, m=23, seed=71),
    "real_widths": Fixture(both(**REAL_WIDTHS), n=300, m=60, write={"dtype": "bfloat16"}, seed=72),
    "three_images": Fixture(vision(9, image_size=36, patch_size=4), n=60, images=3, seed=73),
}


def pocket_inputs() -> Inputs:
    """A question about an image, with its answer."""
    config, tokenizer = load_config(POCKET), read_tokenizer(POCKET)
    pixels = read_images([ROOT / "examples/inputs/shapes.png"], config)
    ids = encode_prompt(tokenizer, config, "<start_of_image>describe", 1)
    return Inputs(ids, encode_text(tokenizer, "a small grey triangle in the middle"), pixels)


def checkpoint_and_inputs(name: str, scratch: Path) -> tuple[Path, Inputs]:
    if name == "pocket":
        return POCKET, pocket_inputs()
    fixture = CASES[name]
    config = fixture_config(fixture)
    write_random(config, scratch, seed=fixture.seed, text_only=not fixture.images, **fixture.write)
    return scratch, fixture_inputs(fixture, config)


def distances(folder: Path, inputs: Inputs, file: Path) -> dict[str, float]:
    """Our root-mean-square distance to transformers' float32 over that of its bfloat16, of each tensor, by
    t5gemma2-compare, for which float32 is here what float64 is elsewhere."""
    model = load_model(folder, load_config(folder))
    exact = taps(model, inputs, True, None)
    theirs = taps(model.to(torch.bfloat16), inputs, True, None)
    given = {f"inputs.{name}": values for name, values in vars(inputs).items() if isinstance(values, np.ndarray)}
    write_tensors(file, {**theirs, **{f"truth.{name}": values for name, values in exact.items()}, **given})
    result = run("t5gemma2-compare", "-q", "--dtype", "bfloat16", "--tolerance", 1, folder, file)
    assert result.returncode == 0, result.stdout + result.stderr
    found = re.findall(r"^(\S+) +\[.*\] +\S+ +\S+ +([\d.]+)  ok", result.stdout, re.M)
    assert {name for name, _ in found} == set(exact)
    return {name: float(ratio) for name, ratio in found}


@pytest.mark.parametrize("name", [*CASES, "pocket"])
def test_bfloat16_is_as_near_to_float32_as_transformers_bfloat16(name, tmp_path):
    folder, inputs = checkpoint_and_inputs(name, tmp_path / "model")
    ratios = distances(folder, inputs, tmp_path / "reference.safetensors")
    assert ratios["logits"] <= 1 and median(ratios.values()) <= 1, ratios
    layers = [name for name in ratios if re.fullmatch(r".*\.layers\.\d+", name)]
    assert len(layers) >= 4 and max(ratios[name] for name in layers) <= 1, ratios


def trace(dtype: str, file: Path) -> dict[str, np.ndarray]:
    result = run("t5gemma2-trace", "-q", "-m", POCKET, "--dtype", dtype, "-p", "<start_of_image>describe", "--image",
                 ROOT / "examples/inputs/shapes.png", "--decoder-prompt", "a small", "-o", file)
    assert result.returncode == 0, result.stderr
    return load_file(file)


def test_every_tensor_is_rounded_by_int8(tmp_path):
    """Finite, and from the first product on another one than float32's, but not far from it."""
    exact, rounded = (trace(dtype, tmp_path / dtype) for dtype in ("float32", "int8"))
    assert exact.keys() == rounded.keys()
    different = {name for name in exact if not np.array_equal(exact[name], rounded[name])}
    assert {"logits", "model.encoder.multi_modal_projector", "model.decoder.norm"} <= different
    for name in different:
        distance = np.linalg.norm(rounded[name] - exact[name]) / np.linalg.norm(exact[name])
        assert distance < 0.1, (name, distance)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_pocket_answers_as_in_float32(dtype):
    data = ROOT / "tests/data/pocket"
    items = [json.loads(line) for line in (data / "items.jsonl").read_text().splitlines()][::4]
    requests = [{"prompt": item["prompt"], "images": [str(data / image) for image in item["images"]]} for item in items]
    result = run("t5gemma2-generate", "-m", POCKET, "--dtype", dtype, "--jsonl", "-q",
                 text="".join(json.dumps(request) + "\n" for request in requests))
    assert result.returncode == 0, result.stderr
    answers = [json.loads(line)["text"] for line in result.stdout.splitlines()]
    assert answers == [item["answer"] for item in items] and len({item["task"] for item in items}) == 9


def test_precision_of_a_text(tmp_path):
    """The perplexity of float32 is transformers', and the others are near."""
    text = "sort: ox cat hen\nthe duck hears the frog.\n" * 3
    (tmp_path / "text").write_text(text)
    assert main(["precision", str(POCKET), "--programs", str(PROGRAMS), "--text", str(tmp_path / "text"),
                 "--piece", "1000", "--json", str(tmp_path / "out.json")]) == 0
    exact, *others = json.loads((tmp_path / "out.json").read_text())["rows"]
    bos, *ids = encode_text(read_tokenizer(POCKET), text)[0]
    read, written = ids[:len(ids) // 2], ids[len(ids) // 2:]
    decoder = np.array([[bos, *written[:-1]]])
    logits = forward(load_model(POCKET, load_config(POCKET)), Inputs(np.array([[bos, *read]]), decoder), decoder)
    theirs = torch.nn.functional.cross_entropy(logits[0], torch.tensor(written)).exp().item()
    assert exact["tokens"] == len(written) and abs(exact["perplexity"] / theirs - 1) < 1e-4
    for row in others:
        assert 0 < row["kl"] < 0.01 and row["largest"] > 0 and abs(row["perplexity"] / theirs - 1) < 0.05
