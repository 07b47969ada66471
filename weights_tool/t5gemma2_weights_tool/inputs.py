"""What one reference run is fed: token ids, pictures, and how many tokens to generate."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import UserError, expected
from .storage import Checkpoint


@dataclass
class Inputs:
    """`input_ids` [1, n] (n = 0: no encoder input), `decoder_input_ids` [1, m], `pixel_values` [images, 3, size, size],
    `generate_from` [1, k] (bos included)."""
    input_ids: np.ndarray
    decoder_input_ids: np.ndarray
    pixel_values: np.ndarray | None = None
    generate_from: np.ndarray | None = None
    generate: int = 0


def special_ids(config: dict) -> set[int]:
    """Ids a random text should not contain, of a normalised config."""
    encoder, decoder = config["encoder"], config["decoder"]
    ids = {decoder.get("bos_token_id"), decoder.get("pad_token_id"), config.get("image_token_index")}
    eos = decoder.get("eos_token_id")
    ids |= set(eos) if isinstance(eos, list) else {eos}
    return ids | {encoder[name] for name in ("boi_token_index", "eoi_token_index")}


def picture_ids(config: dict) -> list[int]:
    """What stands for one picture: begin of image, its image tokens, end of image."""
    encoder, image = config["encoder"], config.get("image_token_index")
    if image is None:
        raise expected("config.json", "image_token_index", "an id for the images", "nothing")
    return [encoder["boi_token_index"], *[image] * encoder["mm_tokens_per_image"], encoder["eoi_token_index"]]


def random_ids(config: dict, length: int, seed: int, images: int = 0) -> np.ndarray:
    """[1, length]: bos, ordinary random ids, and for every image its begin, placeholder and end tokens."""
    vocab = config["decoder"]["vocab_size"]
    ordinary = np.setdiff1d(np.arange(vocab), [i for i in special_ids(config) if i is not None])
    pictures = picture_ids(config) * images if images else []
    free = length - 1 - len(pictures)
    if length and free < 0:
        raise UserError(f"--input-length: {length} is too short for {images} images, which need "
                        f"{1 + len(pictures)} tokens")
    text = np.random.default_rng(seed).choice(ordinary, max(free, 0)).tolist()
    head = len(text) // 2
    ids = [config["decoder"]["bos_token_id"], *text[:head], *pictures, *text[head:]]
    return np.array([ids[:length]], np.int64)


def random_pixels(config: dict, images: int, seed: int) -> np.ndarray:
    """[images, 3, size, size], uniform in [-1, 1] as the processor's output is."""
    vision = config["encoder"]["vision_config"]
    shape = (images, vision["num_channels"], vision["image_size"], vision["image_size"])
    return np.random.default_rng([seed, 1]).uniform(-1, 1, shape).astype(np.float32)


def read_pixels(file: Path) -> np.ndarray:
    """[images, 3, size, size] from a .npy file, or from `inputs.pixel_values` or `pixel_values` of a safetensors file."""
    if file.suffix == ".npy":
        return read_npy(file)
    checkpoint = Checkpoint(file)
    for name in ("inputs.pixel_values", "pixel_values"):
        if name in checkpoint.where:
            return checkpoint.read(name)
    raise expected(file, "tensors", "inputs.pixel_values or pixel_values", "neither")


def read_npy(file: Path) -> np.ndarray:
    """A float32 array; another type is refused, as its numbers may mean something else (bytes are 0 to 255)."""
    try:
        with open(file, "rb") as stream:
            array = np.lib.format.read_array(stream)
    except (EOFError, ValueError) as error:
        raise UserError(f"{file}: cannot read as .npy: {error}") from None
    if array.dtype != np.float32:
        raise expected(file, "dtype", "float32", array.dtype)
    return array


def check(inputs: Inputs, config: dict) -> None:
    """Ids within the vocabulary, a decoder input, pictures of the right shape with a placeholder for each token."""
    vocab = config["decoder"]["vocab_size"]
    for name in ("input_ids", "decoder_input_ids", "generate_from"):
        ids = getattr(inputs, name)
        if ids is not None and ids.size and not (0 <= ids.min() and ids.max() < vocab):
            raise expected("inputs", name, f"ids from 0 to {vocab - 1}", f"{ids.min()} to {ids.max()}")
        if ids is not None and not ids.size and name != "input_ids":
            raise expected("inputs", name, "at least one id", "none")
    if inputs.pixel_values is not None:
        check_pixels(inputs, config)


def check_pixels(inputs: Inputs, config: dict) -> None:
    vision, pixels = config["encoder"]["vision_config"], inputs.pixel_values
    shape = (vision["num_channels"], vision["image_size"], vision["image_size"])
    if pixels.ndim != 4 or pixels.shape[1:] != shape or not pixels.size:
        raise expected("inputs", "pixel_values", f"[images, {', '.join(map(str, shape))}]", list(pixels.shape))
    if not (np.abs(pixels) <= 1).all():  # NaN neither
        raise expected("inputs", "pixel_values", "numbers from -1 to 1", f"{pixels.min():g} to {pixels.max():g}")
    wanted = len(pixels) * config["encoder"]["mm_tokens_per_image"]
    found = int((inputs.input_ids == config["image_token_index"]).sum())
    if wanted != found:
        raise expected("inputs", "input_ids", f"{wanted} image tokens for {len(pixels)} images", found)
