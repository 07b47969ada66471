"""`weights_tool fixtures`: the small checkpoints with reference activations that the engine's tests read.

Each is a change to the "tiny" preset: settings by dotted path (an encoder setting alone makes the sides unequal), how
the checkpoint is written, and what is recorded. Everything follows from the seeds, so the folder can be made again.
"""
import copy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import names
from .config import normalise, read_preset
from .inputs import Inputs, picture_ids, random_ids, random_pixels
from .random_checkpoint import initial_values, write_random
from .storage import Checkpoint, Source, write_checkpoint

TEXT, VISION = "encoder.text_config", "encoder.vision_config"


@dataclass
class Fixture:
    """One folder; n, m, generate_from are lengths, `eoi` puts the end-of-image id into both inputs. With `images` the
    checkpoint has its vision half, and `vision_head` stores the pooling head that nobody uses."""
    settings: dict = field(default_factory=dict)
    n: int = 9
    m: int = 6
    generate: int = 8
    generate_from: int = 0
    eoi: bool = True
    light: bool = True
    last_rows: int | None = None
    images: int = 0
    vision_head: bool = False
    write: dict = field(default_factory=dict)
    seed: int = 0


def both(**settings) -> dict:
    """The same settings on both sides."""
    return {f"{side}.{name}": value for side in (TEXT, "decoder") for name, value in settings.items()}


def vision(tokens: int, **settings) -> dict:
    """Settings of the vision half; `tokens` for each image."""
    return {"encoder.mm_tokens_per_image": tokens, **{f"{VISION}.{name}": value for name, value in settings.items()}}


UNEQUAL = {
    f"{TEXT}.num_hidden_layers": 1, f"{TEXT}.layer_types": ["sliding_attention"], f"{TEXT}.num_attention_heads": 2,
    f"{TEXT}.num_key_value_heads": 1, f"{TEXT}.head_dim": 14, f"{TEXT}.intermediate_size": 20,
    f"{TEXT}.sliding_window": 4, f"{TEXT}.rms_norm_eps": 0.01, f"{TEXT}.query_pre_attn_scalar": 11,
    "decoder.num_hidden_layers": 3, "decoder.layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
    "decoder.num_attention_heads": 3, "decoder.num_key_value_heads": 1, "decoder.head_dim": 6,
    "decoder.intermediate_size": 28, "decoder.sliding_window": 3, "decoder.rms_norm_eps": 0.05,
    "decoder.final_logit_softcapping": 1.5,
}
NARROW = both(hidden_size=12, num_attention_heads=2, num_key_value_heads=1, head_dim=6, intermediate_size=10)
SLIDING_PAIR = ["sliding_attention", "sliding_attention", "full_attention"]

FIXTURES = {
    # Every tap; both layer types, n > window, m > window, heads != KV heads, heads*head_dim != d, RoPE factor 8.
    "basic": Fixture(n=11, m=7, generate=12, generate_from=4, light=False, seed=25),
    # Depth, heads, head_dim, MLP, window, eps and scale differ between the sides; logits are softcapped.
    "unequal": Fixture(UNEQUAL, n=11, m=8, generate_from=3, write={"dtype": "bfloat16"}, seed=3),
    # Head, decoder embedding and decoder end-of-image embedding stored and different; float16; save_pretrained names.
    "untied": Fixture(both(final_logit_softcapping=4.0), write={"untied": "both", "dtype": "float16",
                                                                  "spelling": "save_pretrained"}, seed=3),
    # Only the head is stored besides the encoder's embedding; text_model names; three shards with an index.
    "shards": Fixture(write={"untied": "head", "dtype": "bfloat16", "spelling": "text_model", "shards": 3}, seed=4),
    # rope_theta, rope_local_base_freq, rope_scaling with `type`, sliding_window_pattern.
    "old_keys": Fixture(both(num_hidden_layers=3, layer_types=SLIDING_PAIR), n=12, m=8,
                        write={"old_keys": True, "dtype": "bfloat16"}, seed=5),
    # One encoder token, one decoder token.
    "one_token": Fixture(n=1, m=1, eoi=False, write={"dtype": "bfloat16"}, seed=3),
    # No encoder input: the decoder alone.
    "no_encoder": Fixture(n=0, m=9, generate=10, generate_from=5, write={"dtype": "bfloat16"}, seed=7),
    # Far more tokens than the window, which is odd here and even below.
    "long_odd": Fixture(both(sliding_window=5, head_dim=10), n=300, m=40, generate=40, last_rows=16,
                        write={"dtype": "bfloat16"}, seed=9),
    "long_even": Fixture(both(sliding_window=8, head_dim=6), n=300, m=40, generate=40, last_rows=16,
                         write={"dtype": "float16"}, seed=19),
    # Every tap with two images, text between them: 6 x 6 patches, each token the mean of 3 x 3; odd sizes, large eps.
    "images": Fixture(NARROW | vision(4, image_size=18, patch_size=3, hidden_size=9, num_attention_heads=3,
                                      intermediate_size=11, num_hidden_layers=2, layer_norm_eps=0.02),
                      n=20, m=5, images=2, light=False, seed=24),
    # One image, 8 x 8 patches, 2 x 2 to a token; three layers; the vision head lies there and is not used.
    "images_bfloat16": Fixture(vision(16, image_size=32, patch_size=4, hidden_size=20, num_attention_heads=2,
                                      intermediate_size=12, num_hidden_layers=3, vision_use_head=True), n=24,
                               generate_from=3, images=1, vision_head=True,
                               write={"dtype": "bfloat16", "spelling": "save_pretrained"}, seed=3),
}


