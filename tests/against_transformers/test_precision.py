"""--dtype: how far bfloat16 is from float32, beside transformers in bfloat16, and what int8 and bfloat16 cost pocket."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from programs import PROGRAMS, ROOT, run
from t5gemma2_weights_tool.cli import main
from t5gemma2_weights_tool.fixtures import Fixture, both, fixture_config, fixture_inputs, vision
from t5gemma2_weights_tool.images import read_images
from t5gemma2_weights_tool.inputs import Inputs
from t5gemma2_weights_tool.model import load_config, load_model
from t5gemma2_weights_tool.pocket.answers import stripped
from t5gemma2_weights_tool.prompt import encode_prompt, encode_text, read_tokenizer
from t5gemma2_weights_tool.random_checkpoint import write_random
from t5gemma2_weights_tool.record import forward, taps
from test_tensors import ODD, REAL_WIDTHS

POCKET, SHAPES = ROOT / "examples/pocket", ROOT / "examples/inputs/shapes.png"
CASES = {
    "odd_sizes": Fixture(both(**ODD), n=53, m=23, seed=71),
    "real_widths": Fixture(both(**REAL_WIDTHS), n=120, m=30, write={"dtype": "bfloat16"}, seed=72),
    "three_images": Fixture(vision(9, image_size=36, patch_size=4), n=60, images=3, seed=73),
}


@dataclass
class Case:
    """A checkpoint and what it is given; the pictures are files."""
    folder: Path
    ids: np.ndarray
    decoder_ids: np.ndarray
    pictures: list[Path]

    def inputs(self) -> Inputs:
        pixels = read_images(self.pictures, load_config(self.folder)) if self.pictures else None
        return Inputs(self.ids, self.decoder_ids, pixels)


def pocket() -> Case:
    """A question about an image, with its answer."""
    tokenizer = read_tokenizer(POCKET)
    ids = encode_prompt(tokenizer, load_config(POCKET), "<start_of_image>describe", 1)
    return Case(POCKET, ids, encode_text(tokenizer, "a small grey triangle in the middle"), [SHAPES])


def random_case(fixture: Fixture, scratch: Path) -> Case:
    """Pictures are as large as the model takes them, so that nothing is resized."""
    config = fixture_config(fixture)
    folder = scratch / "model"
    write_random(config, folder, seed=fixture.seed, text_only=not fixture.images, **fixture.write)
    size, rng = config["encoder"]["vision_config"]["image_size"], Random(fixture.seed)
    pictures = [scratch / f"{i}.png" for i in range(fixture.images)]
    for file in pictures:
        Image.frombytes("RGB", (size, size), rng.randbytes(3 * size * size)).save(file)
    inputs = fixture_inputs(fixture, config)
    return Case(folder, inputs.input_ids, inputs.decoder_input_ids, pictures)


def trace(case: Case, dtype: str, file: Path) -> dict[str, np.ndarray]:
    """Every tensor of t5gemma2-trace."""
    ids, decoder_ids = (",".join(map(str, side[0])) for side in (case.ids, case.decoder_ids))
    images = [word for picture in case.pictures for word in ("--image", picture)]
    result = run("t5gemma2-trace", "-q", "-m", case.folder, "--dtype", dtype, "--input-ids", ids, "--decoder-input-ids",
                 decoder_ids, *images, "-o", file)
    assert result.returncode == 0, result.stderr
    return load_file(file)


def distance(x: np.ndarray, exact: np.ndarray) -> float:
    """The root mean square of their difference over that of what is exact. Below 3e-7 is equal."""
    return max(3e-7, float(np.linalg.norm(x - exact) / np.linalg.norm(exact)))


@pytest.mark.parametrize("name", [*CASES, "pocket"])
def test_bfloat16_is_as_near_to_float32_as_transformers_bfloat16(name, tmp_path):
    """The image features, H, each layer's output, the logits."""
    case = pocket() if name == "pocket" else random_case(CASES[name], tmp_path)
    model, inputs = load_model(case.folder, load_config(case.folder)), case.inputs()
    exact = taps(model, inputs, True, None)
    theirs = taps(model.to(torch.bfloat16), inputs, True, None)
    ours = trace(case, "bfloat16", tmp_path / "ours.safetensors")
    ratios = {name: distance(ours[name], value) / distance(theirs[name], value) for name, value in exact.items()}
    assert ratios["logits"] <= 1 and median(ratios.values()) <= 1, ratios
    layers = [name for name in ratios if ".layers." in name]
    assert len(layers) >= 4 and max(ratios[name] for name in layers) <= 1, ratios
    assert ("model.encoder.multi_modal_projector" in ratios) == bool(case.pictures)


def test_every_product_is_rounded_by_int8(tmp_path):
    """SigLIP's, the encoder's, the decoder's: another one than float32's, but not far from it."""
    exact, rounded = (trace(pocket(), dtype, tmp_path / dtype) for dtype in ("float32", "int8"))
    distances = {name: distance(rounded[name], exact[name]) for name in exact if not name.startswith("inputs.")}
    products = [name for name in distances if re.search(r"(_proj|_proj\[1\]|fc\d|patch_embedding|lm_head)$", name)]
    assert len(products) > 100 and min(distances[name] for name in products) > 1e-4, distances
    assert max(distances.values()) < 0.05, distances


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_pocket_answers_as_in_float32(dtype):
    data = ROOT / "tests/data/pocket"
    items = [json.loads(line) for line in (data / "items.jsonl").read_text().splitlines()]
    requests = [{"prompt": item["prompt"], "images": [str(data / image) for image in item["images"]]} for item in items]
    result = run("t5gemma2-generate", "-m", POCKET, "--dtype", dtype, "--jsonl", "-q",
                 text="".join(json.dumps(request) + "\n" for request in requests))
    assert result.returncode == 0, result.stderr
    answers = [stripped(json.loads(line)["ids"]) for line in result.stdout.splitlines()]
    assert answers == [item["ids"] for item in items] and len({item["task"] for item in items}) == 9


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
