"""The pocket model's configurations, and fresh models of transformers' own classes.

Two things are zero in a fresh T5Gemma 2, so that images could never be learned: the projection of the image tokens
and the end-of-image embedding. Both start at the scale of the word embeddings here. The vision tower's position
embedding starts as sines, from which places are learned much sooner than from noise.
"""
import copy
import math

import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, T5Gemma2Config, T5Gemma2ForConditionalGeneration

IDS = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
IMAGE_IDS = {"boi_token_index": 5, "eoi_token_index": 6, "image_token_index": 7}  # of the pocket tokenizer
POSITION_SCALE = 0.7  # of the sines: beside patches of about the same size
LOCAL, FULL = "sliding_attention", "full_attention"


def text_config(sizes, vocabulary: int, rope_factor: float | None) -> dict:
    """config.json of one text stack: every sixth layer is global."""
    depth = sizes.text["num_hidden_layers"]
    full = {"rope_type": "default", "rope_theta": sizes.rope["full"]}
    if rope_factor is not None:
        full |= {"rope_type": "linear", "factor": rope_factor}
    return {**sizes.text, **IDS, "vocab_size": vocabulary, "initializer_range": sizes.initializer_range,
            "layer_types": [FULL if i % 6 == 5 else LOCAL for i in range(depth)],
            "rope_parameters": {FULL: full, LOCAL: {"rope_type": "default", "rope_theta": sizes.rope["local"]}},
            "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6, "attention_bias": False,
            "attention_dropout": 0.0, "attn_logit_softcapping": None, "final_logit_softcapping": None,
            "tie_word_embeddings": True}


def gemma3_config(sizes, vocabulary: int) -> Gemma3TextConfig:
    """The decoder-only model the others are made from; its global layers have no position interpolation."""
    return Gemma3TextConfig(**text_config(sizes, vocabulary, None))


def t5gemma2_config(sizes, vocabulary: int) -> T5Gemma2Config:
    """The encoder-decoder."""
    text = {**text_config(sizes, vocabulary, sizes.rope["factor"]), "dropout_rate": 0.0}
    encoder = {"text_config": {**copy.deepcopy(text), "model_type": "t5gemma2_text"},
               "vision_config": {**sizes.vision, "model_type": "siglip_vision_model", "vision_use_head": False},
               "mm_tokens_per_image": sizes.image_tokens, "initializer_range": sizes.initializer_range, **IMAGE_IDS}
    return T5Gemma2Config(encoder=encoder, decoder={**copy.deepcopy(text), "model_type": "t5gemma2_decoder"},
                          vocab_size=vocabulary, initializer_range=sizes.initializer_range, **IDS,
                          eoi_token_index=IMAGE_IDS["eoi_token_index"],
                          image_token_index=IMAGE_IDS["image_token_index"])


def fresh_gemma3(config: Gemma3TextConfig, seed: int, attention="eager") -> Gemma3ForCausalLM:
    torch.manual_seed(seed)
    return Gemma3ForCausalLM._from_config(config, attn_implementation=attention, dtype=torch.float32)


def fresh_t5gemma2(config: T5Gemma2Config, seed: int, attention="eager") -> T5Gemma2ForConditionalGeneration:
    torch.manual_seed(seed)
    model = T5Gemma2ForConditionalGeneration._from_config(config, attn_implementation=attention, dtype=torch.float32)
    with torch.no_grad():
        wake_up(model)
    return model


def wake_up(model: T5Gemma2ForConditionalGeneration) -> None:
    """Give what is zero, or noise, the start described above."""
    encoder = model.model.encoder
    row = model.config.initializer_range * math.sqrt(model.config.decoder.hidden_size)  # scaled word embeddings
    wake_up_vision(encoder, row)
    encoder.text_model.embed_tokens.eoi_embedding.normal_(0, row)


def wake_up_vision(owner, row: float) -> None:
    """Of the module that has the vision tower; `row` is the scale of word embeddings."""
    projection = owner.multi_modal_projector.mm_input_projection_weight
    projection.normal_(0, row / math.sqrt(len(projection)))
    position = owner.vision_tower.embeddings.position_embedding.weight
    position.copy_(POSITION_SCALE * sines(math.isqrt(len(position)), position.shape[1]))


def sines(side: int, width: int) -> torch.Tensor:
    """Position embeddings of side x side places: half of the width for the row, half for the column."""
    frequencies = 100.0 ** -(torch.arange(width // 4) / (width // 4))
    angles = torch.arange(side)[:, None] * 16 / side * frequencies
    axis = torch.cat([angles.sin(), angles.cos()], 1)  # [side, width/2]
    rows, columns = axis[:, None].expand(side, side, -1), axis[None].expand(side, side, -1)
    return torch.cat([rows, columns], -1).reshape(side * side, width)
