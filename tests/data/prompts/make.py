#!/usr/bin/env python3
"""Makes expected.json: prompts with images, and the encoder's ids of each as Gemma 3's processor makes them.

The processor puts "\\n\\n<start_of_image>", the image tokens and "<end_of_image>\\n\\n" in the place of every
<start_of_image> of the text, and only then tokenises, so that newlines beside an image join into longer runs.
An image with crops brings a sentence along. The tokenizer is the small one in ../tokenizer.

Needs: pip install tokenizers==0.23.3. Run: python make.py
"""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer

FOLDER = Path(__file__).parent
BEGIN, IMAGE, END = "<start_of_image>", "<image_soft_token>", "<end_of_image>"
TOKENS = 3  # of one image
SEQUENCE = f"\n\n{BEGIN}{IMAGE * TOKENS}{END}\n\n"


def replacement(crops: int) -> str:
    """What Gemma3Processor puts in the place of the placeholder of an image with so many crops."""
    if crops == 0:
        return SEQUENCE
    return (
        f"Here is the original image {SEQUENCE} and here are some crops to help you see better "
        + " ".join([SEQUENCE] * crops)
    )


def expand(prompt: str, crops: list[int]) -> str:
    first, *others = prompt.split(BEGIN)
    assert len(others) == len(crops)
    return first + "".join(replacement(count) + text for count, text in zip(crops, others))


def prompts() -> list[str]:
    """Placeholders at the ends, side by side, beside newlines and spaces, and random mixtures of all that."""
    beside = ["", " ", "  ", "\n", "\n\n", "\n \n", " \n", "\n ", "\t", "\r\n", "a", "a ", " a", "▁", "<td>"]
    beside += ["\n" * n for n in (3, 11, 12, 13, 14, 15, 16, 17, 30)]
    known = ["", "no image", "\n\n", BEGIN, BEGIN * 2, BEGIN * 5, f"{BEGIN} {BEGIN}", f"{BEGIN}\n{BEGIN}"]
    known += [f"{BEGIN} in this image, there is", f"Look: {BEGIN} and {BEGIN}: which dog is lazy?"]
    known += [f"{left}{BEGIN}" for left in beside] + [f"{BEGIN}{right}" for right in beside]
    known += [f"{left}{BEGIN}{left}" for left in beside] + [f"x{left}{BEGIN}{left}y" for left in beside]
    known += [f"{BEGIN}{between}{BEGIN}" for between in beside]
    # What only looks like a placeholder, and the texts of the other tokens written out
    known += [BEGIN[:-1], BEGIN[1:], f"<{BEGIN}>", BEGIN[:-1] + BEGIN, BEGIN + BEGIN[1:], "< start_of_image>"]
    known += ["<START_OF_IMAGE>", f"{END}{BEGIN}", f"{BEGIN}{END}", f"a {IMAGE} b", f"{BEGIN}{IMAGE}{BEGIN}"]
    known += [f"<bos>{BEGIN}<eos>", f"<unused3>{BEGIN}<unused3>", f"é{BEGIN}😀", f"{BEGIN}日本語{BEGIN}の文です。"]
    rng = random.Random(4)
    words = "The quick brown fox jumps over the lazy dog <td> </b> <p> ha haha ---- 2024 é 😀 \0".split(" ")
    parts = beside + words + [BEGIN] * 14
    mixed = ["".join(rng.choices(parts, k=rng.randint(2, 12))) for _ in range(120)]
    return list(dict.fromkeys(known + mixed))


def main() -> None:
    tokenizer = Tokenizer.from_file(str(FOLDER.parent / "tokenizer/tokenizer.json"))
    rng = random.Random(5)
    entries = []
    for prompt in prompts():
        images = prompt.count(BEGIN)
        for crops in [[0] * images, [rng.choice([0, 2, 2, 3, 4]) for _ in range(images)]]:
            if any(crops) and rng.random() > 0.2:
                continue
            ids = tokenizer.encode(expand(prompt, crops)).ids
            entry = {"prompt": prompt, "crops": crops, "ids": ids}
            if entry not in entries:
                entries.append(entry)
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in entries)
    ids = {name: tokenizer.token_to_id(text) for name, text in (("boi", BEGIN), ("image", IMAGE), ("eoi", END))}
    head = json.dumps({"tokens_per_image": TOKENS, **ids})[:-1]
    (FOLDER / "expected.json").write_text(f'{head}, "prompts": [\n{lines}\n]}}\n', encoding="utf-8")
    print(f"{len(entries)} prompts")


if __name__ == "__main__":
    main()
