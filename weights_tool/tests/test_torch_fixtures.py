"""The committed fixtures are what `weights_tool fixtures` makes: checkpoints byte for byte, references to rounding.
Another processor's float32 sums differ; of float64's only the last bit may."""
import numpy as np
import pytest
from safetensors.numpy import load_file

from paths import DATA
from t5gemma2_weights_tool.fixtures import FIXTURES, write_fixture

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", FIXTURES)
def test_fixture_is_made_again(name, tmp_path):
    write_fixture(tmp_path, FIXTURES[name])
    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in (DATA / name).iterdir()}
    for file in tmp_path.iterdir():
        if file.name != "reference.safetensors":
            assert file.read_bytes() == (DATA / name / file.name).read_bytes(), file.name
    made, committed = load_file(tmp_path / "reference.safetensors"), load_file(DATA / name / "reference.safetensors")
    assert set(made) == set(committed)
    for tap, values in committed.items():
        scale = np.abs(values).max(initial=1e-9)
        assert made[tap].shape == values.shape and made[tap].dtype == values.dtype
        bound = 2e-7 if tap.startswith("truth.") else 1e-5
        assert np.abs(made[tap] - values).max(initial=0) <= bound * scale, tap
