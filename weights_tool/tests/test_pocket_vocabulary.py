"""The pocket tokenizer in SentencePiece: one piece for every word of the items, single digits, the way back."""
import json
import re
import struct
from random import Random

import pytest
import sentencepiece

from t5gemma2_weights_tool.pocket import items, retrieval, vocabulary
from t5gemma2_weights_tool.pocket.infilling import SENTINELS


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("tokenizer")
    assert vocabulary.write(folder) == len(json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"])
    assert json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"] == "GemmaTokenizer"
    return json.loads((folder / "tokenizer.json").read_text("utf-8"))


def field(number: int, value: bytes | int) -> bytes:
    """Of a protobuf message."""
    def varint(n: int) -> bytes:
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def sentencepiece_model(tokenizer: dict) -> bytes:
    """The same pieces for SentencePiece, which takes those that are added for user-defined ones."""
    model, specials, products = b"", [token["content"] for token in tokenizer["added_tokens"]], 0
    for piece in tokenizer["model"]["vocab"]:
        made = piece not in specials and len(piece) > 1 and not re.fullmatch("<0x..>", piece)
        products += made
        kind = 2 if piece == "<unk>" else 4 if piece in specials[4:] else 3 if piece in specials else 6 if re.fullmatch(
            "<0x..>", piece) else 1
        score = field(1, piece.encode()) + bytes([2 << 3 | 5]) + struct.pack("<f", -products)
        model += field(1, score + field(3, kind))
    trainer = field(3, 2) + field(35, 1) + field(40, 3) + field(41, 2) + field(42, 1) + field(43, 0)
    return model + field(2, trainer) + field(3, field(1, b"identity") + field(3, 0) + field(4, 0) + field(5, 1))


@pytest.fixture(scope="module")
def processor(tokenizer) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model(tokenizer))


def test_layout(tokenizer):
    vocab = tokenizer["model"]["vocab"]
    assert 1024 <= len(vocab) <= 1536 and list(vocab.values()) == list(range(len(vocab)))
    assert [vocab[text] for text in ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")] == [0, 1, 2, 3, 4]
    assert all(token["id"] == vocab[token["content"]] for token in tokenizer["added_tokens"])
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    assert special == {*vocabulary.SPECIALS} and {"\n", "\n\n", "\n\n\n", "\n\n\n\n"} <= set(vocab)
    assert [vocab[name] for name in SENTINELS] == sorted((vocab[name] for name in SENTINELS), reverse=True)
    assert not [piece for piece in vocab if re.search("[0-9]", piece) and len(piece) > 1 and piece[0] != "<"]


def test_all_pairs_of_a_piece_stand_side_by_side(tokenizer):
    merges, vocab = [tuple(pair) for pair in tokenizer["model"]["merges"]], tokenizer["model"]["vocab"]
    made = list(dict.fromkeys(left + right for left, right in merges))
    assert made == list(vocab)[-len(made):] and [left + right for left, right in merges] == sorted(
        (left + right for left, right in merges), key=vocab.get)
    usable = {*made, *vocabulary.CHARACTERS}
    assert len(merges) == len(set(merges)) and set(merges) == {
        (piece[:i], piece[i:]) for piece in made for i in range(1, len(piece)) if {piece[:i], piece[i:]} <= usable}


def test_every_word_is_one_piece(processor):
    rng = Random(99)  # not the one that the words were gathered with
    for task, kinds in items.KINDS.items():
        for kind in kinds:
            for i in range(100):
                item = items.draw(task, rng, i % 2 == 0, kind)
                for text in (item.prompt, item.answer):
                    pieces = processor.encode(text, out_type=str)
                    assert all(re.fullmatch(r"▁?[a-z]+|[^a-z]|<\w+>|\n+", piece) for piece in pieces), pieces
                    assert len(pieces) + 1 == retrieval.token_count(text), text
                    assert sum(map(str.isdigit, pieces)) == sum(map(str.isdigit, re.sub("<.*?>", "", text)))


def test_round_trip(processor):
    rng = Random(4)
    alphabet = [*"abc xyz ABC 019 .,!?-\n\t", "  ", "é", "ß", "語", "🦊", "▁", "cat", "<unused7>", "\x00"]
    texts = ["".join(rng.choices(alphabet, k=rng.randint(0, 40))) for _ in range(2000)]
    for text in [*texts, *(next(items.sentences(rng)) for _ in range(50))]:
        assert processor.decode(processor.encode(text)) == text.replace("▁", " ")


def test_the_same_every_time(tokenizer):
    assert vocabulary.tokenizer_json() == tokenizer
