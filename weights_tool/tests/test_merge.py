"""LoRA adapters merged into a small checkpoint: W + s B A, its dtype, ties, and what is refused."""
import json
import math

import numpy as np
import pytest

from t5gemma2_weights_tool import names
from t5gemma2_weights_tool.cli import main
from t5gemma2_weights_tool.config import normalise, read_preset
from t5gemma2_weights_tool.lora import rank_of, scale_of
from t5gemma2_weights_tool.random_checkpoint import write_random
from t5gemma2_weights_tool.storage import Checkpoint, from_bfloat16, to_bfloat16, write_tensors

CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 6}
Q = "model.decoder.layers.1.self_attn.q_proj"
WRAPPER = "base_model.model."


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def weights(folder) -> dict[str, np.ndarray]:
    checkpoint = Checkpoint(folder)
    return {names.canonical(name): checkpoint.read(name) for name in checkpoint}


@pytest.fixture
def base(tmp_path):
    write_random(read_preset("tiny"), tmp_path / "base", dtype="bfloat16")
    return tmp_path / "base"


def factors(base, module: str = Q) -> dict[str, np.ndarray]:
    out, inner = weights(base)[module + ".weight"].shape
    return {f"{WRAPPER}{module}.lora_A.weight": numbers(2, inner), f"{WRAPPER}{module}.lora_B.weight": numbers(out, 2)}


def adapter_of(folder, tensors: dict[str, np.ndarray], **config):
    folder.mkdir()
    write_tensors(folder / "adapter_model.safetensors", tensors)
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}))
    return folder


def merge(base, out, *flags) -> int:
    return main(["merge", str(base), "-o", str(out), *map(str, flags)])


def test_ranks_and_scales():
    assert scale_of(CONFIG, Q) == 3 and scale_of({**CONFIG, "use_rslora": True}, Q) == 6 / math.sqrt(2)
    patterns = {**CONFIG, "rank_pattern": {"q_proj": 4, "v_proj": 3}, "alpha_pattern": {"decoder.*": 12}}
    assert rank_of(patterns, Q) == 4 and scale_of(patterns, Q) == 3
    assert rank_of(patterns, "model.decoder.my_q_proj") == 2  # from a dot on


def test_merged_weights(base, tmp_path):
    """Twice the change, and again a part of it, in the base's dtype; the other tensors stay."""
    tensors = factors(base)
    adapter = adapter_of(tmp_path / "adapter", tensors)
    assert merge(base, tmp_path / "merged", "--lora", f"{adapter}=2", "--lora", f"{adapter}=-0.5") == 0
    before, after = weights(base), weights(tmp_path / "merged")
    A, B = tensors.values()
    expected = before[Q + ".weight"] + 1.5 * 3 * (B @ A)
    changed = after.pop(Q + ".weight")
    assert np.abs(changed - from_bfloat16(to_bfloat16(expected))).max() <= 2**-7 * np.abs(expected).max()
    assert after.keys() == before.keys() - {Q + ".weight"}
    assert all(np.array_equal(after[name], before[name]) for name in after)
    assert json.loads((tmp_path / "merged/config.json").read_text())["dtype"] == "bfloat16"
    assert merge(base, tmp_path / "float32", "--lora", f"{adapter}=1.5", "--dtype", "float32") == 0
    assert np.abs(weights(tmp_path / "float32")[Q + ".weight"] - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_tied_head_gets_its_own(base, tmp_path):
    """And the embeddings keep theirs, as in peft; then each of them is stored."""
    vocab, d = weights(base)[names.EMBEDDING].shape
    head = "lm_head.out_proj"
    adapter = adapter_of(tmp_path / "adapter", {f"{WRAPPER}{head}.lora_A.weight": numbers(2, d),
                                                f"{WRAPPER}{head}.lora_B.weight": numbers(vocab, 2)})
    assert merge(base, tmp_path / "merged", "--lora", adapter, "--dtype", "float32") == 0
    before, after = weights(base), weights(tmp_path / "merged")
    for name in names.EMBEDDING, names.DECODER_EMBEDDING:
        assert np.array_equal(after[name], before[names.EMBEDDING])
    change = 3 * (numbers(vocab, 2) @ numbers(2, d))
    assert np.abs(after[names.HEAD] - before[names.EMBEDDING] - change).max() <= 1e-5 * np.abs(change).max()
    assert json.loads((tmp_path / "merged/config.json").read_text())["tie_word_embeddings"] is False


def test_the_end_of_image_vector_changes_with_its_row(base, tmp_path):
    vocab, d = weights(base)[names.EMBEDDING].shape
    module = WRAPPER + names.EMBEDDING.removesuffix(".weight")
    adapter = adapter_of(tmp_path / "adapter", {f"{module}.lora_embedding_A": numbers(2, vocab),
                                                f"{module}.lora_embedding_B": numbers(d, 2)})
    assert merge(base, tmp_path / "merged", "--lora", adapter, "--dtype", "float32") == 0
    before, after = weights(base), weights(tmp_path / "merged")
    change = 3 * (numbers(d, 2) @ numbers(2, vocab)).T
    assert np.abs(after[names.EMBEDDING] - before[names.EMBEDDING] - change).max() <= 1e-5 * np.abs(change).max()
    eoi = normalise(read_preset("tiny"), "tiny")["eoi_token_index"]
    assert np.abs(after[names.EOI] - before[names.EOI] - change[eoi] * math.sqrt(d)).max() <= 1e-4
    assert np.array_equal(after[names.HEAD], before[names.EMBEDDING])
    assert np.array_equal(after[names.DECODER_EOI], before[names.EOI])


def test_a_head_of_its_own_stays(tmp_path):
    """Where an adapter of the embedding brings the base's embedding along."""
    base = tmp_path / "untied"
    write_random(read_preset("tiny"), base, untied="head")
    before, module = weights(base), WRAPPER + names.EMBEDDING.removesuffix(".weight")
    vocab, d = before[names.EMBEDDING].shape
    adapter = adapter_of(tmp_path / "adapter", {f"{module}.lora_embedding_A": numbers(2, vocab),
                                                f"{module}.lora_embedding_B": numbers(d, 2),
                                                f"{module}.base_layer.weight": before[names.EMBEDDING]})
    assert merge(base, tmp_path / "merged", "--lora", adapter) == 0
    after = weights(tmp_path / "merged")
    assert np.array_equal(after[names.HEAD], before[names.HEAD])
    assert np.array_equal(after[names.DECODER_EMBEDDING], before[names.EMBEDDING])


def test_numbers_too_large_for_the_dtype(base, tmp_path, capsys):
    adapter = adapter_of(tmp_path / "adapter", factors(base))
    assert merge(base, tmp_path / "merged", "--lora", f"{adapter}=1e6", "--dtype", "float16") == 1
    assert "expected merged numbers up to 65504, which the dtype holds" in capsys.readouterr().err


@pytest.mark.parametrize("config, message", [
    ({"r": 0}, "r: expected a whole number from 1, found 0"), ({"r": 3}, "expected factors of rank 3"),
    ({"lora_alpha": None}, "lora_alpha: expected a number"), ({"use_dora": True}, "use_dora: expected none"),
    ({"peft_type": "IA3"}, "peft_type: expected LORA"), ({"init_lora_weights": "pissa"}, "init_lora_weights: expected"),
    ({"rank_pattern": {"(": 2}}, "rank_pattern: expected regular expressions"),
    ({"alpha_pattern": [2]}, "alpha_pattern: expected an object")])
def test_configs_that_are_refused(config, message, base, tmp_path, capsys):
    adapter = adapter_of(tmp_path / "adapter", factors(base), **config)
    assert merge(base, tmp_path / "merged", "--lora", adapter) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "merged").exists()


