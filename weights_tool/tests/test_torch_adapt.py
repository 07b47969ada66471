"""adapt: a tiny random Gemma 3, as a folder and as GGUF, becomes a T5Gemma 2 that equals it when n = 0."""
import json
import lzma

import gguf
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from small_gemma3 import small_gemma3
from transformers import T5Gemma2ForConditionalGeneration

from t5gemma2_weights_tool.adapt import adapt
from t5gemma2_weights_tool.cli import main
from t5gemma2_weights_tool.errors import UserError
from t5gemma2_weights_tool.gemma3 import GGUF_LAYER, GGUF_OUTSIDE
from t5gemma2_weights_tool.inputs import Inputs
from t5gemma2_weights_tool.model import load_config, load_model
from t5gemma2_weights_tool.record import forward
from t5gemma2_weights_tool.storage import Checkpoint

pytestmark = pytest.mark.torch

EOI = 61
IDS = np.array([[2, 9, 33, 30, 0, 17, 44, 8, 21, 5]])  # Gemma 3 has no end-of-image embedding of its own
NO_ENCODER = Inputs(np.zeros((1, 0), np.int64), IDS)


@pytest.fixture(scope="module")
def gemma3():
    return small_gemma3()


def gemma3_logits(model) -> np.ndarray:
    with torch.no_grad():
        return model(input_ids=torch.from_numpy(IDS), use_cache=False).logits.numpy()


@pytest.fixture(scope="module")
def folder(gemma3, tmp_path_factory):
    path = tmp_path_factory.mktemp("gemma3")
    gemma3.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def gguf_file(gemma3, tmp_path_factory):
    """The same model as llama.cpp's converter would write it: other names, norm weights 1 + w."""
    path, config = tmp_path_factory.mktemp("gguf") / "gemma3.gguf", gemma3.config
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(1e6)
    writer.add_sliding_window(config.sliding_window)
    state = gemma3.model.state_dict()
    stored = {name: gguf_name for gguf_name, name in GGUF_OUTSIDE.items()}
    stored |= {f"layers.{i}.{name}.weight": f"blk.{i}.{gguf_name}.weight"
               for i in range(config.num_hidden_layers) for gguf_name, name in GGUF_LAYER.items()}
    assert set(stored) == set(state)
    for name, gguf_name in stored.items():
        values = state[name].numpy()
        writer.add_tensor(gguf_name, values + 1 if name.endswith("norm.weight") else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def adapted_logits(output) -> np.ndarray:
    return forward(load_model(output, load_config(output)), NO_ENCODER, IDS).numpy()


def test_folder_equals_gemma3_without_encoder_input(gemma3, folder, tmp_path):
    adapt(folder, tmp_path, dtype="float32", eoi_token_index=EOI)
    assert np.array_equal(adapted_logits(tmp_path), gemma3_logits(gemma3))


def test_gguf_equals_gemma3_without_encoder_input(gemma3, gguf_file, tmp_path):
    """Norm weights go through 1 + w in float32, so here the last bits differ."""
    adapt(gguf_file, tmp_path, dtype="float32", eoi_token_index=EOI)
    np.testing.assert_allclose(adapted_logits(tmp_path), gemma3_logits(gemma3), atol=2e-5)


def test_folder_and_gguf_agree(folder, gguf_file, tmp_path):
    for source, name in ((folder, "a"), (gguf_file, "b")):
        adapt(source, tmp_path / name, dtype="float32", eoi_token_index=EOI)
    a, b = Checkpoint(tmp_path / "a"), Checkpoint(tmp_path / "b")
    assert set(a) == set(b)
    for name in a:
        np.testing.assert_allclose(a.read(name), b.read(name), atol=1e-6)
    a, b = (json.loads((tmp_path / name / "config.json").read_text()) for name in "ab")
    assert a == b


def test_what_is_stored(gemma3, folder, tmp_path):
    adapt(folder, tmp_path, eoi_token_index=EOI)
    checkpoint = Checkpoint(tmp_path)
    assert len(set(checkpoint)) == 2 + 2 * (7 * 13 + 1)
    assert {entry[1] for entry in checkpoint.where.values()} == {"BF16"}
    row = gemma3.model.embed_tokens.weight[EOI].detach().numpy()
    eoi = checkpoint.read("model.encoder.embed_tokens.eoi_embedding")
    np.testing.assert_allclose(eoi, row * 24**0.5, rtol=2**-8)
    for name in ("layers.3.self_attn.q_proj.weight", "layers.6.post_self_attn_layernorm.weight", "norm.weight"):
        assert np.array_equal(checkpoint.read(f"model.encoder.{name}"), checkpoint.read(f"model.decoder.{name}"))
    assert "Gemma Terms of Use" in (tmp_path / "NOTICE").read_text()


def test_the_library_loads_it(folder, tmp_path):
    adapt(folder, tmp_path, dtype="float32", eoi_token_index=EOI)
    model, info = T5Gemma2ForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert all("vision_tower" in name or "multi_modal_projector" in name for name in info["missing_keys"])
    assert not info["unexpected_keys"] and model.generation_config.decoder_start_token_id == 2


@pytest.mark.parametrize("factor, full", [(None, {"rope_type": "default"}), (1, {"rope_type": "default"}),
                                          (8, {"rope_type": "linear", "factor": 8.0})])
def test_rope_factor(gemma3, folder, tmp_path, factor, full):
    adapt(folder, tmp_path, rope_factor=factor, dtype="float32", eoi_token_index=EOI)
    config = load_config(tmp_path)
    for text in (config["encoder"]["text_config"], config["decoder"]):
        assert text["rope_parameters"]["full_attention"] == {"rope_theta": 1e6, **full}
        assert text["rope_parameters"]["sliding_attention"] == {"rope_theta": 1e4, "rope_type": "default"}
    assert np.array_equal(adapted_logits(tmp_path), gemma3_logits(gemma3)) == (factor != 8)


def test_tokenizer_is_copied(folder, tmp_path):
    (tmp_path / "t.json").write_text('{"version": "1.0"}')
    (tmp_path / "t.json.xz").write_bytes(lzma.compress(b'{"version": "1.0"}'))
    for name in ("t.json", "t.json.xz"):
        adapt(folder, tmp_path / "o", tokenizer=tmp_path / name, eoi_token_index=EOI, force=True)
        assert (tmp_path / "o/tokenizer.json").read_text() == '{"version": "1.0"}'


def test_damaged_folder(folder, tmp_path, capsys):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.2.mlp.up_proj.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="expected one for model.encoder.text_model.layers.2.mlp.up_proj.weight"):
        adapt(tmp_path, tmp_path / "o", eoi_token_index=EOI)
    del tensors["model.embed_tokens.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="expected embed_tokens.weight, found nothing"):
        adapt(tmp_path, tmp_path / "o", eoi_token_index=EOI)


def test_bad_input(folder, tmp_path, capsys):
    (tmp_path / "x.gguf").write_bytes(b"no such thing")
    assert main(["adapt", str(tmp_path / "x.gguf"), "-o", str(tmp_path / "o")]) == 1
    assert "expected a GGUF file" in capsys.readouterr().err
    with pytest.raises(UserError, match="expected an id from 1 to 62, found 256000"):
        adapt(folder, tmp_path / "o")
