"""t5gemma2-embed against transformers' encoder and against sentence-transformers."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import AutoTokenizer, Gemma3TextConfig, Gemma3TextModel, T5Gemma2ForConditionalGeneration
from transformers.models.t5gemma2.modeling_t5gemma2 import T5Gemma2Encoder

from programs import ROOT, run
from t5gemma2_weights_tool.cli import main

POCKET = ROOT / "examples/pocket"
CLOSE = 1e-5  # of the largest number
WORDS = "sort: ox cat date the 5th of march 2024 in words twelve <unused3> élan 日本 red square".split()
EOI = 6  # pocket's end-of-image token


def texts(count: int = 24) -> list[str]:
    """Of 1 word to some 150, longer than the window of 32."""
    rng = np.random.default_rng(5)
    return [" ".join(rng.choice(WORDS, 1 + int(150 * rng.random() ** 3))) for _ in range(count)]


def close(ours: np.ndarray, theirs: np.ndarray, tolerance: float = CLOSE) -> None:
    assert ours.shape == theirs.shape
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    assert difference <= tolerance  # False for NaN


def embeddings(folder, lines: list, *flags, kind: str = "jsonl", name: str = "npy"):
    """What the program writes to a file for texts, or for JSON requests."""
    out, jsonl = folder / f"ours.{name}", kind == "jsonl"
    text = "".join((json.dumps(line) if jsonl else line) + "\n" for line in lines)
    done = run("t5gemma2-embed", "-q", *flags, *(["--jsonl"] if jsonl else []), "-o", out, text=text)
    assert (done.returncode, done.stderr) == (0, "")
    return np.load(out) if name == "npy" else load_file(out)


@pytest.fixture(scope="module")
def pocket():
    return T5Gemma2ForConditionalGeneration.from_pretrained(POCKET, dtype=torch.float32).get_encoder().eval()


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(POCKET)


def hidden(encoder, ids: list[int], **inputs) -> list[np.ndarray]:
    """All hidden states [n, d] of one text."""
    with torch.no_grad():
        made = encoder(input_ids=torch.tensor([ids]), output_hidden_states=True, **inputs)
    assert torch.equal(made.hidden_states[-1], made.last_hidden_state)
    return [state[0].numpy() for state in made.hidden_states]


@pytest.mark.parametrize("layer", range(7))
def test_hidden_states(layer, pocket, tokenizer, tmp_path):
    """Of every layer, every token of several texts, in one file."""
    ids = [tokenizer(text)["input_ids"] for text in texts()] + [[2], [2, EOI, 5]]
    ours = embeddings(tmp_path, [{"input_ids": one} for one in ids], "--pooling", "none", "--layer", layer,
                      name="safetensors")
    assert ours["lengths"].tolist() == [len(one) for one in ids]
    close(ours["embeddings"], np.concatenate([hidden(pocket, one)[layer] for one in ids]))


POOLED = {"mean": lambda h: h.mean(0), "cls": lambda h: h[0], "last": lambda h: h[-1]}


@pytest.mark.parametrize("pooling", POOLED)
def test_pooling(pooling, pocket, tokenizer, tmp_path):
    """Lines of text, as the folder's tokenizer makes them ids; cut and normalised."""
    lines = texts()
    theirs = np.stack([POOLED[pooling](hidden(pocket, tokenizer(line)["input_ids"])[-1]) for line in lines])
    close(embeddings(tmp_path, lines, "--pooling", pooling, kind="lines"), theirs)
    length = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    close(embeddings(tmp_path, lines, "--pooling", pooling, "--normalize", kind="lines"), length(theirs))
    close(embeddings(tmp_path, lines, "--pooling", pooling, "--dimensions", 5, kind="lines"), length(theirs[:, :5]))


def test_together_and_alone(tmp_path):
    """A text's numbers do not depend on those beside it, nor on the number of threads."""
    lines = texts(40)
    together = embeddings(tmp_path, lines, kind="lines")
    alone = np.concatenate([embeddings(tmp_path, [line], kind="lines") for line in lines])
    close(together, alone, 1e-6)
    assert np.array_equal(together, embeddings(tmp_path, lines, "-t", 1, kind="lines"))


def test_long_text_among_short_ones(pocket, tokenizer, tmp_path):
    """More tokens than go through the encoder at once."""
    lines = ["ox", " ".join(WORDS * 110), "cat"]
    ids = [tokenizer(line)["input_ids"] for line in lines]
    assert len(ids[1]) > 2048
    close(embeddings(tmp_path, lines, kind="lines"), np.stack([hidden(pocket, one)[-1].mean(0) for one in ids]))


