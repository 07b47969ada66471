#!/usr/bin/env python3
"""Makes this folder: a tokenizer built like Gemma's with a few hundred pieces, and what it should give.

    tokenizer.json    in the shape of Gemma's, one added token behind the vocabulary
    tokenizer.model   the same as a SentencePiece model, in the shape of Gemma's
    expected.json     texts and ids with what Hugging Face's tokenizers library makes of them
    added.json        the same for tokenizer.json with other added tokens

Needs: pip install sentencepiece==0.2.3 protobuf==7.36.2 tokenizers==0.23.3. Run: python make.py
"""

import io
import json
import random
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as model_format
from tokenizers import Tokenizer

FOLDER = Path(__file__).parent
SPECIAL = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>"]
TAGS = [f"<{slash}{tag}>" for tag in ("table", "tr", "td", "b", "h1", "code") for slash in ("", "/")]
PLAIN = ["<mask>", "[multimodal]"] + [f"<unused{i}>" for i in range(12)]
LONGEST = 15  # run; Gemma's are 31 long
RUNS = [c * n for c in "\n▁\t" for n in range(2 if c == "▁" else 1, LONGEST + 1)]
EXTRA = "<image_soft_token>"
CROSSING = ["</", "▁</", ">▁</"]  # the last holds a '▁' inside, as one piece of Gemma's does

SENTENCES = """The quick brown fox jumps over the lazy dog, and the dogs of the village think nothing of it.
Once upon a time, in a small village by the sea, there was a girl who could hear the stars singing at night.
An encoder reads the whole text; a decoder writes the next token, and the next, until it has nothing to add.
Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich; der Wind über den Dünen weht für sie.
Voix ambiguë d'un cœur qui, au zéphyr, préfère les jattes de kiwis; l'été, la forêt est très calme.
Съешь же ещё этих мягких французских булок, да выпей чаю; это то же самое, что и это.
今日は良い天気です。明日も良い天気でしょう。日本語の文です。
ha haha hahaha hahahaha na nana nanana banana bananas ababab abababab
if (i == 0) { return x[i] + y[i]; } else { return x[0] - y[0]; }  // and so on
for (int i = 0; i < n; ++i) { sum += values[i]; } <p>text</p> <a href="x">link</a> <p>more</p>
1 2 3 10 100 1000 2024 3.14 ---- ---- ==== ==== ... ... :: ::""".splitlines()