@pytest.mark.parametrize("end, values, message", [
    ("lora_A.weight", np.full((2, 4), np.nan, np.float32), "expected finite numbers"),
    ("lora_A.weight", numbers(2, 4), "which the model has there, found"),
    ("lora_A.weight", numbers(3, 4), "expected factors of rank 2"),
    ("lora_magnitude_vector.weight", numbers(3), "another kind of adapter")])
def test_weights_that_are_refused(end, values, message, base, tmp_path, capsys):
    adapter = adapter_of(tmp_path / "adapter", {**factors(base), f"{WRAPPER}{Q}.{end}": values})
    assert merge(base, tmp_path / "merged", "--lora", adapter) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "merged").exists()


def test_flags_that_are_refused(base, tmp_path, capsys):
    adapter = adapter_of(tmp_path / "adapter", factors(base))
    for scale in "x", "nan", "inf", "":
        assert merge(base, tmp_path / "merged", "--lora", f"{adapter}={scale}") == 1
        assert "expected FOLDER or FOLDER=SCALE with a number" in capsys.readouterr().err
    for folder in base, adapter:  # --force would remove what is read
        assert merge(base, folder, "--lora", adapter, "--force") == 1
        assert "expected a folder that is not read from" in capsys.readouterr().err
    assert weights(base)


def test_a_half_change_and_none_at_all_are_refused(base, tmp_path, capsys):
    half = {name: value for name, value in factors(base).items() if "lora_B" in name}
    for number, tensors in enumerate([half, {}]):
        assert merge(base, tmp_path / "merged", "--lora", adapter_of(tmp_path / f"adapter{number}", tensors)) == 1
    assert "lora_A.weight: expected a tensor beside" in (errors := capsys.readouterr().err)
    assert "weights: expected those of an adapter, found none" in errors


def test_two_adapters_at_a_whole_tensor_are_refused(base, tmp_path, capsys):
    whole = adapter_of(tmp_path / "whole", {f"{WRAPPER}{Q}.weight": weights(base)[Q + ".weight"]}, modules_to_save=["q_proj"])
    other = adapter_of(tmp_path / "other", factors(base))
    for pair in (whole, other), (other, whole), (whole, whole):
        assert merge(base, tmp_path / "merged", "--lora", pair[0], "--lora", pair[1]) == 1
        assert "expected no other adapter there, as one of them holds it whole" in capsys.readouterr().err
