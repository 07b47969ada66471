"""The programs against transformers and tokenizers: fresh random checkpoints, every tensor and every greedy token;
random JPEG and BMP files, every pixel; random generation_config.json files, every token of every beam.

Needs weights_tool with its [torch,test] extras and the built programs: T5GEMMA2_PROGRAMS is their folder (build/bin).
Run: pytest tests/against_transformers.py
"""
import io
import json
import os
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file, save_model
from tokenizers import AddedToken, Tokenizer
from transformers import AutoTokenizer, GenerationConfig, T5Gemma2ForConditionalGeneration
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

import random_generation
import random_images
from t5gemma2_weights_tool.cli import main
from t5gemma2_weights_tool.config import read_json, write_json
from t5gemma2_weights_tool.fixtures import SLIDING_PAIR, TEXT, UNEQUAL, Fixture, both, vision, write_fixture

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(os.environ.get("T5GEMMA2_PROGRAMS", ROOT / "build/bin")).resolve()
TOKENIZER = ROOT / "tests/data/tokenizer/tokenizer.json"

# Widths and window of the 270M model; a layer of each kind, a small vocabulary.
REAL_WIDTHS = {"hidden_size": 640, "head_dim": 256, "num_attention_heads": 4, "num_key_value_heads": 1,
               "intermediate_size": 2048, "query_pre_attn_scalar": 256, "sliding_window": 512}
ODD = {"hidden_size": 45, "head_dim": 10, "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 71,
       "query_pre_attn_scalar": 13, "sliding_window": 7, "num_hidden_layers": 3, "layer_types": SLIDING_PAIR,
       "max_position_embeddings": 333}

CASES = {
    "hub_names": Fixture(light=False, seed=31),
    "save_pretrained_names": Fixture(light=False, write={"spelling": "save_pretrained"}, seed=32),
    "text_model_names": Fixture(light=False, write={"spelling": "text_model"}, seed=33),
    "float16": Fixture(light=False, write={"dtype": "float16"}, seed=34),
    "bfloat16": Fixture(light=False, write={"dtype": "bfloat16"}, seed=35),
    "shards": Fixture(light=False, write={"dtype": "bfloat16", "shards": 4}, seed=36),
    "older_rope_keys": Fixture(light=False, write={"old_keys": True}, seed=37),
    "untied_head": Fixture(light=False, write={"untied": "head"}, seed=38),
    "untied_decoder": Fixture(light=False, write={"untied": "decoder", "dtype": "float16"}, seed=39),
    "untied_both": Fixture(light=False, write={"untied": "both"}, seed=40),
    "softcap": Fixture(both(final_logit_softcapping=2.0), light=False, seed=41),
    "no_encoder_input": Fixture(n=0, m=17, light=False, generate=20, generate_from=9, seed=42),
    "one_token": Fixture(n=1, m=1, eoi=False, light=False, generate=12, seed=43),
    "long_decoder": Fixture(n=3, m=70, light=False, generate=60, generate_from=33, seed=44),
    "past_the_trained_length": Fixture(n=4200, m=40, last_rows=64, generate=24, seed=51),
    "unequal_sides": Fixture({**UNEQUAL, f"{TEXT}.sliding_window": 9}, n=40, m=30, light=False, seed=45),
    "odd_sizes": Fixture(both(**ODD), n=53, m=23, light=False, generate=30, generate_from=5, seed=46),
    "odd_sizes_bfloat16": Fixture(both(**ODD), n=29, m=31, light=False, write={"dtype": "bfloat16"}, seed=47),
    "real_widths": Fixture(both(**REAL_WIDTHS), n=60, m=20, light=False, generate=24, seed=48),
    "real_widths_bfloat16": Fixture(both(**REAL_WIDTHS), n=130, m=9, light=False, generate=24,
                                    write={"dtype": "bfloat16"}, seed=49),
    "real_widths_long": Fixture(both(**REAL_WIDTHS), n=700, m=600, light=False, last_rows=64, generate=24,
                                generate_from=560, write={"dtype": "bfloat16"}, seed=50),
    "image_3x3_pooling": Fixture(vision(9, image_size=36, patch_size=4), n=30, images=1, light=False, seed=61),
    "three_images": Fixture(vision(9, image_size=36, patch_size=4), n=60, images=3, light=False,
                            write={"spelling": "save_pretrained"}, seed=62),
    "one_token_an_image": Fixture(vision(1, image_size=42, patch_size=14), n=20, images=2, light=False,
                                  write={"spelling": "text_model", "dtype": "bfloat16"}, seed=63),
    "no_pooling": Fixture(vision(16, image_size=28, patch_size=7, num_hidden_layers=3), n=100, images=4, light=False,
                          write={"untied": "both"}, seed=64),
    "images_in_shards": Fixture(vision(16, image_size=60, patch_size=5), n=40, images=1, light=False,
                                write={"shards": 3, "old_keys": True, "dtype": "float16"}, seed=65),
    "many_patches": Fixture(vision(64, image_size=64, patch_size=2), n=140, images=2, light=False, seed=66),
}