def train() -> model_format.ModelProto:
    """A SentencePiece model as Gemma's is trained, plus the pieces that cross the front of a word."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 3),
        model_writer=written,
        model_type="bpe",
        vocab_size=650,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        character_coverage=0.98,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        unk_piece="<unk>",
        user_defined_symbols=PLAIN + SPECIAL + RUNS + TAGS,
        num_threads=1,
        minloglevel=2,
    )
    model = model_format.ModelProto.FromString(written.getvalue())
    model.trainer_spec.ClearField("input")
    for text in CROSSING:
        if all(piece.piece != text for piece in model.pieces):
            model.pieces.add(piece=text, score=model.pieces[-1].score - 1000)
    model.trainer_spec.vocab_size = len(model.pieces)
    return model


def merges(model: model_format.ModelProto) -> list[list[str]]:
    """Every pair of pieces that makes a piece: runs, then training order; the longest left part first."""
    kinds = model_format.ModelProto.SentencePiece
    learned = {p.piece: -p.score for p in model.pieces if p.type == kinds.NORMAL}
    parts = set(learned) | set(RUNS)
    pairs = []
    for text in parts:
        for cut in range(1, len(text)):
            left, right = text[:cut], text[cut:]
            if left in parts and right in parts:
                pairs.append((text in learned, learned.get(text, 0), -len(left), -len(right), left, right))
    return [[left, right] for *_, left, right in sorted(pairs)]


def to_json(model: model_format.ModelProto) -> dict:
    kinds = model_format.ModelProto.SentencePiece
    vocab = {p.piece: i for i, p in enumerate(model.pieces)}
    added = [p.piece for p in model.pieces if p.type in (kinds.CONTROL, kinds.UNKNOWN, kinds.USER_DEFINED)]
    special = {"<pad>", "<eos>", "<bos>", "<unk>", EXTRA, *SPECIAL}
    bos = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": vocab.get(text, len(vocab)),
                "content": text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": text in special,
            }
            for text in added + [EXTRA]
        ],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                bos,
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<bos>", "type_id": 1}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [vocab["<bos>"]], "tokens": ["<bos>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges(model),
        },
    }


def texts() -> list[str]:
    """Whatever went wrong somewhere, and random mixtures of it."""
    known = ["", " ", "  ", "\n", "\t", "▁", "▁▁", "\0", "\r\n", "a\0b", "<bos>", "a<bos>b", "<bos><bos>"]
    known += ["<eos> <pad>", "<unk>", "<unk", "< unk>", "<UNK>", "<0x41>", "<0x0A>", "<unused3>", "<unused3"]
    known += ["<unused99>", "<mask>"]
    known += [EXTRA, f"a {EXTRA} b", "<start_of_image> in this", "\n\n<start_of_image>\n\n", "[multimodal]"]
    known += [c * n for c in "\n\t ▁" for n in (2, 3, 5, 14, 15, 16, 17, 29, 30, 31, 47)]
    known += [" ▁ ▁▁ ▁", "▁ a", " ▁▁a", "a ▁b", "▁▁▁ ▁▁▁", "\n \n", " \n ", "\t \t", "\n\t\n\t", "x  y   z"]
    known += ["<td> </td>", "<p>a</p> </p>", "> </", "> </b>", ">  </", ">▁</", "> ▁</", "a> </p> </p> </p>"]
    known += ["é", "e\u0301", "👩‍👩‍👧‍👦", "🇩🇪🇫🇷", "ﷺ", "\u200b", "\ufeffa", "\ufffd", "\u2028"]
    known += ["\x7f\x80\x9f", "\uffff\U0010ffff", "\U00020000\U00030000", "ẞßſ", "𝕳𝖊𝖑𝖑𝖔"]
    known += ["안녕하세요", "你好，世界", "שלום", "مرحبا", "नमस्ते", "ภาษาไทย"]
    known += ["ha" * n for n in range(2, 20)] + ["ab" * n + "a" for n in range(1, 12)]
    known += ["-" * n for n in range(1, 20)]
    known += SENTENCES
    rng = random.Random(2)
    parts = known[: len(known) - len(SENTENCES)] + [w for s in SENTENCES for w in s.split()] + [" "] * 60
    mixed = ["".join(rng.choices(parts, k=rng.randint(2, 8))) for _ in range(120)]
    ranges = [(0, 0xFF), (0, 0xD7FF), (0xE000, 0x10FFFF)]
    wild = [[rng.randint(*rng.choice(ranges)) for _ in range(rng.randint(1, 12))] for _ in range(40)]
    return list(dict.fromkeys(known + mixed + ["".join(map(chr, codes)) for codes in wild]))


def added(content: str, id_: int, flags: str = "") -> dict:
    names = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {"id": id_, "content": content, **{name: name in flags.split() for name in names}}


def added_token_lists(size: int, vocab: dict) -> list[list[dict]]:
    """Added tokens that fine-tuning leaves behind; `size` is the next free id."""
    return [
        [added("<SPEAKER_A>", size, "normalized")],
        [added("a b", size, "normalized"), added("the▁dog", size + 1, "normalized special")],
        [added("a b", size), added("a▁b", size + 1, "normalized"), added(" the b", size + 2, "normalized special")],
        [added("<X", size, "normalized"), added("<X>", size + 1), added("<X> <", size + 2, "normalized special"),
         added("X> ", size + 3)],
        [added("\n the", size, "normalized"), added("o d", size + 1, "normalized"), added("g\n", size + 2)],
        [added("<mask>", vocab["<mask>"], "lstrip special")],
        [added("<mask>", vocab["<mask>"], "rstrip"), added("<Y>", size, "lstrip rstrip")],
        [added("<mask>", vocab["<mask>"], "lstrip rstrip normalized"), added("\n\n", vocab["\n\n"], "lstrip")],
        [added("▁the", vocab["▁the"]), added("dog", size, "normalized lstrip"), added("x", vocab["x"])],
        [added("<X>", size + 40), added("<Y>", size + 41, "special"), added("<0xab>", size + 90)],
        [added("<X>", size, "normalized"), added("<X>", size, "normalized"), added("<mask>", vocab["<mask>"])],
    ]


def added_expectations(whole: dict) -> list[dict]:
    """Added tokens (in place of those with the same content), texts with their ids, ids with their texts."""
    rng = random.Random(4)
    vocab, entries = whole["model"]["vocab"], []
    for tokens in added_token_lists(len(vocab) + 1, vocab):
        contents = [token["content"] for token in tokens]
        kept = [token for token in whole["added_tokens"] if token["content"] not in contents]
        changed = sorted(kept + tokens, key=lambda token: token["id"])
        tokenizer = Tokenizer.from_str(json.dumps({**whole, "added_tokens": changed}))
        parts = contents * 4 + [text.replace(" ", "▁") for text in contents]
        parts += [text.replace("▁", " ") for text in contents] + [text[1:] for text in contents]
        parts += [" ", "  ", "▁", "\n", "\n\n", "\t", "\u3000", "\u00a0", "<mask>", "a", "the", " dog", " b", "<", "日"]
        texts = ["", *contents] + ["".join(rng.choices(parts, k=rng.randint(2, 9))) for _ in range(40)]
        ids = [tokenizer.token_to_id(c.replace(" ", "▁")) or tokenizer.token_to_id(c) for c in contents]
        ids += [vocab["<0xE2>"], vocab["<0x82>"], vocab["<0xAC>"]] * 2 + [9999, len(vocab) + 30, vocab["▁the"]]
        sequences = [rng.choices(ids, k=rng.randint(1, 8)) for _ in range(25)]
        entries.append({
            "added_tokens": tokens,
            "texts": [[text, tokenizer.encode(text).ids] for text in texts],
            "ids": [[i, *(tokenizer.decode(i, skip_special_tokens=s) for s in (True, False))] for i in sequences],
        })
    return entries


def write_entries(name: str, entries: list[dict]) -> None:
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in entries)
    (FOLDER / name).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main() -> None:
    model = train()
    (FOLDER / "tokenizer.model").write_bytes(model.SerializeToString(deterministic=True))
    file = FOLDER / "tokenizer.json"
    whole = to_json(model)
    file.write_text(json.dumps(whole, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")

    tokenizer = Tokenizer.from_file(str(file))
    rng = random.Random(3)
    size = tokenizer.get_vocab_size()
    byte = [tokenizer.token_to_id(f"<0x{b:02X}>") for b in range(256)]
    # Bytes that are a character and bytes that are none, between other pieces
    not_utf8 = [b"\xc3", b"\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xe2\x82"]
    parts = [[byte[b] for b in c.encode()] for c in "é€😀ß\0"] * 4 + [[byte[b] for b in c] for c in not_utf8]
    parts += [[rng.randrange(size)] for _ in range(40)] + [[i] for i in range(4)]
    sequences = [sum(rng.choices(parts, k=rng.randint(1, 9)), []) for _ in range(150)]
    entries = [{"text": text, "ids": tokenizer.encode(text).ids} for text in texts()]
    entries += [{"ids": ids} for ids in sequences]
    for entry in entries:  # the decoded text without and with special pieces
        ids = entry["ids"]
        entry["decoded"] = [tokenizer.decode(ids, skip_special_tokens=skip) for skip in (True, False)]
    write_entries("expected.json", entries)
    write_entries("added.json", added_expectations(whole))
    print(f"{len(model.pieces)} pieces, {len(entries)} expectations")


if __name__ == "__main__":
    main()
