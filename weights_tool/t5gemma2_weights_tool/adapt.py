"""`weights_tool adapt`: a Gemma 3 checkpoint becomes an untrained T5Gemma 2 (paper section 3.1).

The encoder layers and the decoder layers both start as Gemma 3's layers, the one embedding is Gemma 3's. With no
encoder input the result computes what Gemma 3 computes with the same RoPE factor; with one it writes junk until it is
trained.

The folder is text only. transformers insists on a `vision_config`, so config.json has one, as small as it can be
(1 layer of width 16); no vision tensor is stored. `from_pretrained` then reports those few tensors as newly
initialised, text is not affected, and a reader that looks at the tensors sees that there is no vision.
"""
import lzma
import math
from functools import partial
from pathlib import Path

from . import names
from .config import write_json
from .console import say
from .errors import UserError, expected
from .gemma3 import open_gemma3
from .random_checkpoint import generation_config
from .storage import DTYPE_BYTES, Source, make_folder, write_checkpoint

SHARD_BYTES = 4 << 30

# Gemma 3's layer tensors and what they are called here; those not listed keep their names.
RENAMED = {"input_layernorm": "pre_self_attn_layernorm", "post_attention_layernorm": "post_self_attn_layernorm"}

NOTICE = """\
Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms

The weights in this folder are derived from Gemma 3 ({source}). Do not redistribute them without these terms.

Changed from the original: the layers were copied into both halves of a T5Gemma 2 encoder-decoder; the end-of-image
embedding is a copy of its row of the embedding table times sqrt(hidden size); weights are stored as {dtype}
({origin}). The RoPE factor of the full-attention layers is {factor:g}. Nothing was trained.
Made by weights_tool adapt.
"""


def t5gemma2_name(prefix: str, gemma3: str) -> str:
    """The canonical name of a Gemma 3 tensor (`layers.0.input_layernorm.weight`, `norm.weight`) under a side."""
    parts = [RENAMED.get(part, part) for part in gemma3.split(".")]
    return ".".join([prefix, *parts])


def adapted_sources(source, eoi: int) -> dict[str, Source]:
    """{canonical name: Source} of every T5Gemma 2 tensor; the embedding is there once, for three uses."""
    text = source.text
    vocab, d = text["vocab_size"], text["hidden_size"]

    def eoi_embedding():
        """Row eoi as the forward pass sees it: T5Gemma 2 keeps this vector unscaled. [d]"""
        return source.read("embed_tokens.weight")[eoi] * math.sqrt(d)

    if source.shape("embed_tokens.weight") != (vocab, d):
        raise expected(source.file, "embed_tokens.weight", f"shape {[vocab, d]}", source.shape("embed_tokens.weight"))
    sources = {names.EMBEDDING: Source((vocab, d), partial(source.read, "embed_tokens.weight")),
               names.EOI: Source((d,), eoi_embedding)}
    for prefix in (names.ENCODER, names.DECODER):
        shapes = names.text_shapes(prefix, text)
        for gemma3 in source.layer_tensors():
            name = t5gemma2_name(prefix, gemma3)
            sources[name] = Source(source.shape(gemma3), partial(source.read, gemma3))
            if sources[name].shape != shapes.get(name):
                raise expected(source.file, gemma3, f"shape {shapes.get(name, '(no such tensor in Gemma 3)')}",
                               sources[name].shape)
        missing = sorted(set(shapes) - set(sources))
        if missing:
            raise expected(source.file, "tensors", f"one for {missing[0]}", f"none ({len(missing)} missing)")
    return sources


def adapted_config(text: dict, eoi: int, rope_factor: float | None, dtype: str) -> dict:
    """config.json of the new folder from Gemma 3's normalised text config; both sides are the same."""
    text = {**text, "tie_word_embeddings": True, "dropout_rate": 0.0, "attention_dropout": 0.0, "attention_bias": False}
    if rope_factor is not None:
        text["rope_parameters"] = with_factor(text["rope_parameters"], rope_factor)
    ids = {name: text[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    images = {"boi_token_index": eoi - 1, "eoi_token_index": eoi, "image_token_index": eoi + 1}
    vision = {"model_type": "siglip_vision_model", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
              "num_attention_heads": 1, "image_size": 32, "patch_size": 2, "num_channels": 3,
              "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "vision_use_head": False}
    encoder = {"model_type": "t5gemma2_encoder", "text_config": {**text, "model_type": "t5gemma2_text"},
               "vision_config": vision, "mm_tokens_per_image": 256, "tie_word_embeddings": True, **images}
    return {"architectures": ["T5Gemma2ForConditionalGeneration"], "model_type": "t5gemma2", "dtype": dtype,
            "is_encoder_decoder": True, "tie_word_embeddings": True, "vocab_size": text["vocab_size"],
            "eoi_token_index": eoi, "image_token_index": eoi + 1, **ids, "encoder": encoder,
            "decoder": {**text, "model_type": "t5gemma2_decoder"}}


def with_factor(rope: dict, factor: float) -> dict:
    """RoPE parameters with another position-interpolation factor in the full-attention layers; 1 is none."""
    if factor <= 0:
        raise expected("adapt", "--rope-factor", "a positive number", factor)
    full = {"rope_type": "default", "rope_theta": rope["full_attention"]["rope_theta"]}
    if factor != 1:
        full |= {"rope_type": "linear", "factor": factor}
    return {**rope, "full_attention": full}


def read_tokenizer(file: Path) -> bytes:
    """tokenizer.json, plain or xz."""
    try:
        raw = file.read_bytes()
        return lzma.decompress(raw) if file.suffix == ".xz" else raw
    except OSError as error:
        raise UserError(f"{file}: cannot read: {error.strerror}") from None
    except lzma.LZMAError as error:
        raise expected(file, "content", "xz data", error) from None


def adapt(gemma3, folder, *, tokenizer=None, rope_factor=None, dtype="bfloat16", eoi_token_index=256000,
          force=False) -> None:
    """Write the T5Gemma 2 folder of a Gemma 3 folder or GGUF file: hub names, embedding stored once."""
    source = open_gemma3(Path(gemma3))
    if not 0 < eoi_token_index < source.text["vocab_size"] - 1:
        raise expected(gemma3, "--eoi-token-index", f"an id from 1 to {source.text['vocab_size'] - 2}", eoi_token_index)
    sources = adapted_sources(source, eoi_token_index)
    config = adapted_config(source.text, eoi_token_index, rope_factor, dtype)
    tokenizer_bytes = read_tokenizer(Path(tokenizer)) if tokenizer else None
    folder = make_folder(folder, force)
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", generation_config(config))
    full = config["decoder"]["rope_parameters"]["full_attention"]
    (folder / "NOTICE").write_text(NOTICE.format(source=source.file.name, dtype=dtype, origin=source.origin,
                                                 factor=full.get("factor", 1)), encoding="utf-8")
    if tokenizer_bytes is not None:
        (folder / "tokenizer.json").write_bytes(tokenizer_bytes)
    parameters = sum(math.prod(tensor.shape) for tensor in sources.values())
    hub = {names.spell(name, "hub"): tensor for name, tensor in sources.items()}
    write_checkpoint(folder, hub, dtype, shards=math.ceil(parameters * DTYPE_BYTES[dtype] / SHARD_BYTES))
    say(f"{folder}: {len(hub)} tensors, {parameters:,} parameters, {dtype}, RoPE factor {full.get('factor', 1):g}")
