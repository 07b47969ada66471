"""config.json: older spellings give the same model, bad values are refused."""
import copy

import pytest

from t5gemma2_weights_tool.config import find_pattern, normalise, read_preset, with_old_keys
from t5gemma2_weights_tool.errors import UserError


@pytest.mark.parametrize("preset", ["tiny", "270m-270m", "1b-1b", "4b-4b"])
def test_old_keys_mean_the_same(preset, capsys):
    config = read_preset(preset)
    old = with_old_keys(config)
    for text in (old["encoder"]["text_config"], old["decoder"]):
        assert "rope_parameters" not in text and "layer_types" not in text
        assert text["rope_scaling"] == {"type": "linear", "factor": 8.0}
    assert normalise(old, "old") == normalise(config, "new")
    assert "'type': 'linear' read as rope_type" in capsys.readouterr().err


def test_find_pattern():
    sliding, full = "sliding_attention", "full_attention"
    assert find_pattern([sliding, full, sliding, full, sliding]) == 2
    assert find_pattern([sliding, sliding]) == 3
    assert find_pattern([full, sliding]) is None


@pytest.mark.parametrize("path, value, message", [
    ("decoder.hidden_size", 25, "expected 24 as in encoder.text_config, found 25"),
    ("decoder.attention_bias", True, "expected false, found true"),
    ("decoder.layer_types", ["full_attention"], "expected 2 of"),
    ("decoder.layer_types", None, "or sliding_window_pattern, found neither"),
    ("decoder.num_key_value_heads", 3, "expected a multiple of 3, found 4"),
    ("decoder.head_dim", 8.5, "expected a whole number, found 8.5"),
    ("decoder.rope_parameters", {"full_attention": {"rope_theta": 1e6}}, "rope_theta: expected a positive number"),
    ("decoder.rope_scaling", {"rope_type": "yarn"}, "expected default or linear, found yarn"),
    ("decoder.rope_parameters", {"sliding_attention": 8}, "sliding_attention: expected an object, found 8"),
    ("decoder.layer_types", 6, "expected 2 of"),
    ("decoder.bos_token_id", None, "bos_token_id: expected a positive number"),
    ("encoder.vision_config", None, "expected an object, found nothing"),
])
def test_bad_values(path, value, message):
    config = copy.deepcopy(read_preset("tiny"))
    *parents, name = path.split(".")
    target = config
    for parent in parents:
        target = target[parent]
    target[name] = value
    with pytest.raises(UserError, match=f"(?s)^file: .*{message}"):
        normalise(config, "file")
