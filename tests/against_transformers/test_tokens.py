"""Token ids and text against tokenizers, and against transformers for what a fine-tune adds."""

import random

import pytest
from tokenizers import AddedToken, Tokenizer
from transformers import AutoTokenizer

from programs import ROOT, TOKENIZER, tokenize
from t5gemma2_weights_tool.config import read_json, write_json

POCKET = ROOT / "examples/pocket"


def random_texts() -> list[str]:
    """Words, spaces, tags, several scripts, control characters and emoji, thrown together."""
    rng = random.Random(5)
    parts = ["the", " dog", "s", "  ", " ", "\n", "\n\n\n", "\t", "<bos>", "<unused3>", "</td>", "<h1>", "<", ">", "▁",
             "über", "e\u0301", "é", "Съешь", "今日は", "👩\u200d🚀", "\u00a0", "\r\n", "\u0000", "\U0010ffff", "3.14",
             "[multimodal]", "<start_of_turn>", "ab" * 20, "<0x41>", "\ufeff", "ſ", "…"]
    return ["".join(rng.choices(parts, k=rng.randint(0, 30))) for _ in range(3000)]


def test_token_ids(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    theirs, texts = Tokenizer.from_file(str(TOKENIZER)), random_texts()
    for text, ours in zip(texts, tokenize(TOKENIZER, texts)):
        assert ours == theirs.encode(text).ids, repr(text)


def random_token(rng: random.Random) -> str:
    parts = ["a", "b", " ", "▁", "<", ">", "x", "\n", "the", " day", "é", "日", "S"]
    return "".join(rng.choices(parts, k=rng.randint(1, 4)))


def random_additions(rng: random.Random) -> list[str | AddedToken]:
    """Added tokens, some of which begin with others; no two are the same when ' ' has become '▁'."""
    texts = [random_token(rng) for _ in range(6)]
    texts += [rng.choice(texts) + random_token(rng) for _ in range(2)]
    texts = list({text.replace(" ", "▁"): text for text in texts if text.strip("\n ▁")}.values())
    chances = {"lstrip": 0.2, "rstrip": 0.2, "normalized": 0.6, "special": 0.3}
    made = [AddedToken(text, **{name: rng.random() < p for name, p in chances.items()}) for text in texts]
    return ["<SPEAKER_A>", *made, AddedToken("<sep>", lstrip=True, special=True, normalized=False)]


@pytest.mark.parametrize("seed", range(12))
def test_tokens_added_by_a_fine_tune(seed, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = random.Random(seed)
    tokenizer = AutoTokenizer.from_pretrained(POCKET)
    tokenizer.add_tokens(random_additions(rng))
    tokenizer(["the red cat", "a"], truncation=True, max_length=3, padding=True)  # stays in the file
    tokenizer.save_pretrained(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    added = list(theirs.get_added_vocab())
    parts = added + [text.replace("▁", " ") for text in added] + [text[1:] for text in added]
    parts += [" ", "  ", "▁", "\n", "\n\n", "\t", "\u3000", "the", " cat", "x", "<sep>", "é"] * 3
    texts = ["".join(rng.choices(parts, k=rng.randint(1, 12))) for _ in range(150)]
    for text, ours in zip(texts, tokenize(tmp_path, texts)):
        assert ours == theirs(text)["input_ids"], (repr(text), theirs.convert_ids_to_tokens(ours))
    ids = [rng.choices(range(len(theirs)), k=9) + theirs(text)["input_ids"] for text in texts]
    decoded = [tokenize(tmp_path, ids, "--decode"), tokenize(tmp_path, ids, "--decode", "--special")]
    for line, *ours in zip(ids, *decoded):
        assert ours == [theirs.decode(line, skip_special_tokens=True), theirs.decode(line)], line


@pytest.mark.parametrize("eos", [False, True])
def test_eos_behind_a_text(eos, tmp_path, monkeypatch):
    """Where tokenizer.json has it, whatever tokenizer_config.json says."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    AutoTokenizer.from_pretrained(POCKET, add_bos_token=True, add_eos_token=eos).save_pretrained(tmp_path)
    config = read_json(tmp_path / "tokenizer_config.json")
    write_json(tmp_path / "tokenizer_config.json", {**config, "add_eos_token": not eos})
    theirs, texts = AutoTokenizer.from_pretrained(tmp_path), ["the red cat", "", "<eos>", "<bos> ox"]
    assert (theirs("ox")["input_ids"][-1] == 1) == eos
    for _ in range(2):  # the second is read from the cache
        assert tokenize(tmp_path, texts) == [theirs(text)["input_ids"] for text in texts]
