"""`weights_tool random`: a checkpoint folder of random weights from a config.json.

Every parameter is non-trivial: norm weights, biases and the end-of-image embedding are not zero. A tensor's values
depend on the seed and its canonical name alone, so the same seed gives the same model in every spelling, sharding
and storage type (up to rounding).

Scales: projections keep unit variance, norm weights spread around zero (the factor is 1 + weight), q_norm and k_norm
lie above it so that attention is sharp enough to notice a wrong mask. The embedding has rows of length one, so that
scaled embeddings and logits are of order one; the norms after each sub-layer lie above zero so that the sub-layers
outweigh the embedding in the residual stream, or else the tied head would only repeat the input token.
"""
import copy
import math
import zlib
from functools import partial

import numpy as np

from . import names
from .config import normalise, with_old_keys, write_json
from .console import say
from .storage import Source, make_folder, write_checkpoint


def initial_values(name: str, shape: tuple, seed: int) -> np.ndarray:
    """float32 values of one parameter, by its canonical name."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    mean, std = initial_distribution(name, shape)
    values = rng.standard_normal(shape, dtype=np.float32)
    values *= np.float32(std)
    values += np.float32(mean)
    return values


def initial_distribution(name: str, shape: tuple) -> tuple[float, float]:
    """(mean, standard deviation) for a parameter."""
    if name.endswith(("q_norm.weight", "k_norm.weight")):
        return 0.5, 0.3
    if name.endswith("eoi_embedding"):
        return 0.0, 1.0  # stands beside embedding rows times sqrt(d)
    if name.startswith(names.VISION) and "norm" in name and name.endswith(".weight"):
        return 1.0, 0.2  # LayerNorm multiplies by the weight itself
    if "post_self_attn" in name or "post_feedforward" in name:
        return 1.0, 0.3
    if len(shape) == 1:
        return 0.0, 0.2
    if "embed_tokens" in name or name == names.HEAD:
        return 0.0, 1 / math.sqrt(shape[1])
    if name.endswith("position_embedding.weight"):
        return 0.0, 0.5
    fan_in = shape[0] if name.endswith("mm_input_projection_weight") else math.prod(shape[1:])
    return 0.0, 1 / math.sqrt(fan_in)


def stored_config(config: dict, dtype: str, untied: str | None) -> dict:
    """The config.json of the new folder: the given one, with the storage type and, where nothing is tied, untied."""
    config = copy.deepcopy(config)
    config["dtype"] = dtype
    if untied == "both":
        for part in (config, config["encoder"], config["encoder"]["text_config"], config["decoder"]):
            part["tie_word_embeddings"] = False
    return config


def generation_config(config: dict) -> dict:
    """generation_config.json: the special ids and nothing that changes greedy decoding."""
    decoder = config["decoder"]
    ids = {name: decoder.get(name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return {**ids, "decoder_start_token_id": decoder.get("bos_token_id"), "use_cache": True}


def write_random(config: dict, folder, *, file="config", seed=0, dtype="float32", spelling="hub", shards=1,
                 untied=None, text_only=False, old_keys=False, force=False) -> None:
    """A random checkpoint folder; `file` names the config in messages."""
    normal = normalise(config, file)
    shapes = names.parameter_shapes(normal, vision=not text_only, untied=untied)
    sources = {names.spell(name, spelling): Source(shape, partial(initial_values, name, shape, seed))
               for name, shape in shapes.items()}
    folder = make_folder(folder, force)
    if old_keys:
        config = with_old_keys({**config, "encoder": {**config["encoder"], "text_config": normal["encoder"]["text_config"]},
                                "decoder": normal["decoder"]})
    write_json(folder / "config.json", stored_config(config, dtype, untied))
    write_json(folder / "generation_config.json", generation_config(config))
    write_checkpoint(folder, sources, dtype, shards)
    count = sum(math.prod(shape) for shape in shapes.values())
    say(f"{folder}: {len(shapes)} tensors, {count:,} parameters, {dtype}, seed {seed}")
