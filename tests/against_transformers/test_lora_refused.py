"""Adapters that --lora and weights_tool merge refuse, with one clear line."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import T5Gemma2ForConditionalGeneration

from adapters import POCKET, random_adapter
from programs import run
from t5gemma2_weights_tool.cli import main


def refused(adapter, message: str, *flags) -> None:
    done = run("t5gemma2-generate", "-q", "-m", POCKET, "--lora", adapter, *flags, "x")
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_vocabulary_that_is_resized_in_part_is_refused(tmp_path):
    model = T5Gemma2ForConditionalGeneration.from_pretrained(POCKET, dtype=torch.float32)
    model.resize_token_embeddings(1240)
    adapter = random_adapter(tmp_path / "adapter", model=model, target_modules=["q_proj"], modules_to_save=["embed_tokens"])
    refused(adapter, 'lm_head.out_proj: expected 1240 rows, as the encoder\'s embedding has them: train with '
                     'modules_to_save ["embed_tokens", "lm_head"]')


@pytest.fixture
def adapter(tmp_path):
    return random_adapter(tmp_path / "adapter", target_modules=["q_proj"])


@pytest.mark.parametrize("key, value, message", [
    ("use_dora", True, "use_dora: expected false"), ("peft_type", "LOHA", 'peft_type: expected "LORA", found "LOHA"'),
    ("r", 0, "r: expected a whole number from 1"), ("r", 5, "factors of rank 5, as adapter_config.json says"),
    ("r", None, "r: expected a whole number"), ("lora_alpha", "x", "lora_alpha: expected a number"),
    ("rank_pattern", {"(": 3}, "rank_pattern.(: expected a regular expression"),
    ("rank_pattern", {r"q_proj\Z": 3}, "expected a regular expression that ECMAScript has, too"),
    ("rank_pattern", {"q_proj": 4.5}, "rank_pattern: expected whole numbers"),
    ("alpha_pattern", [1], "alpha_pattern: expected an object"),
    ("init_lora_weights", "pissa", "init_lora_weights: expected true, false,"),
    ("trainable_token_indices", [5], "trainable_token_indices: expected none"),
    ("layer_replication", [[0, 2]], "layer_replication: expected none"),
    ("alora_invocation_tokens", [5], "alora_invocation_tokens: expected none"),
])
def test_other_kinds(key, value, message, adapter):
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, key: value}))
    refused(adapter, message)
    if not isinstance(value, dict) or r"q_proj\Z" not in value:  # merge has Python's
        assert main(["merge", str(POCKET), "--lora", str(adapter), "-o", str(adapter / "merged")]) == 1


NAME = "base_model.model.model.decoder.layers.0.self_attn.q_proj"


@pytest.mark.parametrize("change, message", [
    (lambda t: t.update({f"{NAME}.lora_A.weight": torch.full((4, 128), float("nan"))}), "expected finite numbers, found NaN"),
    (lambda t: t.pop(f"{NAME}.lora_B.weight"), "lora_B.weight: expected a tensor beside"),
    (lambda t: t.pop(f"{NAME}.lora_A.weight"), "lora_A.weight: expected a tensor beside"),
    (lambda t: t.update({f"{NAME}.lora_A.weight": torch.ones(4, 64)}),
     "q_proj.weight: expected a change of [128, 128], which the model has there: is it another base model's?, found [128, 64]"),
    (lambda t: t.update({f"{NAME}.lora_A.weight": torch.ones(3, 128)}), "factors of rank 4"),
    (lambda t: t.update({f"{NAME}.lora_A.weight": torch.ones(4)}), "expected a matrix, found F32 [4]"),
    (lambda t: t.update({f"{NAME}.lora_magnitude_vector.weight": torch.ones(128)}), "another kind of adapter"),
    (lambda t: t.update({"base_model.model.model.decoder.layers.9.self_attn.q_proj.weight": torch.ones(128, 128)}),
     "layers.9.self_attn.q_proj.weight: expected a module of the model, found none of that name"),
    (lambda t: t.clear(), "expected the weights of an adapter, found none"),
])
def test_broken_weights(change, message, adapter):
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, {"format": "pt"})
    refused(adapter, message)


def test_folders_and_scales(adapter, tmp_path):
    refused("/no/such", "--lora: /no/such: expected a model folder or a hub id")
    refused(POCKET, "expected a LoRA adapter's folder with adapter_config.json, found config.json: a model, which -m takes")
    done = run("t5gemma2-generate", "-q", "-m", POCKET, "--lora", f"{adapter}=x", "x")
    assert done.returncode == 2 and "--lora: expected FOLDER or FOLDER=SCALE with a number" in done.stderr
    shutil.copytree(adapter, tmp_path / "bin")
    (tmp_path / "bin/adapter_model.safetensors").rename(tmp_path / "bin/adapter_model.bin")
    refused(tmp_path / "bin", "expected adapter_model.safetensors, found adapter_model.bin")
    whole = random_adapter(tmp_path / "whole", target_modules=["q_proj"], modules_to_save=["q_norm"])
    refused(f"{whole}=0.5", "low-rank changes alone, to be scaled")
