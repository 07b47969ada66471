"""t5gemma2-compare reads what transformers' debugger writes: whole tensors, or mean, std, min and max."""

import json

import numpy as np
import pytest
import torch
from programs import ROOT, run
from safetensors.numpy import load_file, save_file
from transformers.model_debugging_utils import model_addition_debugger_context

from t5gemma2_weights_tool.model import load_config, load_model

FIXTURES = ("basic", "unequal", "images")
WHOLE = {"use_repr": False, "do_prune_layers": False}


def folder_of(name: str):
    return ROOT / "tests/data" / name


def debugged(name: str, path, change=lambda model: None, **settings):
    """The tree of one pass over the inputs of a fixture's reference file."""
    reference = load_file(folder_of(name) / "reference.safetensors")
    model = load_model(folder_of(name), load_config(folder_of(name))).eval()
    change(model)
    inputs = {key.removeprefix("inputs."): torch.from_numpy(value) for key, value in reference.items()
              if key in ("inputs.input_ids", "inputs.decoder_input_ids", "inputs.pixel_values")}
    with model_addition_debugger_context(model, debug_path=str(path), **settings):
        model.forward(**inputs)
    return path / "T5Gemma2ForConditionalGeneration_debug_tree_FULL_TENSORS.json", inputs


def report(*arguments) -> tuple[int, dict]:
    done = run("t5gemma2-compare", "-q", "--json", *arguments)
    assert done.stderr == "", done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("name", FIXTURES)
def test_whole_tensors(name, tmp_path):
    """Of modules that are called twice the first call is known by its statistics alone."""
    tree, _ = debugged(name, tmp_path, **WHOLE)
    status, found = report(folder_of(name), tree)
    assert status == 0 and found["not_ours"] == [], found["summary"]
    alone = [tensor["name"] for tensor in found["tensors"] if "statistics" in tensor]
    layers = sum(tensor["name"].endswith("decoder.layers.0.self_attn.q_proj") for tensor in found["tensors"])
    assert layers == 1 and alone and all("model.decoder.layers" in tensor for tensor in alone)
    assert {tensor.rsplit(".", 1)[1] for tensor in alone} == {"k_proj", "v_proj", "k_norm"}
    assert {"lm_head", "model.decoder.layers.0"} <= {tensor["name"] for tensor in found["tensors"]} - set(alone)
    if name == "images":
        assert any("vision_tower" in tensor["name"] for tensor in found["tensors"])


@pytest.mark.parametrize("settings", [{}, {"do_prune_layers": False}], ids=["pruned", "all layers"])
def test_statistics(settings, tmp_path):
    tree, _ = debugged("basic", tmp_path, **settings)
    status, found = report(folder_of("basic"), tree)
    assert status == 0 and all("statistics" in tensor for tensor in found["tensors"]), found["summary"]
    assert len(found["tensors"]) > 40


def test_a_summary_needs_the_ids(tmp_path):
    tree, inputs = debugged("basic", tmp_path)
    summary = tree.with_name(tree.name.replace("FULL_TENSORS", "SUMMARY"))
    done = run("t5gemma2-compare", "-q", folder_of("basic"), summary)
    assert done.returncode == 1 and "or --input-ids, found neither" in done.stderr
    ids, decoder_ids = (",".join(map(str, inputs[key][0].tolist())) for key in ("input_ids", "decoder_input_ids"))
    flags = ("--input-ids", ids, "--decoder-input-ids", decoder_ids)
    assert report(folder_of("basic"), summary, *flags)[0] == 0
    other = ("--input-ids", ids, "--decoder-input-ids", decoder_ids[:-1] + str((int(decoder_ids[-1]) + 1) % 10))
    status, found = report(folder_of("basic"), summary, *other)
    assert status == 1 and found["first"] == "model.decoder.embed_tokens"


def test_a_bug_is_named_from_whole_tensors(tmp_path):
    def exact_gelu(model):
        for layer in (*model.model.encoder.text_model.layers, *model.model.decoder.layers):
            layer.mlp.act_fn = torch.nn.GELU()
    tree, _ = debugged("basic", tmp_path, exact_gelu, **WHOLE)
    status, found = report(folder_of("basic"), tree)
    assert status == 1 and found["guesses"][0]["guess"] == "gelu is the exact one (erf), not the tanh form"


def test_a_tree_against_a_recorded_file(tmp_path):
    """Two files without a model, of different coverage."""
    tree, _ = debugged("basic", tmp_path, **WHOLE)
    recorded = folder_of("basic") / "reference.safetensors"
    for first, second, alone in ((tree, recorded, "not_ours"), (recorded, tree, "not_in_file")):
        status, found = report(first, second)
        assert status == 0 and "logits" in found[alone], found["summary"]
        assert {"inputs.input_ids", "lm_head"} <= {tensor["name"] for tensor in found["tensors"]}


def test_two_recorded_files(tmp_path):
    recorded = folder_of("basic") / "reference.safetensors"
    tensors = load_file(recorded)
    name = "model.decoder.layers.0.self_attn.q_norm"
    tensors[name] = np.ascontiguousarray(tensors[name][:, ::-1])
    save_file(tensors, tmp_path / "other.safetensors")
    status, found = report(recorded, tmp_path / "other.safetensors")
    assert status == 1 and found["first"] == name
    assert found["guesses"][0]["guess"].startswith("heads are in another order: ")
    assert report(recorded, recorded)[0] == 0
