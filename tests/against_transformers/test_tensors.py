"""Every tensor and every greedy token of fresh random checkpoints, as people save them, against transformers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from transformers import T5Gemma2ForConditionalGeneration

from programs import check
from t5gemma2_weights_tool.cli import main
from t5gemma2_weights_tool.config import read_json, write_json
from t5gemma2_weights_tool.fixtures import SLIDING_PAIR, TEXT, UNEQUAL, Fixture, both, vision, write_fixture

# Widths and window of the 270M model; a layer of each kind, a small vocabulary.
REAL_WIDTHS = {"hidden_size": 640, "head_dim": 256, "num_attention_heads": 4, "num_key_value_heads": 1,
               "intermediate_size": 2048, "query_pre_attn_scalar": 256, "sliding_window": 512}
ODD = {"hidden_size": 45, "head_dim": 10, "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 71,
       "query_pre_attn_scalar": 13, "sliding_window": 7, "num_hidden_layers": 3, "layer_types": SLIDING_PAIR,
       "max_position_embeddings": 333}

CASES = {
    "hub_names": Fixture(light=False, seed=31),
    "save_pretrained_names": Fixture(light=False, write={"spelling": "save_pretrained"}, seed=32),
    "text_model_names": Fixture(light=False, write={"spelling": "text_model"}, seed=33),
    "float16": Fixture(light=False, write={"dtype": "float16"}, seed=34),
    "bfloat16": Fixture(light=False, write={"dtype": "bfloat16"}, seed=35),
    "shards": Fixture(light=False, write={"dtype": "bfloat16", "shards": 4}, seed=36),
    "older_rope_keys": Fixture(light=False, write={"old_keys": True}, seed=37),
    "untied_head": Fixture(light=False, write={"untied": "head"}, seed=38),
    "untied_decoder": Fixture(light=False, write={"untied": "decoder", "dtype": "float16"}, seed=39),
    "untied_both": Fixture(light=False, write={"untied": "both"}, seed=40),
    "softcap": Fixture(both(final_logit_softcapping=2.0), light=False, seed=41),
    "no_encoder_input": Fixture(n=0, m=17, light=False, generate=20, generate_from=9, seed=42),
    "one_token": Fixture(n=1, m=1, eoi=False, light=False, generate=12, seed=43),
    "long_decoder": Fixture(n=3, m=70, light=False, generate=60, generate_from=33, seed=44),
    "past_the_trained_length": Fixture(n=4200, m=40, last_rows=64, generate=24, seed=51),
    "unequal_sides": Fixture({**UNEQUAL, f"{TEXT}.sliding_window": 9}, n=40, m=30, light=False, seed=45),
    "odd_sizes": Fixture(both(**ODD), n=53, m=23, light=False, generate=30, generate_from=5, seed=46),
    "odd_sizes_bfloat16": Fixture(both(**ODD), n=29, m=31, light=False, write={"dtype": "bfloat16"}, seed=47),
    "real_widths": Fixture(both(**REAL_WIDTHS), n=60, m=20, light=False, generate=24, seed=48),
    "real_widths_bfloat16": Fixture(both(**REAL_WIDTHS), n=130, m=9, light=False, generate=24,
                                    write={"dtype": "bfloat16"}, seed=49),
    "real_widths_long": Fixture(both(**REAL_WIDTHS), n=700, m=600, light=False, last_rows=64, generate=24,
                                generate_from=560, write={"dtype": "bfloat16"}, seed=50),
    "image_3x3_pooling": Fixture(vision(9, image_size=36, patch_size=4), n=30, images=1, light=False, seed=61),
    "three_images": Fixture(vision(9, image_size=36, patch_size=4), n=60, images=3, light=False,
                            write={"spelling": "save_pretrained"}, seed=62),
    "one_token_an_image": Fixture(vision(1, image_size=42, patch_size=14), n=20, images=2, light=False,
                                  write={"spelling": "text_model", "dtype": "bfloat16"}, seed=63),
    "no_pooling": Fixture(vision(16, image_size=28, patch_size=7, num_hidden_layers=3), n=100, images=4, light=False,
                          write={"untied": "both"}, seed=64),
    "images_in_shards": Fixture(vision(16, image_size=60, patch_size=5), n=40, images=1, light=False,
                                write={"shards": 3, "old_keys": True, "dtype": "float16"}, seed=65),
    "many_patches": Fixture(vision(64, image_size=64, patch_size=2), n=140, images=2, light=False, seed=66),
}


@pytest.mark.parametrize("name", CASES)
def test_every_tensor(name, tmp_path):
    write_fixture(tmp_path, CASES[name])
    check(tmp_path)


def test_vision_tensors_in_the_file_do_not_matter(tmp_path):
    assert main(["random", "--preset", "tiny", "-o", str(tmp_path)]) == 0
    assert main(["record", str(tmp_path), "-o", str(tmp_path / "reference.safetensors"), "--generate", "9"]) == 0
    check(tmp_path)


def read(folder: Path) -> T5Gemma2ForConditionalGeneration:
    return T5Gemma2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)


def check_as_read(folder: Path, tmp_path: Path) -> None:
    """The engine reads a folder as transformers does: what that makes of it, saved by itself, is the reference."""
    read(folder).save_pretrained(tmp_path / "theirs")
    record = ["record", str(tmp_path / "theirs"), "--generate", "9", "-o", str(folder / "reference.safetensors")]
    assert main(record) == 0
    check(folder)


EMBEDDINGS = ("model.encoder.embed_tokens.weight", "lm_head.out_proj.weight", "model.decoder.embed_tokens.weight")
EOI = ("model.encoder.embed_tokens.eoi_embedding", "model.decoder.embed_tokens.eoi_embedding")


@pytest.mark.parametrize("kept", [[1], [2], [1, 2]])
def test_embeddings_that_config_ties_under_any_of_their_names(kept, tmp_path):
    folder = tmp_path / "ours"
    assert main(["random", "--preset", "tiny", "--untied", "both", "-o", str(folder)]) == 0
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "tie_word_embeddings": True})
    tensors = load_file(folder / "model.safetensors")
    for name in {*EMBEDDINGS, *EOI} - {EMBEDDINGS[i] for i in kept} - {EOI[kept[-1] % 2]}:
        del tensors[name]
    save_file(tensors, folder / "model.safetensors")
    check_as_read(folder, tmp_path)


def test_weights_saved_by_save_model(tmp_path):
    folder = tmp_path / "ours"
    assert main(["random", "--preset", "tiny", "-o", str(folder)]) == 0
    save_model(read(folder), str(folder / "model.safetensors"))
    assert not {EMBEDDINGS[0], EOI[0]} & set(load_file(folder / "model.safetensors"))
    check_as_read(folder, tmp_path)


def test_a_resized_vocabulary(tmp_path):
    folder = tmp_path / "ours"
    assert main(["random", "--preset", "tiny", "-o", str(tmp_path / "small")]) == 0
    model = read(tmp_path / "small")
    model.resize_token_embeddings(70)
    model.config.encoder.text_config.vocab_size = 70  # without this transformers refuses to save it
    model.save_pretrained(folder)
    assert read_json(folder / "config.json")["vocab_size"] == 64
    check_as_read(folder, tmp_path)


@pytest.mark.parametrize("wrappers", [["module._orig_mod."], ["base_model.model.", ""]])
def test_names_in_wrappers(wrappers, tmp_path):
    folder = tmp_path / "ours"
    assert main(["random", "--preset", "tiny", "-o", str(folder)]) == 0
    assert main(["record", str(folder), "-o", str(folder / "reference.safetensors"), "--generate", "9"]) == 0
    tensors = load_file(folder / "model.safetensors")
    save_file({wrappers[i % len(wrappers)] + name: tensors[name] for i, name in enumerate(tensors)},
              folder / "model.safetensors")
    check(folder)
