"""Tensor names: the published models' counts, every spelling back to one name, GGUF to transformers to T5Gemma 2."""
import math

import pytest

from t5gemma2_weights_tool import names
from t5gemma2_weights_tool.adapt import t5gemma2_name
from t5gemma2_weights_tool.config import normalise, read_preset
from t5gemma2_weights_tool.gemma3 import gguf_name


@pytest.mark.parametrize("preset, tensors, parameters", [
    ("270m-270m", 911, 786_029_296), ("1b-1b", 1119, 2_115_977_456), ("4b-4b", 1327, 7_508_928_880)])
def test_published_sizes(preset, tensors, parameters):
    shapes = names.parameter_shapes(normalise(read_preset(preset), preset))
    assert len(shapes) == tensors
    assert sum(math.prod(shape) for shape in shapes.values()) == parameters


@pytest.mark.parametrize("spelling", names.SPELLINGS)
def test_every_spelling_comes_back(spelling):
    shapes = names.parameter_shapes(normalise(read_preset("tiny"), "tiny"), untied="both")
    stored = {name: names.spell(name, spelling) for name in shapes}
    assert len(set(stored.values())) == len(shapes)
    assert all(names.canonical(spelled) == name for name, spelled in stored.items())


@pytest.mark.parametrize("canonical, hub, save_pretrained, text_model", [
    ("model.encoder.text_model.layers.0.mlp.up_proj.weight", "model.encoder.layers.0.mlp.up_proj.weight",
     "model.encoder.layers.0.mlp.up_proj.weight", "model.encoder.text_model.layers.0.mlp.up_proj.weight"),
    ("model.encoder.vision_tower.encoder.layers.0.layer_norm1.bias",
     "model.encoder.vision_tower.vision_model.encoder.layers.0.layer_norm1.bias",
     "model.encoder.vision_tower.encoder.layers.0.layer_norm1.bias",
     "model.encoder.vision_tower.vision_model.encoder.layers.0.layer_norm1.bias"),
    ("model.decoder.norm.weight",) * 4,
])
def test_spellings(canonical, hub, save_pretrained, text_model):
    assert [names.spell(canonical, spelling) for spelling in names.SPELLINGS] == [hub, save_pretrained, text_model]


def test_vision_head_is_ignored():
    assert names.canonical("model.encoder.vision_tower.head.probe") is None
    assert names.canonical("model.encoder.vision_tower.vision_model.head.mlp.fc1.weight") is None


@pytest.mark.parametrize("gguf, gemma3, t5gemma2", [
    ("blk.3.attn_norm", "input_layernorm", "pre_self_attn_layernorm"),
    ("blk.3.post_attention_norm", "post_attention_layernorm", "post_self_attn_layernorm"),
    ("blk.3.ffn_norm", "pre_feedforward_layernorm", "pre_feedforward_layernorm"),
    ("blk.3.post_ffw_norm", "post_feedforward_layernorm", "post_feedforward_layernorm"),
    ("blk.3.attn_output", "self_attn.o_proj", "self_attn.o_proj"),
    ("blk.3.attn_q_norm", "self_attn.q_norm", "self_attn.q_norm"),
    ("blk.3.ffn_gate", "mlp.gate_proj", "mlp.gate_proj"),
])
def test_gguf_layer_names(gguf, gemma3, t5gemma2):
    assert gguf_name(f"{gguf}.weight") == f"layers.3.{gemma3}.weight"
    assert t5gemma2_name("model.decoder", f"layers.3.{gemma3}.weight") == f"model.decoder.layers.3.{t5gemma2}.weight"


def test_gguf_other_names():
    assert gguf_name("token_embd.weight") == "embed_tokens.weight"
    assert gguf_name("output_norm.weight") == "norm.weight"
    assert gguf_name("blk.0.ssm_in.weight") is None
