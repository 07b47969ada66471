"""Random checkpoints and inputs: one model per seed in every spelling and storage, nothing zero."""
import json

import numpy as np
import pytest

from t5gemma2_weights_tool import names
from t5gemma2_weights_tool.config import normalise, read_preset
from t5gemma2_weights_tool.errors import UserError
from t5gemma2_weights_tool.inputs import Inputs, check, random_ids, random_pixels, read_pixels
from t5gemma2_weights_tool.random_checkpoint import write_random
from t5gemma2_weights_tool.storage import Checkpoint, from_bfloat16, to_bfloat16, write_tensors

TINY = normalise(read_preset("tiny"), "tiny")


def weights(folder) -> dict[str, np.ndarray]:
    checkpoint = Checkpoint(folder)
    return {names.canonical(name): checkpoint.read(name) for name in checkpoint}


@pytest.fixture
def plain(tmp_path) -> dict[str, np.ndarray]:
    write_random(read_preset("tiny"), tmp_path / "plain", untied="both")
    return weights(tmp_path / "plain")


@pytest.mark.parametrize("spelling", names.SPELLINGS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_one_model_per_seed(tmp_path, plain, spelling, dtype):
    write_random(read_preset("tiny"), tmp_path / "other", untied="both", spelling=spelling, dtype=dtype, shards=3)
    rounded = {"float32": lambda x: x, "float16": lambda x: x.astype(np.float16).astype(np.float32),
               "bfloat16": lambda x: from_bfloat16(to_bfloat16(x))}[dtype]
    other = weights(tmp_path / "other")
    assert set(other) == set(plain)
    for name, values in plain.items():
        assert np.array_equal(other[name], rounded(values)), name
    assert json.loads((tmp_path / "other/config.json").read_text())["dtype"] == dtype


def test_another_seed_is_another_model(tmp_path, plain):
    write_random(read_preset("tiny"), tmp_path / "other", untied="both", seed=1)
    assert all(not np.array_equal(values, plain[name]) for name, values in weights(tmp_path / "other").items())


def test_nothing_is_trivial(plain):
    for name, values in plain.items():
        assert values.std() > 0.01 and np.abs(values).min() < 3, name


@pytest.mark.parametrize("untied", [None, "head", "decoder", "both"])
def test_untied_tensors_differ(tmp_path, untied):
    write_random(read_preset("tiny"), tmp_path / "o", untied=untied)
    stored = weights(tmp_path / "o")
    assert {name for name in names.TIED if name in stored} == set(names.UNTIED.get(untied, ()))
    assert all(not np.array_equal(stored[name], stored[source]) for name, source in names.TIED.items() if name in stored)


def test_text_only_stores_no_vision(tmp_path):
    write_random(read_preset("tiny"), tmp_path / "o", text_only=True)
    assert not any(map(names.is_vision, weights(tmp_path / "o")))


def test_random_ids():
    ids = random_ids(TINY, 20, 0)
    assert ids.shape == (1, 20) and ids[0, 0] == 2 and not set(ids[0, 1:].tolist()) & {0, 1, 2, 61, 62, 63}
    assert random_ids(TINY, 0, 0).shape == (1, 0)
    ids = random_ids(TINY, 20, 0, images=2)
    assert ids.shape == (1, 20) and (ids == 63).sum() == 8 and (ids == 61).sum() == (ids == 62).sum() == 2
    with pytest.raises(UserError, match="too short for 2 images"):
        random_ids(TINY, 12, 0, images=2)


def test_inputs_are_checked():
    ids = np.array([[2, 3]])
    with pytest.raises(UserError, match="expected ids from 0 to 63, found 2 to 64"):
        check(Inputs(np.array([[2, 64]]), ids), TINY)
    with pytest.raises(UserError, match="decoder_input_ids: expected at least one id"):
        check(Inputs(ids, np.zeros((1, 0), np.int64)), TINY)
    with pytest.raises(UserError, match="expected 4 image tokens for 1 images, found 0"):
        check(Inputs(ids, ids, random_pixels(TINY, 1, 0)), TINY)
    with pytest.raises(UserError, match=r"expected \[images, 3, 28, 28\]"):
        check(Inputs(ids, ids, np.zeros((1, 3, 8, 8), np.float32)), TINY)


def test_pixel_files(tmp_path):
    pixels = random_pixels(TINY, 2, 0)
    np.save(tmp_path / "p.npy", pixels)
    write_tensors(tmp_path / "p.safetensors", {"inputs.pixel_values": pixels})
    assert np.array_equal(read_pixels(tmp_path / "p.npy"), pixels)
    assert np.array_equal(read_pixels(tmp_path / "p.safetensors"), pixels)