def run(program: str, *arguments, text: str | None = None) -> subprocess.CompletedProcess:
    """The program's exit status and output; it has to be there."""
    command = [str(PROGRAMS / program), *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, encoding="utf-8", timeout=300)


def check(folder: Path) -> None:
    """t5gemma2-compare passes with its default tolerance, and has compared something."""
    result = run("t5gemma2-compare", folder, folder / "reference.safetensors")
    bad = [line for line in result.stdout.splitlines() if not line.endswith("  ok")]
    assert result.returncode == 0, "\n".join(bad) + result.stderr
    compared = int(bad[-1].split()[0])
    assert compared >= 10 and bad[-1] == f"{compared} compared, 0 over tolerance, 0 missing"
    assert any(line.startswith("generated: all ") for line in bad)


@pytest.mark.parametrize("name", CASES)
def test_every_tensor(name, tmp_path):
    write_fixture(tmp_path, CASES[name])
    check(tmp_path)


def test_vision_tensors_in_the_file_do_not_matter(tmp_path):
    assert main(["random", "--preset", "tiny", "-o", str(tmp_path)]) == 0
    assert main(["record", str(tmp_path), "-o", str(tmp_path / "reference.safetensors"), "--generate", "9"]) == 0
    check(tmp_path)


def read(folder: Path) -> T5Gemma2ForConditionalGeneration:
    return T5Gemma2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)


def check_as_read(folder: Path, tmp_path: Path) -> None:
    """The engine reads a folder as transformers does: what that makes of it, saved by itself, is the reference."""
    read(folder).save_pretrained(tmp_path / "theirs")
    record = ["record", str(tmp_path / "theirs"), "--generate", "9", "-o", str(folder / "reference.safetensors")]
    assert main(record) == 0
    check(folder)


EMBEDDINGS = ("model.encoder.embed_tokens.weight", "lm_head.out_proj.weight", "model.decoder.embed_tokens.weight")
EOI = ("model.encoder.embed_tokens.eoi_embedding", "model.decoder.embed_tokens.eoi_embedding")


@pytest.mark.parametrize("kept", [[1], [2], [1, 2]])
def test_embeddings_that_config_ties_under_any_of_their_names(kept, tmp_path):
    folder = tmp_path / "ours"
    assert main(["random", "--preset", "tiny", "--untied", "both", "-o", str(folder)]) == 0
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "tie_word_embeddings": True})
    tensors = load_file(folder / "model.safetensors")
    for name in {*EMBEDDINGS, *EOI} - {EMBEDDINGS[i] for i in kept} - {EOI[kept[-1] % 2]}:
        del tensors[name]
    save_file(tensors, folder / "model.safetensors")
    check_as_read(folder, tmp_path)


def test_weights_saved_by_save_model(tmp_path):
    folder = tmp_path / "ours"
    assert main(["random", "--preset", "tiny", "-o", str(folder)]) == 0
    save_model(read(folder), str(folder / "model.safetensors"))
    assert not {EMBEDDINGS[0], EOI[0]} & set(load_file(folder / "model.safetensors"))
    check_as_read(folder, tmp_path)


def test_a_resized_vocabulary(tmp_path):
    folder = tmp_path / "ours"
    assert main(["random", "--preset", "tiny", "-o", str(tmp_path / "small")]) == 0
    model = read(tmp_path / "small")
    model.resize_token_embeddings(70)
    model.config.encoder.text_config.vocab_size = 70  # without this transformers refuses to save it
    model.save_pretrained(folder)
    assert read_json(folder / "config.json")["vocab_size"] == 64
    check_as_read(folder, tmp_path)


@pytest.mark.parametrize("wrappers", [["module._orig_mod."], ["base_model.model.", ""]])
def test_names_in_wrappers(wrappers, tmp_path):
    folder = tmp_path / "ours"
    assert main(["random", "--preset", "tiny", "-o", str(folder)]) == 0
    assert main(["record", str(folder), "-o", str(folder / "reference.safetensors"), "--generate", "9"]) == 0
    tensors = load_file(folder / "model.safetensors")
    save_file({wrappers[i % len(wrappers)] + name: tensors[name] for i, name in enumerate(tensors)},
              folder / "model.safetensors")
    check(folder)


def random_texts() -> list[str]:
    """Words, spaces, tags, several scripts, control characters and emoji, thrown together."""
    rng = random.Random(5)
    parts = ["the", " dog", "s", "  ", " ", "\n", "\n\n\n", "\t", "<bos>", "<unused3>", "</td>", "<h1>", "<", ">", "▁",
             "über", "e\u0301", "é", "Съешь", "今日は", "👩\u200d🚀", "\u00a0", "\r\n", "\u0000", "\U0010ffff", "3.14",
             "[multimodal]", "<start_of_turn>", "ab" * 20, "<0x41>", "\ufeff", "ſ", "…"]
    return ["".join(rng.choices(parts, k=rng.randint(0, 30))) for _ in range(3000)]


