"""record: every spelling loads whole, and what is recorded is what transformers computes."""
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import T5Gemma2ForConditionalGeneration

from t5gemma2_weights_tool import names
from t5gemma2_weights_tool.cli import main
from t5gemma2_weights_tool.config import read_json, read_preset, write_json
from t5gemma2_weights_tool.errors import UserError
from t5gemma2_weights_tool.inputs import Inputs, picture_ids, random_ids, random_pixels
from t5gemma2_weights_tool.model import load_config, load_model
from t5gemma2_weights_tool.random_checkpoint import write_random
from t5gemma2_weights_tool.record import forward, in_float64, record

pytestmark = pytest.mark.torch

ENCODER_IDS = np.array([[2, 9, 62, 30, 0, 17, 44, 8]])
DECODER_IDS = np.array([[2, 62, 11, 12, 50]])


def make(folder, **how):
    """A tiny random checkpoint and its `load_config`."""
    write_random(read_preset("tiny"), folder, **how)
    return folder, load_config(folder)


def library_logits(folder) -> np.ndarray:
    """Logits with the library's own loading."""
    model, info = T5Gemma2ForConditionalGeneration.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    with torch.no_grad():
        return model.eval()(input_ids=torch.from_numpy(ENCODER_IDS), decoder_input_ids=torch.from_numpy(DECODER_IDS),
                            use_cache=False).logits.numpy()


@pytest.mark.parametrize("untied", [None, "head", "decoder", "both"])
@pytest.mark.parametrize("spelling", names.SPELLINGS)
@pytest.mark.parametrize("dtype, shards", [("float32", 1), ("bfloat16", 3), ("float16", 2)])
def test_recorded_logits_are_the_librarys(tmp_path, untied, spelling, dtype, shards):
    folder, config = make(tmp_path, untied=untied, spelling=spelling, dtype=dtype, shards=shards)
    taps = record(folder, config, Inputs(ENCODER_IDS, DECODER_IDS), light=True)
    assert np.array_equal(taps["logits"], library_logits(folder))


def test_truth_is_what_float64_gives(tmp_path):
    folder, config = make(tmp_path, dtype="float32")
    inputs = Inputs(ENCODER_IDS, DECODER_IDS)
    plain, taps = record(folder, config, inputs), record(folder, config, inputs, truth=True)
    truth = {name: taps.pop(f"truth.{name}") for name in plain if not name.startswith("inputs.")}
    assert taps.keys() == plain.keys() and all(np.array_equal(taps[name], plain[name]) for name in plain)
    distances = {name: abs(truth[name] - plain[name]).max() / abs(truth[name]).max() for name in truth}
    assert 1e-7 < max(distances.values()) < 1e-4  # rounding, and no more

    weights = {name: tensor.astype(np.float64) for name, tensor in load_file(folder / "model.safetensors").items()}
    at = "model.decoder.layers.0.self_attn"
    product = truth["model.decoder.layers.0.pre_self_attn_layernorm"] @ weights[f"{at}.q_proj.weight"].T
    assert abs(product - truth[f"{at}.q_proj"]).max() < 3e-7 * abs(product).max()
    assert torch.ones(1).float().dtype == torch.nn.functional.softmax(torch.ones(1), 0).dtype == torch.float32


