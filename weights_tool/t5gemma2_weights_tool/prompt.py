"""Texts to ids as the engine does it, pictures included (t5gemma2/prompt.hpp).

Each <start_of_image> of the prompt becomes, before tokenising,

    "\\n\\n" begin-of-image, image token * mm_tokens_per_image, end-of-image "\\n\\n"

with the three ids of config.json: the tokenizers' texts for them differ between checkpoints.
"""
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from .console import say
from .errors import UserError, expected
from .inputs import picture_ids
from .tokenizer import load_tokenizer

PLACEHOLDER = "<start_of_image>"


def read_tokenizer(checkpoint: Path) -> Tokenizer:
    file = checkpoint / "tokenizer.json"
    if not file.exists():
        raise UserError(f"{file}: expected a tokenizer for the text, found nothing; without one give --input-ids and "
                        "--decoder-input-ids")
    return load_tokenizer(checkpoint)


def encode_text(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """int64 [1, n], bos in front."""
    return np.array([tokenizer.encode(text).ids], np.int64)


def with_placeholders(prompt: str, images: int) -> str:
    """The prompt itself, or, when it has no placeholder, with those of all images in front."""
    if not images or PLACEHOLDER in prompt:
        return prompt
    if prompt:
        say(f"note: the prompt has no {PLACEHOLDER}, so the image{'s come' if images > 1 else ' comes'} first")
    return " ".join([PLACEHOLDER] * images) + prompt


def encode_prompt(tokenizer: Tokenizer, config: dict, prompt: str, images: int) -> np.ndarray:
    """The encoder's ids, int64 [1, n], of a normalised config and a prompt with `images` pictures."""
    first, *others = with_placeholders(prompt, images).split(PLACEHOLDER)
    if len(others) != images:
        raise expected("prompt", PLACEHOLDER, f"one for each of {images} images",
                       f"{len(others)}{'' if images else '; give --image FILE'}")
    if not images:
        return encode_text(tokenizer, prompt)
    texts = [first + "\n\n", *(f"\n\n{text}\n\n" for text in others[:-1]), "\n\n" + others[-1]]
    ids = tokenizer.encode("").ids
    for number, text in enumerate(texts):
        ids += (picture_ids(config) if number else []) + tokenizer.encode(text, add_special_tokens=False).ids
    return np.array([ids], np.int64)
