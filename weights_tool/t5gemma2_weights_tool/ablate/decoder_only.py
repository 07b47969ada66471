"""decoder-only: the Gemma 3 of the recipe, as wide as makes it as large as base; prompt and answer in one stream.

    base            encoder: <bos> prompt            decoder: <bos> answer
    decoder-only    <bos> prompt <bos> answer        one causal stack; what an image token sees of its image is all of it

    X = E[stream] sqrt(d)    A = softmax(Q K^T / sqrt(dh), causal) V    Q, K, V, A of X alone [t, d], t = prompt + answer

Where base learns by UL2, the same gaps are filled in the one stream; pictures come before what they are asked about, as
in base. The model is transformers' Gemma 3 with pictures, without position interpolation, as
base's parent.
"""
from dataclasses import replace

import torch
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    SiglipVisionConfig,
    T5Gemma2ForConditionalGeneration,
)

from ..pocket import fast, learners
from ..pocket.batches import DECODER_MULTIPLE, TENSORS, padded, pixel_values
from ..pocket.model import IMAGE_IDS, gemma3_config, t5gemma2_config, wake_up_vision
from ..pocket.recipe import Recipe, Sizes
from ..pocket.samples import BOS, EOS, NOTHING, PAD, Sample

STEP = 8  # widths that are tried are its multiples


def config(sizes: Sizes, vocabulary: int) -> Gemma3Config:
    vision = SiglipVisionConfig(**sizes.vision, vision_use_head=False)
    return Gemma3Config(text_config=gemma3_config(sizes, vocabulary), vision_config=vision,
                        mm_tokens_per_image=sizes.image_tokens, initializer_range=sizes.initializer_range, **IMAGE_IDS)


def fresh(recipe: Recipe, vocabulary: int) -> Gemma3ForConditionalGeneration:
    torch.manual_seed(recipe.seed)
    model = Gemma3ForConditionalGeneration._from_config(config(recipe.sizes, vocabulary), attn_implementation=fast.ATTENTION,
                                                        dtype=torch.float32)
    with torch.no_grad():
        wake_up_vision(model.model, recipe.sizes.initializer_range * recipe.sizes.text["hidden_size"] ** 0.5)
    return model


def parameters(build) -> int:
    """Of the model that `build()` makes; nothing is computed."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters())


def as_large_as_base(sizes: Sizes, vocabulary: int) -> Sizes:
    """All widths by one factor, so that the parameters of base come out; the MLP's width takes up what is left."""
    wanted = parameters(lambda: T5Gemma2ForConditionalGeneration(t5gemma2_config(sizes, vocabulary)))

    def missing(tried: Sizes) -> int:
        return wanted - parameters(lambda: Gemma3ForConditionalGeneration(config(tried, vocabulary)))
    width = sizes.text["hidden_size"]
    while missing(found := widened(sizes, width)) > 0:
        width += STEP
    nearest = min(found, widened(sizes, width - STEP), key=lambda tried: abs(missing(tried)))
    text = nearest.text
    a_neuron = 3 * text["hidden_size"] * text["num_hidden_layers"]  # gate, up and down of each layer
    more = round(missing(nearest) / a_neuron)
    return replace(nearest, text={**text, "intermediate_size": text["intermediate_size"] + more})


def widened(sizes: Sizes, width: int) -> Sizes:
    text, factor = sizes.text, width / sizes.text["hidden_size"]
    head = 2 * round(text["head_dim"] * factor / 2)  # RoPE turns pairs
    scalar = round(head * text["query_pre_attn_scalar"] / text["head_dim"])
    return replace(sizes, text={**text, "hidden_size": width, "head_dim": head, "query_pre_attn_scalar": scalar,
                                "intermediate_size": round(text["intermediate_size"] * factor)})


def stream(sample: Sample) -> list[int]:
    """What comes before the first token of the answer, and the answer."""
    return [*sample.encoder, BOS, *sample.answer]


def one_stream(samples: list[Sample]):
    """Inputs int64 [samples, tokens] and labels, which are the answers' tokens and eos alone. Padding stands behind, where
    causal attention never looks."""
    ids = padded([stream(sample) for sample in samples], PAD, DECODER_MULTIPLE)
    labels = padded([[NOTHING] * len(sample.encoder) + [*sample.answer, EOS] for sample in samples], NOTHING,
                    DECODER_MULTIPLE)
    return {"input_ids": ids, **seen(ids, samples)}, labels


def seen(ids: torch.Tensor, samples: list[Sample]) -> dict[str, torch.Tensor]:
    """The pictures, and which tokens are theirs."""
    pictures = [picture for sample in samples for picture in sample.pictures]
    if not pictures:
        return {}
    return {"pixel_values": pixel_values(pictures), "token_type_ids": (ids == IMAGE_IDS["image_token_index"]).long()}


ONE_STREAM = {**TENSORS, "denoise": one_stream, "items": one_stream}


class OneStreamLearner(learners.Learner):
    """Text and pictures in one stream."""

    def layers(self):
        return [*self.model.model.language_model.layers, *learners.vision_layers(self.model)]