def test_images(pocket, tmp_path):
    """Ids and pixels as t5gemma2-trace records them."""
    image, trace = ROOT / "examples/inputs/shapes.png", tmp_path / "trace.safetensors"
    for prompt in "what colour is the square?", "left <start_of_image> right":
        assert run("t5gemma2-trace", "-q", "-p", prompt, "--image", image, "-o", trace).returncode == 0
        inputs = load_file(trace)
        pixels = torch.from_numpy(inputs["inputs.pixel_values"])
        theirs = hidden(pocket, inputs["inputs.input_ids"][0].tolist(), pixel_values=pixels)[-1].mean(0)
        ours = embeddings(tmp_path, [{"prompt": prompt, "images": [str(image)]}, {"prompt": "ox"}])
        close(ours[0], theirs)


# ---- other folders ----


def random_model(folder, *flags):
    """One of every feature, with text."""
    config = json.loads((ROOT / "weights_tool/t5gemma2_weights_tool/presets/tiny.json").read_text()
                        .replace('"vocab_size": 64', '"vocab_size": 1235'))
    (folder / "config.json").write_text(json.dumps(config))
    assert main(["random", str(folder / "config.json"), *flags, "-o", str(folder / "model")]) == 0
    return folder / "model"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("names", ["saved", "text_model"])
def test_encoder_alone(names, dtype, tmp_path):
    """As T5Gemma2Encoder.save_pretrained writes it, under both spellings of names; generate refuses it."""
    model = T5Gemma2ForConditionalGeneration.from_pretrained(random_model(tmp_path), dtype=getattr(torch, dtype))
    encoder = model.get_encoder()
    encoder.save_pretrained(tmp_path / "encoder", save_original_format=names == "saved")
    ids = [[2, 5, 9, 62, 11, 12, 13, 14, 15, 16], [2], [2, 7, 1000]]
    saved = T5Gemma2Encoder.from_pretrained(tmp_path / "encoder", dtype=torch.float32)
    assert saved.text_model.embed_tokens.eoi_token_index == 256_000  # whatever config.json says
    saved.text_model.embed_tokens.eoi_token_index = 62
    theirs = np.concatenate([hidden(saved, one)[-1] for one in ids])
    ours = embeddings(tmp_path, [{"input_ids": one} for one in ids], "-m", tmp_path / "encoder", "--pooling", "none",
                      name="safetensors")
    close(ours["embeddings"], theirs)
    for program, words in {"generate": ["ox", "-m"], "look": ["ox", "-o", tmp_path / "out.html", "-m"], "inspect": [],
                           "trace": ["-p", "ox", "-o", tmp_path / "out.safetensors", "-m"]}.items():
        done = run(f"t5gemma2-{program}", *words, tmp_path / "encoder")
        assert done.returncode == 1 and "t5gemma2_encoder" in done.stderr and "t5gemma2-embed" in done.stderr


def saved_tokenizer(folder, eos: bool):
    tokenizer = AutoTokenizer.from_pretrained(POCKET, add_bos_token=True, add_eos_token=eos)
    tokenizer.save_pretrained(folder)
    return tokenizer


def sentence_folder(tmp_path, modules, **options):
    """Saved and loaded again, as its users do."""
    SentenceTransformer(modules=modules, device="cpu", **options).save(str(tmp_path / "sentence"))
    return tmp_path / "sentence", SentenceTransformer(str(tmp_path / "sentence"), device="cpu")


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
@pytest.mark.parametrize("include_prompt", [False, True])
@pytest.mark.parametrize("eos", [False, True])
def test_sentence_transformers(eos, include_prompt, pooling, pocket, tmp_path):
    """Pooling, prompts, max_seq_length, dense layers and normalisation of the folder's own modules.json."""
    pocket.save_pretrained(tmp_path / "encoder")
    saved_tokenizer(tmp_path / "encoder", eos)
    shutil.copy(POCKET / "processor_config.json", tmp_path / "encoder")
    torch.manual_seed(3)
    modules = [Transformer(str(tmp_path / "encoder"), max_seq_length=40),
               Pooling(pocket.config.text_config.hidden_size, pooling, include_prompt=include_prompt),
               Dense(pocket.config.text_config.hidden_size, 24), Normalize(),
               Dense(24, 16, bias=False, activation_function=torch.nn.Identity())]
    folder, theirs = sentence_folder(tmp_path, modules, prompts={"query": "sort: the", "long": "ox " * 9 + "cat:"},
                                     default_prompt_name="query")
    lines = texts()
    for name in [], ["long"]:
        flags = [word for one in name for word in ("--prompt-name", one)]
        expected = theirs.encode(lines, prompt_name=(name or [None])[0])
        close(embeddings(tmp_path, lines, "-m", folder, *flags, kind="lines"), expected)
    pictures = [Image.open(ROOT / "examples/inputs/shapes.png")]  # to which no prompt belongs
    theirs[0].model.text_model.embed_tokens.eoi_token_index = EOI
    close(embeddings(tmp_path, [{"images": [str(ROOT / "examples/inputs/shapes.png")]}], "-m", folder),
          SentenceTransformer(modules=list(theirs), device="cpu").encode(pictures))
    cut = theirs.encode(lines, truncate_dim=7, normalize_embeddings=True)
    close(embeddings(tmp_path, lines, "-m", folder, "--dimensions", 7, kind="lines"), cut)