class Below64(TorchDispatchMode):
    """Collects the operations that give floating-point numbers of fewer bits than float64."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype in (torch.float16, torch.bfloat16, torch.float32):
            self.found.add(func.overloadpacket)
        return result


def test_truth_is_float64_throughout(tmp_path):
    """Nothing is computed in fewer bits, with a picture too: tensors are only taken up or copied."""
    folder, config = make(tmp_path)
    ids = np.array([[2, *picture_ids(config), 9]])
    model, inputs = load_model(folder, config), Inputs(ids, DECODER_IDS, random_pixels(config, 1, 0))
    with in_float64(model), Below64() as below:
        assert forward(model, inputs, DECODER_IDS).dtype == torch.float64
    assert below.found <= {torch.ops.aten.lift_fresh, torch.ops.aten._to_copy}
    with Below64() as below:
        forward(model, inputs, DECODER_IDS)
    assert {torch.ops.aten._softmax, torch.ops.aten.mm, torch.ops.aten.cos} <= below.found


@pytest.mark.parametrize("kept", [[names.HEAD], [names.DECODER_EMBEDDING], [names.HEAD, names.DECODER_EMBEDDING]])
def test_tied_names_serve_for_each_other_in_the_librarys_order(tmp_path, kept):
    folder, config = make(tmp_path, untied="both", spelling="text_model")
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "tie_word_embeddings": True})
    rewrite(folder, lambda tensors: [tensors.pop(name) for name in (names.EMBEDDING, names.HEAD, names.DECODER_EMBEDDING,
                                                                    names.EOI) if name not in kept])
    model = load_model(folder, load_config(folder))
    logits = forward(model, Inputs(ENCODER_IDS, DECODER_IDS), DECODER_IDS).numpy()
    assert np.array_equal(logits, library_logits(folder))


@pytest.mark.parametrize("untied", ["head", "decoder", None])
def test_where_the_config_unties_them_all_have_to_be_stored(tmp_path, untied):
    folder, config = make(tmp_path, untied=untied)
    with pytest.raises(UserError, match="expected it in the checkpoint"):
        load_model(folder, {**config, "tie_word_embeddings": False})


def rewrite(folder, change):
    """Apply a change to the stored tensors of an unsharded float32 checkpoint."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize("change, message", [
    (lambda t: t.pop("model.decoder.layers.1.mlp.up_proj.weight"), "mlp.up_proj.weight: expected it in the checkpoint"),
    (lambda t: t.pop("model.encoder.embed_tokens.eoi_embedding"), "eoi_embedding: expected it in the checkpoint"),
    (lambda t: t.pop("model.encoder.multi_modal_projector.mm_input_projection_weight"), "mm_input_projection_weight"),
    (lambda t: t.update(extra=np.zeros(1, np.float32)), "only T5Gemma 2 names, found extra"),
    (lambda t: t.update({"model.decoder.norm.weight": np.zeros(23, np.float32)}), r"expected shape \[24\], found \[23\]"),
    (lambda t: t.update({"model.encoder.text_model.norm.weight": np.zeros(24, np.float32)}), "expected one spelling"),
])
def test_bad_checkpoints_are_refused(tmp_path, change, message):
    folder, config = make(tmp_path)
    rewrite(folder, change)
    with pytest.raises(UserError, match=message):
        load_model(folder, config)


def test_vision_head_and_short_head_name(tmp_path):
    folder, config = make(tmp_path, untied="head")
    wanted = record(folder, config, Inputs(ENCODER_IDS, DECODER_IDS), light=True)["logits"]

    def change(tensors):
        tensors["lm_head.weight"] = tensors.pop("lm_head.out_proj.weight")
        tensors["model.encoder.vision_tower.head.probe"] = np.zeros((1, 1, 16), np.float32)
    rewrite(folder, change)
    assert np.array_equal(record(folder, config, Inputs(ENCODER_IDS, DECODER_IDS), light=True)["logits"], wanted)


def test_old_rope_keys_compute_the_same(tmp_path):
    results = []
    for name, old in (("new", False), ("old", True)):
        folder, config = make(tmp_path / name, old_keys=old)
        results.append(record(folder, config, Inputs(ENCODER_IDS, DECODER_IDS), light=True)["logits"])
    assert np.array_equal(*results)


def test_taps_are_consistent(tmp_path):
    """A few equations between taps, among them the parts that are ours: [1], .weights, .cross_weights."""
    folder, config = make(tmp_path)
    taps = record(folder, config, Inputs(ENCODER_IDS, DECODER_IDS))
    n, m, layer = ENCODER_IDS.shape[1], DECODER_IDS.shape[1], "model.decoder.layers.1.self_attn"
    own, cross = taps[f"{layer}.weights"], taps[f"{layer}.cross_weights"]
    assert own.shape == (1, 4, m, m) and cross.shape == (1, 4, m, n)
    np.testing.assert_allclose(own.sum(-1) + cross.sum(-1), 1, rtol=1e-6)
    assert not np.triu(own[0, 0], 1).any() and cross.all()

    values = np.concatenate([taps[f"{layer}.v_proj"], taps[f"{layer}.v_proj[1]"]], 1)[0].reshape(m + n, 2, 8)
    mixed = np.einsum("hqk,khd->qhd", np.concatenate([own, cross], -1)[0], values.repeat(2, 1)).reshape(m, -1)
    out = load_model(folder, config).state_dict()[f"{layer}.o_proj.weight"].numpy()
    np.testing.assert_allclose(mixed @ out.T, taps[f"{layer}.o_proj"][0], atol=2e-5)
    assert np.array_equal(taps[f"{layer}.o_proj"], taps[layer])
    assert np.array_equal(taps["lm_head"], taps["logits"])


def test_light_is_a_part(tmp_path):
    folder, config = make(tmp_path)
    inputs = Inputs(ENCODER_IDS, DECODER_IDS)
    whole, light = record(folder, config, inputs), record(folder, config, inputs, light=True)
    assert set(light) == {
        "inputs.input_ids", "inputs.decoder_input_ids", "lm_head", "logits",
        *(f"model.{side}.{part}" for side in ("decoder", "encoder.text_model")
          for part in ("embed_tokens", "layers.0", "layers.1", "norm"))}
    assert all(np.array_equal(whole[name], light[name]) for name in light)


