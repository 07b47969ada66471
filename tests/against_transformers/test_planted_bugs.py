"""Bugs planted in transformers (planted_bugs.py) are named by t5gemma2-compare, with all tensors and with the outputs of
layers alone; docs/compare.md says for each what is printed."""

import re

import numpy as np
import pytest
from planted_bugs import BUGS, t5gemma2
from programs import ROOT, run
from safetensors.numpy import load_file

from t5gemma2_weights_tool.fixtures import SLIDING_PAIR, Fixture, both, write_fixture
from t5gemma2_weights_tool.inputs import Inputs
from t5gemma2_weights_tool.model import load_config, load_model
from t5gemma2_weights_tool.record import taps
from t5gemma2_weights_tool.storage import write_tensors

PLAIN = Fixture(both(num_hidden_layers=3, layer_types=SLIDING_PAIR, sliding_window=12), n=40, m=26, light=False,
                generate=0, seed=5)
OUTPUTS = re.compile(r".*layers\.\d+|.*\.(embed_tokens|norm)|logits")
PAGE = (ROOT / "docs/compare.md").read_text()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    write_fixture(folder, PLAIN)
    return folder


def recorded(folder, bug, monkeypatch) -> dict:
    """All tensors of the wrong model; the inputs are the right ones."""
    reference = load_file(folder / "reference.safetensors")
    inputs = Inputs(reference["inputs.input_ids"], reference["inputs.decoder_input_ids"], None, None, 0)
    model = load_model(folder, load_config(folder))
    bug.plant(model, lambda name, value: monkeypatch.setattr(t5gemma2, name, value))
    tensors = bug.tensors(taps(model, bug.inputs(inputs), False, None))
    return {name: np.ascontiguousarray(x) for name, x in tensors.items()} | {
        "inputs.input_ids": inputs.input_ids, "inputs.decoder_input_ids": inputs.decoder_input_ids}


def guess(folder, tensors: dict, file) -> str:
    """The first guess that is printed, in one line."""
    write_tensors(file, tensors)
    done = run("t5gemma2-compare", "-q", folder, file)
    assert done.returncode == 1 and done.stdout.startswith("FAILED: "), done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    found = re.search(r"^GUESS: (.*(?:\n  .*)*?)\n  (?:model\.|logits|lm_head|Explains|or, )", done.stdout, re.M)
    return re.sub(r"\s+", " ", found[1]) if found else "none"


@pytest.mark.parametrize("name", BUGS)
def test_each_is_named(name, plain, tmp_path, monkeypatch):
    bug = BUGS[name]
    tensors = recorded(plain, bug, monkeypatch)
    printed = guess(plain, tensors, tmp_path / "all.safetensors")
    assert bug.named in printed
    assert f"| {name} | `{printed}` |" in PAGE, f"| {name} | `{printed}` |"
    if bug.alone == "":
        return
    outputs = {key: x for key, x in tensors.items() if key.startswith("inputs.") or OUTPUTS.fullmatch(key)}
    assert (bug.alone or bug.named) in guess(plain, outputs, tmp_path / "outputs.safetensors")


def test_another_models_file(plain, tmp_path):
    """Of the same shapes; and of others."""
    other = tmp_path / "other"
    write_fixture(other, PLAIN.__class__(**{**PLAIN.__dict__, "seed": 6}))
    printed = guess(plain, load_file(other / "reference.safetensors"), tmp_path / "other.safetensors")
    assert printed.startswith("another model's file: row 0 is no row of this model's embedding")
    basic = load_file(ROOT / "tests/data/basic/reference.safetensors")
    wide = {name: np.ascontiguousarray(np.concatenate([x, x], -1)) if x.dtype == np.float32 else x for name, x in basic.items()}
    assert guess(ROOT / "tests/data/basic", wide, tmp_path / "wide.safetensors").startswith("another model's file: [1, 11, 48]")


def test_nothing_is_guessed_of_what_is_right(plain):
    done = run("t5gemma2-compare", plain, plain / "reference.safetensors")
    assert done.returncode == 0 and "GUESS" not in done.stdout


def test_nothing_is_guessed_of_noise(plain, tmp_path):
    tensors = {name: x for name, x in load_file(plain / "reference.safetensors").items() if not name.startswith("truth.")}
    noise = np.random.default_rng(1)
    for name, x in tensors.items():
        if name.endswith("mlp.up_proj"):
            tensors[name] = x + noise.normal(0, 0.01, x.shape).astype(np.float32)
    assert guess(plain, tensors, tmp_path / "noise.safetensors") == "none"