def test_flags_take_the_place_of_modules(pocket, tokenizer, tmp_path):
    pocket.save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    shutil.copy(POCKET / "processor_config.json", tmp_path / "encoder")
    width = pocket.config.text_config.hidden_size
    folder, _ = sentence_folder(tmp_path, [Transformer(str(tmp_path / "encoder")), Pooling(width, "cls"), Dense(width, 3)])
    theirs = hidden(pocket, tokenizer("sort: ox cat")["input_ids"])[2].mean(0, keepdims=True)
    close(embeddings(tmp_path, ["sort: ox cat"], "-m", folder, "--layer", 2, kind="lines"), theirs)


@pytest.mark.parametrize("mode", ["max", "mean_sqrt_len_tokens", "weightedmean", ["mean", "cls"]])
def test_other_poolings_are_refused(mode, pocket, tokenizer, tmp_path):
    pocket.save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    shutil.copy(POCKET / "processor_config.json", tmp_path / "encoder")
    folder, _ = sentence_folder(tmp_path, [Transformer(str(tmp_path / "encoder")), Pooling(128, mode)])
    done = run("t5gemma2-embed", "-m", folder, "ox")
    named = mode if isinstance(mode, str) else "mean and cls"
    assert done.returncode == 1 and done.stdout == ""
    assert f"pooling_mode: expected one pooling: mean, cls or lasttoken, found {named}" in done.stderr


# ---- EmbeddingGemma ----


def embedding_gemma(folder, window: int = 12):
    """Random weights in the shape of EmbeddingGemma: Gemma 3 layers, bidirectional; mean pooling, two dense layers."""
    torch.manual_seed(window)
    config = Gemma3TextConfig(
        vocab_size=1235, hidden_size=36, intermediate_size=40, num_hidden_layers=4, num_attention_heads=6,
        num_key_value_heads=2, head_dim=10, query_pre_attn_scalar=7, sliding_window=window,
        layer_types=["sliding_attention", "full_attention"] * 2, use_bidirectional_attention=True,
        max_position_embeddings=300, pad_token_id=0, bos_token_id=2, eos_token_id=1)
    model = Gemma3TextModel(config).eval()
    for name, weight in model.named_parameters():
        torch.nn.init.normal_(weight, std=0.3 if "norm" in name else 0.2)
    model.save_pretrained(folder)
    saved_tokenizer(folder, eos=True)
    return model


@pytest.mark.parametrize("window", [4, 12, 18])
def test_embedding_gemma(window, tmp_path):
    embedding_gemma(tmp_path / "gemma", window)
    modules = [Transformer(str(tmp_path / "gemma")), Pooling(36, "mean"),
               Dense(36, 80, bias=False, activation_function=torch.nn.Identity()),
               Dense(80, 36, bias=False, activation_function=torch.nn.Identity()), Normalize()]
    folder, theirs = sentence_folder(tmp_path, modules, prompts={"query": "task: search result | query: "})
    assert theirs[0].model.config.sliding_window == window // 2 + 1
    lines = texts() + [" ".join(WORDS * 40)]  # the last is cut to max_position_embeddings
    close(embeddings(tmp_path, lines, "-m", folder, kind="lines"), theirs.encode(lines))
    close(embeddings(tmp_path, lines, "-m", folder, "--prompt-name", "query", kind="lines"),
          theirs.encode(lines, prompt_name="query"))
    every = embeddings(tmp_path, lines[:5], "-m", folder, "--pooling", "none", kind="lines", name="safetensors")
    tokens = [theirs.encode([line], output_value="token_embeddings")[0] for line in lines[:5]]  # alone, so not padded
    close(every["embeddings"], np.concatenate([one.numpy() for one in tokens]))


@pytest.mark.parametrize("window", [257, 129, 3, 2])
def test_a_window_that_was_halved_is_refused(window, tmp_path):
    """Older versions of transformers halved it on every save."""
    embedding_gemma(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "sliding_window": window}))
    done = run("t5gemma2-embed", "-m", tmp_path, "ox")
    assert done.returncode == 1 and f"sliding_window: expected an even number above 2, found {window}," in done.stderr


def test_a_causal_gemma_is_refused(tmp_path):
    embedding_gemma(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "use_bidirectional_attention": False}))
    done = run("t5gemma2-embed", "-m", tmp_path, "ox")
    assert done.returncode == 1 and "use_bidirectional_attention: expected true" in done.stderr