def fixture_config(fixture: Fixture) -> dict:
    """The tiny preset with the fixture's settings."""
    config = copy.deepcopy(read_preset("tiny"))
    for path, value in fixture.settings.items():
        *parents, name = path.split(".")
        target = config
        for parent in parents:
            target = target[parent]
        target[name] = value
    return config


def fixture_inputs(fixture: Fixture, config: dict) -> Inputs:
    """Random ids; where `eoi` is set the end-of-image id stands in the middle of both sides (with images: where an
    image ends)."""
    config = normalise(config, "tiny")
    encoder_ids = ids_with_images(config, fixture.n, 100 + fixture.seed, fixture.images)
    decoder_ids = random_ids(config, fixture.m, 200 + fixture.seed)
    if fixture.eoi:
        for ids in (decoder_ids,) if fixture.images else (encoder_ids, decoder_ids):
            if ids.shape[1] > 2:
                ids[0, -(ids.shape[1] // 3)] = config["encoder"]["eoi_token_index"]
    prefix = decoder_ids[:, :fixture.generate_from].copy() if fixture.generate_from else None
    pixels = random_pixels(config, fixture.images, fixture.seed) if fixture.images else None
    return Inputs(encoder_ids, decoder_ids, pixels, prefix, fixture.generate)


def ids_with_images(config: dict, length: int, seed: int, images: int) -> np.ndarray:
    """[1, length]: bos and random ids, with the tokens of the images spread among them."""
    picture = picture_ids(config)
    text = random_ids(config, length - images * len(picture), seed)[0]
    first, *others = np.array_split(text, images + 1)
    return np.array([[*first, *(id for part in others for id in (*picture, *part))]], np.int64).reshape(1, -1)


def add_vision_head(folder, vision: dict, write: dict, seed: int) -> None:
    """Stores SigLIP's pooling head too, as `save_pretrained` does unless vision_use_head is false."""
    h, mlp = vision["hidden_size"], vision["intermediate_size"]
    shapes = {"probe": (1, 1, h), "attention.in_proj_weight": (3 * h, h), "attention.in_proj_bias": (3 * h,),
              "attention.out_proj.weight": (h, h), "attention.out_proj.bias": (h,), "layernorm.weight": (h,),
              "layernorm.bias": (h,), "mlp.fc1.weight": (mlp, h), "mlp.fc1.bias": (mlp,), "mlp.fc2.weight": (h, mlp),
              "mlp.fc2.bias": (h,)}
    stored = Checkpoint(folder)
    tensors = {name: stored.read(name).copy() for name in stored}
    tensors |= {name: initial_values(name, shape, seed)
                for name, shape in ((f"{names.VISION}.head.{part}", shape) for part, shape in shapes.items())}
    sources = {name: Source(values.shape, lambda values=values: values) for name, values in tensors.items()}
    write_checkpoint(folder, sources, write["dtype"])


def write_fixture(folder, fixture: Fixture) -> None:
    """One fixture folder: checkpoint and reference.safetensors."""
    from .model import load_config  # these two need torch
    from .record import write_reference
    config = fixture_config(fixture)
    write_random(config, folder, seed=fixture.seed, text_only=not fixture.images, force=True, **fixture.write)
    if fixture.vision_head:
        add_vision_head(folder, config["encoder"]["vision_config"], fixture.write, fixture.seed)
    write_reference(folder, load_config(folder), Path(folder) / "reference.safetensors", fixture_inputs(fixture, config),
                    light=fixture.light, last_rows=fixture.last_rows, truth=True)


def write_fixtures(folder, only=None) -> None:
    """All fixtures, or the named ones, each in its own subfolder."""
    for name in only or FIXTURES:
        write_fixture(Path(folder) / name, FIXTURES[name])
