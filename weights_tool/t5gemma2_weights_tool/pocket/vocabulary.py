"""The pocket model's tokenizer, made like Gemma's: BPE over the whole text, single digits, unknown characters as bytes.

    id 0..      <pad> <eos> <bos> <unk> <mask>, the three of an image, sentinels, runs of newlines, 256 bytes, ASCII
    products    what merging makes: every word of the items' texts, with and without a space ('▁') before it

SentencePiece merges any two pieces whose joined text is a piece, the earliest product first. tokenizer.json lists every
such pair of a product side by side in the order of the products, so that both make the same ids.
"""
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random

from . import items
from .infilling import SENTINELS

SPECIALS = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_image>", "<end_of_image>", "<image_soft_token>")
NEWLINES = tuple("\n" * n for n in range(1, 5))
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
SPACE = "▁"
CHARACTERS = (SPACE, *map(chr, range(ord("!"), ord("~") + 1)))
DRAWS = 400  # of every kind of item: enough for all words to come


def words() -> list[str]:
    """All that the items' texts are made of, sorted."""
    rng = Random(0)
    found: set[str] = set()
    for task, kinds in items.KINDS.items():
        for kind in kinds:
            for _ in range(DRAWS):
                item = items.draw(task, rng, held_out=False, kind=kind)
                found.update(re.findall("[a-z]+", re.sub("<.*?>", " ", f"{item.prompt} {item.answer}")))
    return sorted(found)


def merged(pieces: list[str], ranks: dict[str, int]) -> list[str]:
    """The pieces after all merges: of all neighbours always the two that make the earliest product, leftmost first."""
    while True:
        joined = [left + right for left, right in zip(pieces, pieces[1:])]
        best = min(range(len(joined)), key=lambda i: ranks.get(joined[i], len(ranks)), default=None)
        if best is None or joined[best] not in ranks:
            return pieces
        pieces = [*pieces[:best], joined[best], *pieces[best + 2:]]


def learn(texts: list[str]) -> list[str]:
    """Products that make one piece of each text; always the one next that joins most neighbours."""
    spelled = {text: list(text) for text in texts}
    ranks: dict[str, int] = {}
    while True:
        counts = Counter(left + right for pieces in spelled.values() for left, right in zip(pieces, pieces[1:]))
        if not counts:
            return list(ranks)
        product = min(counts, key=lambda text: (-counts[text], text))
        ranks[product] = len(ranks)
        spelled.update((text, merged(spelled[text], ranks)) for text in texts if product in text)


@cache
def products() -> list[str]:
    """Words first, then words with a space before them: a word is whole before its space joins it."""
    known = words()
    return learn(known) + [SPACE + word for word in known]


def pairs(made: list[str]) -> list[list[str]]:
    """Every two pieces that make a product, side by side, the longest left part first."""
    pieces = {*CHARACTERS, *made}
    return [[product[:cut], product[cut:]] for product in made for cut in range(len(product) - 1, 0, -1)
            if product[:cut] in pieces and product[cut:] in pieces]


def added(id_: int, text: str, special: bool) -> dict:
    return {"id": id_, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": special}


def tokenizer_json() -> dict:
    made = products()
    sentinels = tuple(reversed(SENTINELS))
    tokens = (*SPECIALS, *sentinels, *NEWLINES)
    bos = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(i, token, token in SPECIALS) for i, token in enumerate(tokens)],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                          "invert": False},
        "post_processor": {
            "type": "TemplateProcessing", "single": [bos, text],
            "pair": [bos, text, {"SpecialToken": {"id": "<bos>", "type_id": 1}},
                     {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [SPECIALS.index("<bos>")], "tokens": ["<bos>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": {piece: i for i, piece in enumerate((*tokens, *BYTES, *CHARACTERS, *made))},
                  "merges": pairs(made)},
    }


TOKENIZER_CONFIG = {
    "tokenizer_class": "GemmaTokenizer", "add_bos_token": True, "add_eos_token": False, "bos_token": "<bos>",
    "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>",
    "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>",
    "extra_special_tokens": {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>",
                             "image_token": "<image_soft_token>"},
    "clean_up_tokenization_spaces": False, "model_max_length": 10**30, "padding_side": "left",
}


def write(folder: Path) -> int:
    """tokenizer.json and tokenizer_config.json; the number of pieces."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_json()
    for name, content in (("tokenizer.json", tokenizer), ("tokenizer_config.json", TOKENIZER_CONFIG)):
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        (folder / name).write_text(text + "\n", encoding="utf-8")
    return len(tokenizer["model"]["vocab"])