def test_last_rows(tmp_path):
    folder, config = make(tmp_path)
    inputs = Inputs(ENCODER_IDS, DECODER_IDS)
    whole, last = record(folder, config, inputs), record(folder, config, inputs, last_rows=6)
    for name, values in whole.items():
        if name.startswith("inputs.") or values.shape[-2] <= 6:
            assert np.array_equal(last[name], values)
        else:
            assert np.array_equal(last[f"{name}[-6:]"], values[..., -6:, :])


def test_cached_tokens_are_the_uncached_ones(tmp_path):
    folder, config = make(tmp_path, seed=4)
    inputs = Inputs(ENCODER_IDS, DECODER_IDS, generate_from=DECODER_IDS[:, :2], generate=12)
    generated = record(folder, config, inputs, light=True)["generated"]
    model, tokens = load_model(folder, config), DECODER_IDS[:, :2]
    for _ in range(12):
        tokens = np.append(tokens, forward(model, inputs, tokens)[:, -1:].argmax(-1).numpy(), axis=1)
    assert np.array_equal(generated, tokens)


def test_eos_does_not_stop(tmp_path):
    config = read_preset("tiny")
    for part in (config, config["encoder"]["text_config"], config["decoder"]):
        part["eos_token_id"] = list(range(3, 64))
    write_random(config, tmp_path)
    inputs = Inputs(ENCODER_IDS, DECODER_IDS, generate=9)
    assert record(tmp_path, load_config(tmp_path), inputs, light=True)["generated"].shape == (1, 10)


def test_no_encoder_input(tmp_path):
    """n = 0: no encoder taps, and the encoder's weights make no difference."""
    folder, config = make(tmp_path / "a")
    inputs = Inputs(np.zeros((1, 0), np.int64), DECODER_IDS, generate=5)
    taps = record(folder, config, inputs)
    assert taps["inputs.input_ids"].shape == (1, 0)
    assert not any("encoder" in name or "[1]" in name or "cross" in name for name in taps)
    np.testing.assert_allclose(taps["model.decoder.layers.0.self_attn.weights"].sum(-1), 1, rtol=1e-6)
    rewrite(folder, lambda tensors: tensors.update(
        {name: -values for name, values in tensors.items() if name.startswith("model.encoder.layers")}))
    assert np.array_equal(record(folder, config, inputs)["logits"], taps["logits"])


def test_pad_tokens_are_visible(tmp_path):
    """Id 0 in the encoder input is a token like any other, in the pass and in generation."""
    folder, config = make(tmp_path)
    with_pad = Inputs(np.array([[2, 0, 9, 0]]), DECODER_IDS)
    taps = record(folder, config, with_pad)
    assert taps["model.decoder.layers.0.self_attn.cross_weights"].all()


def test_pictures(tmp_path):
    folder, config = make(tmp_path, spelling="hub")
    ids = random_ids(config, 18, 0, images=2)
    taps = record(folder, config, Inputs(ids, DECODER_IDS, random_pixels(config, 2, 0), generate=3))
    assert taps["model.encoder.multi_modal_projector"].shape == (2, 4, 24)
    assert taps["model.encoder.vision_tower.embeddings"].shape == (2, 16, 16)
    assert taps["model.encoder.vision_tower.encoder.layers.0.self_attn"].shape == (2, 16, 16)
    assert not any("vision" in name and name.endswith("weights") for name in taps)


def test_pictures_need_vision_tensors(tmp_path, capsys):
    make(tmp_path, text_only=True)
    arguments = ["record", str(tmp_path), "-o", str(tmp_path / "r.safetensors"), "--images", "1"]
    assert main(arguments) == 1
    assert "no vision tensors" in capsys.readouterr().err


def test_command(tmp_path):
    make(tmp_path, text_only=True)
    output = tmp_path / "r.safetensors"
    assert main(["record", str(tmp_path), "-o", str(output), "--input-ids", "2,5,7", "--decoder-length", "4",
                 "--generate", "3", "--generate-from-decoder-input", "--light"]) == 0
    reference = load_file(output)
    assert reference["inputs.input_ids"].tolist() == [[2, 5, 7]]
    assert np.array_equal(reference["inputs.generate_from"], reference["inputs.decoder_input_ids"])
    assert reference["generated"].shape == (1, 7)
    assert main(["record", str(tmp_path), "-o", str(output), "--no-encoder-input", "--light"]) == 0
    assert load_file(output)["inputs.input_ids"].shape == (1, 0)
