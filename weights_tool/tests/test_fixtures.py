"""The committed fixtures are well-formed and cover what they are there for (their numbers: test_torch_fixtures.py)."""
import re

import numpy as np
import pytest
from safetensors.numpy import load_file

from paths import DATA
from t5gemma2_weights_tool import names
from t5gemma2_weights_tool.config import normalise, read_json
from t5gemma2_weights_tool.fixtures import FIXTURES, fixture_config, fixture_inputs
from t5gemma2_weights_tool.storage import Checkpoint

SMALL = 350_000  # bytes of one folder


@pytest.mark.parametrize("name", FIXTURES)
def test_checkpoint_is_whole(name):
    fixture, folder = FIXTURES[name], DATA / name
    config = normalise(read_json(folder / "config.json"), name)
    shapes = names.parameter_shapes(config, vision=fixture.images > 0, untied=fixture.write.get("untied"))
    checkpoint = Checkpoint(folder)
    used = [stored for stored in checkpoint if names.canonical(stored)]
    assert {names.canonical(stored): checkpoint.shape(stored) for stored in used} == shapes
    assert (len(used) < len(list(checkpoint))) == fixture.vision_head
    wanted = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[fixture.write.get("dtype", "float32")]
    assert {entry[1] for entry in checkpoint.where.values()} == {wanted}
    assert len(checkpoint.files) == fixture.write.get("shards", 1)
    assert sum(file.stat().st_size for file in folder.iterdir()) < SMALL


@pytest.mark.parametrize("name", FIXTURES)
def test_reference_is_whole(name):
    fixture = FIXTURES[name]
    reference = load_file(DATA / name / "reference.safetensors")
    inputs = fixture_inputs(fixture, fixture_config(fixture))
    assert np.array_equal(reference["inputs.input_ids"], inputs.input_ids)
    assert np.array_equal(reference["inputs.decoder_input_ids"], inputs.decoder_input_ids)
    assert ("inputs.pixel_values" in reference) == (fixture.images > 0)
    if fixture.images:
        assert np.array_equal(reference["inputs.pixel_values"], inputs.pixel_values)
    prefix = fixture.generate_from or 1
    assert reference["generated"].shape == (1, prefix + fixture.generate)
    assert len(np.unique(reference["generated"][0, prefix:])) > 3, "greedy tokens should vary"
    assert any(re.fullmatch(r"logits(\[-\d+:\])?", tap) for tap in reference)
    assert any("encoder" in tap for tap in reference) == (fixture.n > 0)
    assert any("[-16:]" in tap for tap in reference) == (fixture.last_rows is not None)
    assert all(np.isfinite(values).all() and values.any() for values in reference.values() if values.size)
    made = {tap for tap in reference if tap != "generated" and not tap.startswith(("inputs.", "truth."))}
    assert {tap for tap in reference if tap.startswith("truth.")} == {f"truth.{tap}" for tap in made}


def test_basic_has_every_kind_of_tap():
    reference = load_file(DATA / "basic/reference.safetensors")
    n, m = 11, 7
    layer = "model.decoder.layers.0.self_attn"
    for tap, shape in {"weights": (1, 4, m, m), "cross_weights": (1, 4, m, n), "k_norm": (1, 2, m, 8),
                       "k_norm[1]": (1, 2, n, 8), "v_proj[1]": (1, n, 16)}.items():
        assert reference[f"{layer}.{tap}"].shape == shape
    assert reference["model.encoder.text_model.layers.1.self_attn.weights"].shape == (1, 4, n, n)


def test_images_has_every_kind_of_vision_tap():
    reference = load_file(DATA / "images/reference.safetensors")
    tower, projector = "model.encoder.vision_tower", "model.encoder.multi_modal_projector"
    shapes = {f"{tower}.embeddings.patch_embedding": (2, 9, 6, 6), f"{tower}.embeddings": (2, 36, 9),
              f"{tower}.encoder.layers.1": (2, 36, 9), f"{tower}.encoder.layers.0.mlp.activation_fn": (2, 36, 11),
              f"{tower}.post_layernorm": (2, 36, 9), f"{projector}.avg_pool": (2, 9, 2, 2),
              f"{projector}.mm_soft_emb_norm": (2, 4, 9), projector: (2, 4, 12)}
    assert {tap: reference[tap].shape for tap in shapes} == shapes


def test_images_stand_anywhere_in_the_prompt():
    (ids,) = load_file(DATA / "images/reference.safetensors")["inputs.input_ids"]
    places = np.flatnonzero(ids == 63)
    assert len(places) == 8 and places[0] > 2 and places[-1] < len(ids) - 2, "text before and behind the images"
    assert places[4] - places[3] > 3, "text between the images"
    assert (ids == 61).sum() == (ids == 62).sum() == 2


def test_what_the_fixtures_cover():
    configs = {name: normalise(fixture_config(fixture), name) for name, fixture in FIXTURES.items()}
    text, decoder = configs["basic"]["encoder"]["text_config"], configs["basic"]["decoder"]
    assert FIXTURES["basic"].n > text["sliding_window"] and FIXTURES["basic"].m > decoder["sliding_window"]
    assert set(text["layer_types"]) == set(decoder["layer_types"]) == {"sliding_attention", "full_attention"}
    assert decoder["num_attention_heads"] * decoder["head_dim"] != decoder["hidden_size"]
    assert decoder["query_pre_attn_scalar"] != decoder["head_dim"]
    unequal = configs["unequal"]
    for field in ("num_hidden_layers", "num_attention_heads", "head_dim", "intermediate_size", "sliding_window",
                  "rms_norm_eps", "query_pre_attn_scalar"):
        assert unequal["encoder"]["text_config"][field] != unequal["decoder"][field]
    assert unequal["decoder"]["final_logit_softcapping"]
    assert {configs[name]["decoder"]["sliding_window"] % 2 for name in ("long_odd", "long_even")} == {0, 1}
    kernels = {name: kernel(configs[name]) for name, fixture in FIXTURES.items() if fixture.images}
    assert kernels == {"images": 3, "images_bfloat16": 2}
    vision = configs["images"]["encoder"]["vision_config"]
    assert vision["num_attention_heads"] > 2 and vision["layer_norm_eps"] > 0.01
    assert FIXTURES["no_encoder"].n == 0 and FIXTURES["one_token"].n == FIXTURES["one_token"].m == 1


def kernel(config: dict) -> int:
    """Patches that a token is the mean of, in one direction."""
    vision = config["encoder"]["vision_config"]
    return vision["image_size"] // vision["patch_size"] // round(config["encoder"]["mm_tokens_per_image"]**0.5)


def test_nothing_else_lies_there():
    made = {folder.name for folder in DATA.iterdir() if (folder / "reference.safetensors").exists()}
    assert made == set(FIXTURES)