def tokenize(model: Path, lines: list, *arguments) -> list:
    """What t5gemma2-tokenize makes of each text (--decode: list of ids)."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    result = run("t5gemma2-tokenize", "-m", model, "--jsonl", *arguments, text=text)
    assert result.returncode == 0, result.stderr
    made = [json.loads(line) for line in result.stdout.split("\n")[:-1]]
    assert len(made) == len(lines)
    return made


def test_token_ids(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    theirs, texts = Tokenizer.from_file(str(TOKENIZER)), random_texts()
    for text, ours in zip(texts, tokenize(TOKENIZER, texts)):
        assert ours == theirs.encode(text).ids, repr(text)


def saved(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def jpeg_files():
    """Of every width from 1 to 40: what Pillow writes, and samplings that it does not write."""
    rng = random.Random(6)
    for width in range(1, 41):
        noise = Image.frombytes("RGB", (width, width), rng.randbytes(3 * width * width))
        for sampling in ("4:4:4", "4:2:2", "4:2:0"):
            yield saved(noise, subsampling=sampling, progressive=rng.random() < 0.3, quality=rng.randint(20, 100))
        for height in (width, rng.randint(1, 40)):
            yield random_images.jpeg(rng, width, height)
    for mode, options in ("L", {}), ("CMYK", {}), ("RGB", {"keep_rgb": True}), ("RGB", {"restart_marker_rows": 1}):
        yield saved(noise.convert(mode), **options)


def bmp_files():
    rng = random.Random(7)
    for width in range(1, 41):
        for height in (width, width, rng.randint(1, 40)):
            yield random_images.bmp(rng, width, height)


@pytest.mark.parametrize("files", [jpeg_files, bmp_files])
def test_pixels(files, tmp_path):
    """A square picture in its own size, so that nothing is hidden by resizing; any other in 40 x 40."""
    for i, content in enumerate(files()):
        image = Image.open(io.BytesIO(content))
        size = image.width if image.width == image.height else 40
        processor = Gemma3ImageProcessorPil(size={"height": size, "width": size})
        values = processor(images=ImageOps.exif_transpose(image), return_tensors="np")["pixel_values"][0]
        file = tmp_path / f"{i}.{image.format.lower()}"
        file.write_bytes(content)
        result = run("t5gemma2-preprocess", file, "--image-size", size, "-o", tmp_path / "ours.png")
        assert result.returncode == 0, result.stderr
        ours = np.asarray(Image.open(tmp_path / "ours.png")).transpose(2, 0, 1)
        assert np.array_equal(ours, np.rint(values * 127.5 + 127.5)), file


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A small random model with a tokenizer."""
    folder = tmp_path_factory.mktemp("checkpoint")
    preset = json.loads((ROOT / "weights_tool/t5gemma2_weights_tool/presets/tiny.json").read_text())
    for part in preset["encoder"]["text_config"], preset["decoder"]:
        part["vocab_size"] = 652
    (folder / "preset.json").write_text(json.dumps(preset))
    assert main(["random", str(folder / "preset.json"), "--text-only", "-o", str(folder / "model")]) == 0
    (folder / "model/tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    return folder / "model"


def their_texts(model, ids: list[int], decoder_prompt: list[int] | None, config: dict) -> list[list[int]]:
    """Without the padding behind a shorter one of several."""
    model.generation_config = GenerationConfig(**config)
    prompt = {} if decoder_prompt is None else {"decoder_input_ids": torch.tensor([decoder_prompt])}
    texts = model.generate(input_ids=torch.tensor([ids]), **prompt).tolist()
    eos = config["eos_token_id"] if isinstance(config["eos_token_id"], list) else [config["eos_token_id"]]
    start = 1 if decoder_prompt is None else len(decoder_prompt) + (decoder_prompt[0] != texts[0][0])
    ends = [next((i + 1 for i in range(start, len(text)) if text[i] in eos), len(text)) for text in texts]
    return [text[:end] for text, end in zip(texts, ends)]


def test_generation_config(checkpoint, tmp_path):
    model = T5Gemma2ForConditionalGeneration.from_pretrained(checkpoint).eval()
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    for path in checkpoint.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for seed in range(120):
        rng = random.Random(seed)
        request = {"prompt": rng.choice(["the cat", "The quick brown fox", "a", "A long village over the river."])}
        if rng.random() < 0.5:
            request["decoder_prompt"] = rng.choice(["the", "A dog"])
        ids, decoder_ids = (tokenizer.encode(request[key]).ids if key in request else None
                            for key in ("prompt", "decoder_prompt"))
        plain = {"bos_token_id": 2, "eos_token_id": 1, "max_new_tokens": 12}
        likely = their_texts(model, ids, None, plain)[0][1:] + ids[1:]
        config = random_generation.generation_config(rng, likely, 652)
        (tmp_path / "generation_config.json").write_text(json.dumps(config))
        result = run("t5gemma2-generate", "-m", tmp_path, "--jsonl", "-q", text=json.dumps(request) + "\n")
        assert result.returncode == 0, (config, result.stderr)
        answer = json.loads(result.stdout)
        ours = [text["ids"] for text in answer.get("sequences", [answer])]
        assert ours == their_texts(model, ids, decoder_ids, config), (seed, config, request)


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
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "examples/pocket")
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
