"""Files: bfloat16 rounding, shards and their index, and reading back what was written."""
import json

import numpy as np
import pytest

from t5gemma2_weights_tool.errors import UserError
from t5gemma2_weights_tool.storage import Checkpoint, Source, from_bfloat16, split, to_bfloat16, write_checkpoint


@pytest.mark.parametrize("value, bits", [
    (1.0, 0x3F80), (-2.0, 0xC000), (1 + 2**-8, 0x3F80), (1 + 3 * 2**-8, 0x3F82), (1 + 2**-8 + 2**-20, 0x3F81),
    (np.inf, 0x7F80), (np.nan, 0x7FC0), (3.4e38, 0x7F80), (0.0, 0), (1e-40, 0x0001)])
def test_bfloat16_rounds_to_nearest_even(value, bits):
    assert to_bfloat16(np.array([value], np.float32))[0] == bits


def test_bfloat16_comes_back():
    bits = np.arange(0, 0x7F80, dtype=np.uint16)
    assert (to_bfloat16(from_bfloat16(bits)) == bits).all()


def sources() -> dict[str, Source]:
    shapes = {"a": (3, 4), "b": (5,), "c": (2, 2, 2), "d": (7, 1)}
    return {name: Source(shape, lambda shape=shape: np.full(shape, len(shape) + 0.5, np.float32))
            for name, shape in shapes.items()}


@pytest.mark.parametrize("dtype, stored", [("float32", "F32"), ("float16", "F16"), ("bfloat16", "BF16")])
@pytest.mark.parametrize("shards", [1, 2, 4])
def test_what_is_written_is_read(tmp_path, dtype, stored, shards):
    write_checkpoint(tmp_path, sources(), dtype, shards)
    checkpoint = Checkpoint(tmp_path)
    assert len(checkpoint.files) == shards
    for name, source in sources().items():
        assert checkpoint.where[name][1] == stored
        assert (checkpoint.read(name) == source.values()).all() and checkpoint.shape(name) == source.shape


def test_index(tmp_path):
    write_checkpoint(tmp_path, sources(), "bfloat16", 2)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 2 * (12 + 5 + 8 + 7)
    assert set(index["weight_map"]) == set("abcd")
    assert set(index["weight_map"].values()) == {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}


def test_split_keeps_order_and_everything():
    assert [name for run in split(sources(), 3) for name in run] == list("abcd")
    assert len(split(sources(), 9)) <= 4


def test_broken_file(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(UserError, match="cannot read as safetensors"):
        Checkpoint(tmp_path)


def test_missing_shard(tmp_path):
    write_checkpoint(tmp_path, sources(), "float32", 2)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match="00002-of-00002.safetensors: cannot read"):
        Checkpoint(tmp_path)


def test_broken_index(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": 3}')
    with pytest.raises(UserError, match="weight_map: expected an object of file names, found 3"):
        Checkpoint(tmp_path)


def test_no_weights(tmp_path):
    with pytest.raises(UserError, match="expected model.safetensors or"):
        Checkpoint(tmp_path)
