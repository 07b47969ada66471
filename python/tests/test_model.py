"""The model: it gives what the programs give, from texts, ids and images of every kind; what is wrong is told clearly.

Run: pytest python/tests
"""

import gc
import json
import pickle
import re
import resource
import shutil
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from programs import DATA, POCKET, SHAPES, lines, output
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import t5gemma2

SORT, DATE, WORDS = "sort: ox cat", "date: the 5th of march 2024", "in words: 39629"
QUESTION = "<start_of_image>how many shapes are there?"
NORM = "model.encoder.norm.weight"


@pytest.fixture(scope="module")
def model():
    return t5gemma2.load()


@pytest.fixture(scope="module")
def basic():
    """Of random weights in float32, without a tokenizer."""
    return t5gemma2.load(DATA / "basic")


def pixels() -> np.ndarray:
    image = pytest.importorskip("PIL.Image")
    return np.asarray(image.open(SHAPES).convert("RGB"))


def peak() -> int:
    """Of this process' memory, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# ---- loading ----

def test_pocket_comes_with_the_module(model):
    assert model.folder.parent == Path(t5gemma2.__file__).parent
    assert model.notes == []
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (model.folder / name).read_bytes() == (POCKET / name).read_bytes()


@pytest.mark.parametrize("of", [str, Path])
def test_a_folder(of):
    model = t5gemma2.load(of(DATA / "basic"))
    assert model.folder == DATA / "basic"
    text = output("generate", "-m", DATA / "basic", "--input-ids", "2,5,6", "-n", 4)
    assert model.generate([2, 5, 6], max_new_tokens=4) == text.strip()


@pytest.mark.parametrize("name", ["unequal", "untied", "shards", "old_keys", "long_odd", "one_token"])
def test_other_folders(name):
    model = t5gemma2.load(DATA / name)
    traced = model.trace([2, 5, 6], [2, 7])
    assert np.array_equal(model.decode(model.encode([2, 5, 6]), [2, 7]), traced["logits"][0])


@pytest.mark.parametrize("name", ["/no/such/folder", "", "no_such_owner/no-such-model"])
def test_a_missing_model(name):
    with pytest.raises(t5gemma2.Error, match="expected"):
        t5gemma2.load(name)


@pytest.mark.parametrize("file, content", [
    ("config.json", "{"), ("config.json", "[]"), ("config.json", "{}"), ("model.safetensors", ""),
    ("model.safetensors", "x" * 100), ("tokenizer.json", "{"), ("generation_config.json", "{")])
def test_a_broken_model(file, content, tmp_path):
    folder = shutil.copytree(POCKET, tmp_path / "model")
    (folder / file).write_text(content)
    with pytest.raises(t5gemma2.Error, match=file):
        t5gemma2.load(folder)


def test_a_cut_file_of_weights(tmp_path):
    folder = shutil.copytree(POCKET, tmp_path / "model")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1000])
    with pytest.raises(t5gemma2.Error, match="model.safetensors"):
        t5gemma2.load(folder)


@pytest.mark.parametrize("settings, message", [
    ({"dtype": "int4"}, "dtype: expected float32, bfloat16, int8, found 'int4'"),
    ({"threads": 0}, "threads"), ({"threads": -1}, "threads"), ({"threads": 10**6}, "threads"),
    ({"lora": "/no/adapter"}, "/no/adapter"), ({"dtype": None}, "dtype"), ({"dtype": np.float32}, "dtype"),
    ({"threads": 1.5}, "threads"), ({"threads": "2"}, "threads"), ({"threads": True}, "threads"),
    ({"lora": {"/no/adapter": 0.5}}, "lora"), ({"lora": 5}, "lora|iterable"), ({"lora": ("/no/adapter", "0.5")}, "/no/adapter|0.5"),
    ({"lora": [["/no/adapter", "0.5"]]}, "lora"), ({"folder_or_hub_id": 5}, "load"), ({"folder_or_hub_id": b"x"}, "load"),
    ({"folder_or_hub_id": "/no/\udcff"}, "/no/")])
def test_wrong_settings_of_load(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        t5gemma2.load(**settings)


def test_another_process_loads_it_again(model):
    again = pickle.loads(pickle.dumps(model))
    assert again.generate(SORT) == model.generate(SORT) and repr(again) == repr(model)
    small = pickle.loads(pickle.dumps(t5gemma2.load(dtype="int8", threads=1)))
    assert "int8" in repr(small) and np.array_equal(small.encode(SORT), t5gemma2.load(dtype="int8").encode(SORT))


def test_what_is_printed(model):
    assert "pocket, float32" in repr(model) and repr(model.weights) == f"<{len(model.weights)} weights>"
    trace = model.trace(SORT)
    assert "not asked" in repr(trace) and len(trace) > 100 and str(len(trace)) in repr(trace)
    assert re.fullmatch(r"\d+\.\d+\.\d+", t5gemma2.__version__)


def test_settings_that_choose_no_token(model):
    for settings in ({"num_return_sequences": 2}, {"decoder_start_token_id": 5}, {"pad_token_id": 0}):
        with pytest.raises(TypeError, match=f"no such setting: {next(iter(settings))}"):
            model.generate(SORT, **settings)
    for settings in ({"do_sample": "no"}, {"do_sample": 1}, {"seed": -1}, {"seed": "7"}, {"seed": None}):
        with pytest.raises((TypeError, ValueError), match=next(iter(settings))):
            model.generate(SORT, **settings)


def test_the_caller_s_max_length_counts(model):
    whole = model.generate("in words: 39629", max_new_tokens=40)
    part = model.generate("in words: 39629", max_length=4)
    assert whole.startswith(part) and len(part) < len(whole)


def test_few_texts_reach_a_high_limit(model):
    assert model.generate(SORT, max_new_tokens=2**31 - 1) == "cat ox"


def test_images_of_pillow(model):
    Image = pytest.importorskip("PIL.Image")
    with Image.open(SHAPES) as image:
        right = model.encode("x", [np.asarray(image.convert("RGB"))])
        for one in (image, [image], [image.convert("RGBA")]):
            assert np.array_equal(model.encode("x", one), right)
    assert np.array_equal(model.encode("x", None), model.encode("x"))
    for wrong in (3, b"x"):
        with pytest.raises(TypeError, match="images"):
            model.encode("x", wrong)


def test_ids_of_one_text(model):
    ids = model.tokenize(SORT)
    for form in (ids, tuple(ids), np.array(ids)):
        assert np.array_equal(model.embed(form), model.embed([ids])[0])
        assert model.score(SORT, form) == model.score(SORT, [ids])[0]


def test_a_trace_that_is_too_large(model):
    ids = [2] + [5] * 60000
    with pytest.raises(ValueError, match="memory"):
        len(model.trace(ids, ids))


def test_errors_are_value_errors():
    assert issubclass(t5gemma2.Error, ValueError)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads(threads, model):
    assert np.array_equal(t5gemma2.load(threads=threads).encode(SORT), model.encode(SORT))


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_dtype(dtype, model, tmp_path):
    rounded = t5gemma2.load(dtype=dtype)
    assert rounded.generate(WORDS) == "thirty-nine thousand six hundred twenty-nine"
    output("embed", "--pooling", "none", "--dtype", dtype, "-o", tmp_path / "e.safetensors", SORT)
    H = rounded.encode(SORT)
    assert np.array_equal(H, load_file(tmp_path / "e.safetensors")["embeddings"])
    distance = np.linalg.norm(H - model.encode(SORT)) / np.linalg.norm(H)
    assert 1e-4 < distance < 0.05
    assert rounded.generate(QUESTION, [SHAPES]) == model.generate(QUESTION, [SHAPES])


# ---- LoRA ----

@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """Of random numbers, in the queries of one encoder layer."""
    folder = tmp_path_factory.mktemp("adapter")
    random = np.random.default_rng(0)
    of = "base_model.model.model.encoder.text_model.layers.0.self_attn.q_proj"
    save_file({f"{of}.lora_A.weight": random.normal(size=(4, 128)).astype(np.float32),
               f"{of}.lora_B.weight": random.normal(size=(128, 4)).astype(np.float32)},
              folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("form, flag", [
    (lambda folder: str(folder), ""), (lambda folder: folder, ""), (lambda folder: [str(folder)], ""),
    (lambda folder: [folder], ""), (lambda folder: [(str(folder), 0.5)], "=0.5"),
    (lambda folder: [(folder, 0.5)], "=0.5")])
def test_adapters(form, flag, adapter, model, tmp_path):
    tuned = t5gemma2.load(lora=form(adapter)).embed(SORT)
    output("embed", "--lora", f"{adapter}{flag}", "-o", tmp_path / "e.npy", SORT)
    assert np.array_equal(tuned, np.load(tmp_path / "e.npy")[0])
    assert not np.allclose(tuned, model.embed(SORT))


# ---- texts and ids ----

@pytest.mark.parametrize("text", [SORT, "", "ü 日本 👩‍👩‍👧", "a\0b", "\n\t ", "<eos>", "<unused3>"])
def test_tokenize(text, model):
    ids = model.tokenize(text)
    if "\0" not in text:
        assert " ".join(map(str, ids)) == output("tokenize", "-p", text).strip()
    assert model.detokenize(ids, show_special=True).startswith("<bos>")


def test_detokenize(model):
    ids = model.tokenize(SORT)
    assert ids[0] == 2 and model.detokenize(ids) == SORT
    for form in (tuple(ids), np.array(ids), np.array(ids, np.int32)):
        assert model.detokenize(form) == SORT


def forms(ids: list[int]) -> list:
    kinds = [np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64] if max(ids) < 128 else [np.int32, np.int64]
    return [ids, tuple(ids), [ids], *(np.array(ids, kind) for kind in kinds), np.array([ids]), np.repeat(ids, 2)[::2],
            [np.int64(one) for one in ids]]


def test_ids_of_every_form(model):
    for ids in (model.tokenize(SORT), [2, 5, 100]):
        H = model.encode(ids)
        assert all(np.array_equal(H, model.encode(form)) for form in forms(ids))
        assert all(np.array_equal(model.decode(H, ids), model.decode(H, form)) for form in forms(ids))
        assert len({model.generate(form, max_new_tokens=3) for form in forms(ids)}) == 1
        assert all(np.array_equal(model.embed([form]), model.embed([ids])) for form in forms(ids))
        assert all(model.score(ids, [form]) == model.score(ids, [ids]) for form in forms(ids))


def test_torch_ids(model):
    torch = pytest.importorskip("torch")
    ids = model.tokenize(SORT)
    for form in (torch.tensor(ids), torch.tensor([ids]), torch.tensor(ids, dtype=torch.int32)):
        assert np.array_equal(model.encode(form), model.encode(ids))
        assert model.generate(form) == model.generate(SORT)
    assert model.detokenize(torch.tensor(ids)) == SORT


@pytest.mark.parametrize("ids", [[1.0], np.array([2.0]), np.array(2), [[2, 5], [2, 5]], b"ab", {2, 5}, 5, [None],
                                 ["a"], [2**40], object()])
def test_what_is_no_ids(ids, model):
    for call in (model.encode, model.generate, lambda ids: model.score(ids, "x"),
                 lambda ids: model.trace(ids)["lm_head"]):
        with pytest.raises(TypeError, match="prompt: expected .*token ids, found"):
            call(ids)


@pytest.mark.parametrize("ids", [[5000], [-1], [2, 1235]])
def test_ids_outside_the_vocabulary(ids, model):
    for call in (model.encode, model.generate, lambda ids: model.embed([ids]), lambda ids: model.score("x", [ids]),
                 lambda ids: model.decode(model.encode("x"), ids), lambda ids: model.trace("x", ids)["lm_head"]):
        with pytest.raises(t5gemma2.Error, match="expected 0 to 1234, found"):
            call(ids)


def test_a_lone_surrogate_is_refused(model):
    for call in (model.tokenize, model.encode, model.generate, model.embed, lambda text: model.score("x", text)):
        with pytest.raises((ValueError, TypeError)):
            call("ox \ud800")


def test_texts_need_a_tokenizer(basic):
    for call in (basic.tokenize, basic.encode, basic.generate, basic.embed):
        with pytest.raises(t5gemma2.Error, match="expected tokenizer.json or tokenizer.model for texts, found neither"):
            call("x")


# ---- encode, decode, trace ----

def test_encode_and_decode(model, tmp_path):
    output("trace", "-p", SORT, "--decoder-prompt", "cat", "-o", tmp_path / "t.safetensors")
    theirs = load_file(tmp_path / "t.safetensors")
    H = model.encode(SORT)
    assert H.dtype == np.float32 and H.flags.writeable and H.flags.c_contiguous
    assert np.array_equal(H, theirs["model.encoder.text_model.norm"][0])
    assert np.array_equal(model.decode(H, "cat"), theirs["logits"][0])
    assert np.array_equal(model.decode(H), model.decode(H, [2]))
    for form in (H[None], np.asfortranarray(H), np.repeat(H, 2, 0)[::2]):
        assert np.array_equal(model.decode(form), model.decode(H))
    assert np.allclose(model.decode(H.astype(ml_dtypes.bfloat16)), model.decode(H), atol=0.5)


@pytest.mark.parametrize("H", [None, [[1.0]], np.zeros((2, 128)), np.zeros((2, 5), np.float32), np.float32(1),
                               np.zeros((2, 2, 128), np.float32), np.zeros(128, np.float32), "x"])
def test_what_is_no_encoder_output(H, model):
    with pytest.raises((TypeError, ValueError), match="H: expected"):
        model.decode(H)


def test_trace(model, tmp_path):
    for prompt, decoder, image in ((SORT, "cat", []), (QUESTION, "two", [SHAPES])):
        flags = ["--image", *image] if image else []
        output("trace", "-p", prompt, "--decoder-prompt", decoder, *flags, "-o", tmp_path / "t.safetensors")
        theirs = load_file(tmp_path / "t.safetensors")
        ours = model.trace(prompt, decoder, image)
        assert set(ours) == set(theirs) - {"inputs.input_ids", "inputs.decoder_input_ids"}
        assert all(np.array_equal(ours[name], theirs[name]) and ours[name].dtype == np.float32 for name in ours)
        assert list(ours)[-2:] == ["lm_head", "logits"] and len(ours) == len(list(ours))


@pytest.mark.parametrize("only, count", [
    ("model.decoder.layers.0.*", 21), ("*.layers.0.self_attn.k_norm[1]", 1), ("*k_norm[[]1]", 0), ("logits", 1),
    (["logits", "lm_head", "*.layers.?.mlp"], 14), ("nothing", 0), ([], 0), ("*", 246)])
def test_only_some_tensors(only, count, model):
    every, some = model.trace(SORT, "cat"), model.trace(SORT, "cat", only=only)
    assert len(some) == count and set(some) <= set(every)
    assert all(np.array_equal(some[name], every[name]) for name in some)
    with pytest.raises(KeyError, match="no such"):
        some["no such"]


def test_a_trace_keeps_its_numbers(model):
    first = model.trace(SORT, "cat")["lm_head"].copy()
    kept = model.trace(SORT, "cat")["lm_head"]
    model.trace(DATE, "cat ox cat")["lm_head"]
    assert np.array_equal(first, kept)


# ---- images ----

def test_images_of_every_form(model):
    prompt = ("-p", QUESTION, "--image", SHAPES)
    text, image = output("generate", *prompt), pixels()
    wide = np.repeat(image, 2, 1)
    for form in (SHAPES, str(SHAPES), image, np.asfortranarray(image), wide[:, ::2], image[::-1][::-1]):
        assert model.generate(QUESTION, [form]) == text
        assert np.array_equal(model.encode(QUESTION, [form]), model.encode(QUESTION, [SHAPES]))
    assert len(model.tokenize(QUESTION, [SHAPES])) == len(model.encode(QUESTION, [SHAPES]))
    assert model.encode("x", [SHAPES, SHAPES]).shape == (len(model.tokenize("x", [SHAPES, SHAPES])), 128)


def test_torch_images(model):
    torch = pytest.importorskip("torch")
    image = torch.from_numpy(pixels().copy())
    assert np.array_equal(model.encode(QUESTION, [image]), model.encode(QUESTION, [SHAPES]))


@pytest.mark.parametrize("image", [
    None, 5, np.zeros((4, 4), np.uint8), np.zeros((4, 4, 1), np.uint8), np.zeros((4, 4, 4), np.uint8),
    np.zeros((4, 4, 3)), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 3), np.int64), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_image(image, model):
    for call in (model.encode, model.generate, model.tokenize):
        with pytest.raises((TypeError, ValueError), match="image"):
            call("x", [image])


def test_an_image_alone_is_a_list_of_one(model):
    for one in (pixels(), SHAPES, str(SHAPES)):
        assert np.array_equal(model.encode("x", one), model.encode("x", [one]))


def test_a_missing_image(model, tmp_path):
    with pytest.raises(t5gemma2.Error, match="/no/cat.png: expected an image"):
        model.encode("x", ["/no/cat.png"])
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(t5gemma2.Error, match="text.png"):
        model.encode("x", [tmp_path / "text.png"])


# ---- generate ----

@pytest.mark.parametrize("settings, flags", [
    ({}, []), ({"max_new_tokens": 3}, ["-n", 3]), ({"num_beams": 3}, ["--num-beams", 3]),
    ({"num_beams": 2, "length_penalty": 0.2}, ["--num-beams", 2, "--length-penalty", 0.2]),
    ({"do_sample": True, "seed": 7, "temperature": 3.0}, ["--do-sample", "-s", 7, "--temp", 3]),
    ({"do_sample": True, "seed": 9, "top_k": 0, "temperature": 5.0},
     ["--do-sample", "-s", 9, "--top-k", 0, "--temp", 5]),
    ({"stop_strings": ["-"]}, ["--stop", "-"]), ({"repetition_penalty": 1.5}, ["--repeat-penalty", 1.5]),
    ({"decoder_prompt": "twen"}, ["--decoder-prompt", "twen"])])
def test_settings(settings, flags, model):
    for prompt in (WORDS, SORT):
        text = output("generate", "-p", prompt, *flags)
        assert model.generate(prompt, **settings) == text
        assert model.generate(model.tokenize(prompt), **settings) == text


def test_settings_of_numpy(model):
    assert model.generate(SORT, max_new_tokens=np.int64(1)) == model.generate(SORT, max_new_tokens=1)
    sampled = model.generate(SORT, do_sample=True, temperature=np.float32(2), seed=np.int64(3))
    assert sampled == model.generate(SORT, do_sample=True, temperature=2, seed=3)


def test_a_stop_string_is_not_printed(model):
    assert model.generate(WORDS, stop_strings=["-"]) == model.generate(WORDS, stop_strings="-") == "thirty"


@pytest.mark.parametrize("settings, message", [
    ({"max_new_token": 3}, "max_new_token"), ({"foo": 1}, "foo"), ({"Temperature": 1}, "Temperature"),
    ({"max_new_tokens": "5"}, "max_new_tokens"), ({"max_new_tokens": -1}, "max_new_tokens"),
    ({"max_new_tokens": 0}, "max_new_tokens"), ({"max_new_tokens": 1.5}, "max_new_tokens"),
    ({"temperature": float("nan"), "do_sample": True}, "temperature"), ({"temperature": -1.0}, "temperature"),
    ({"top_p": 2.0}, "top_p"), ({"num_beams": 0}, "num_beams"), ({"stop_strings": [5]}, "stop_strings"),
    ({"seed": -1}, "seed"), ({"seed": None}, "seed"), ({"seed": 0.5}, "seed"), ({"stream": 5}, "callable|stream"),
    ({"decoder_prompt": []}, "decoder_prompt"), ({"decoder_prompt": 5}, "decoder_prompt")])
def test_wrong_settings(settings, message, model):
    with pytest.raises((TypeError, ValueError), match=message):
        model.generate("x", **settings)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 2}, {"do_sample": True, "seed": 4, "temperature": 4.0}])
def test_pieces_are_the_text(settings, model):
    for prompt in (WORDS, DATE, SORT):
        pieces: list[str] = []
        text = model.generate(prompt, stream=pieces.append, **settings)
        assert "".join(pieces) == text and all(pieces)
    assert len(pieces) > 1 or settings


@pytest.mark.parametrize("text", ["👩‍👩‍👧 日本", "ü", "\N{HOT BEVERAGE}x"])
def test_streams_in_whole_characters(text, model):
    """Every character is several tokens; the model writes them where nothing else is allowed."""
    ids = model.tokenize(text)[1:]
    assert model.detokenize(ids) == text and len(ids) > len(text)
    pieces: list[str] = []
    end = model.tokenize("<eos>")[-1]
    others = [[one] for one in range(1235) if one not in {*ids, end}]
    made = model.generate("x", stream=pieces.append, max_new_tokens=60, bad_words_ids=others, do_sample=True,
                          temperature=100.0, top_k=0)
    assert "".join(pieces) == made and all(pieces) and made


def test_random_bytes_stream_as_they_are_returned(model):
    """At high temperature there are parts of characters, too."""
    for seed in range(20):
        pieces: list[str] = []
        text = model.generate("x", stream=pieces.append, do_sample=True, temperature=100.0, top_k=0, seed=seed,
                              max_new_tokens=40)
        assert "".join(pieces) == text
        assert text == output("generate", "-p", "x", "--do-sample", "--temp", 100, "--top-k", 0, "-s", seed, "-n", 40)


def test_false_ends_the_text(model):
    pieces: list[str] = []
    text = model.generate(WORDS, stream=lambda piece: pieces.append(piece) or len(pieces) < 2)
    assert len(pieces) == 2 and text == "".join(pieces) and len(text) < len(model.generate(WORDS))


@pytest.mark.parametrize("answer", [None, True, 1, "go on"])
def test_other_answers_go_on(answer, model):
    assert model.generate(WORDS, stream=lambda _: answer) == model.generate(WORDS)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 2}])
@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_in_stream_comes_out(kind, settings, model):
    def stream(_):
        raise kind("mine")
    for _ in range(3):
        with pytest.raises(kind, match="mine"):
            model.generate(WORDS, stream=stream, **settings)
    assert model.generate(SORT) == "cat ox"


def test_a_stream_may_use_the_model(model):
    inside: list[str] = []
    text = model.generate(WORDS, stream=lambda _: inside.append(model.generate(SORT)))
    assert set(inside) == {"cat ox"} and text == model.generate(WORDS)


# ---- embed ----

@pytest.mark.parametrize("settings, flags", [
    ({}, []), ({"pooling": "cls"}, ["--pooling", "cls"]),
    ({"pooling": "last", "layer": 2}, ["--pooling", "last", "--layer", 2]),
    ({"dimensions": 10}, ["--dimensions", 10]), ({"normalize": True}, ["--normalize"]), ({"layer": 0}, ["--layer", 0])])
def test_embed(settings, flags, model, tmp_path):
    texts = [SORT, WORDS, "ü 日本"]
    output("embed", *flags, "-o", tmp_path / "e.npy", text="\n".join(texts))
    theirs = np.load(tmp_path / "e.npy")
    assert np.array_equal(model.embed(texts, **settings), theirs)
    assert np.array_equal(model.embed(tuple(texts), **settings), theirs)
    assert np.array_equal(model.embed(SORT, **settings), theirs[0])
    assert np.array_equal(model.embed([SORT, model.tokenize(WORDS)], **settings), theirs[:2])


def test_every_token_is_embedded(model):
    made = model.embed([SORT, WORDS], pooling="none")
    assert [one.shape for one in made] == [(len(model.tokenize(text)), 128) for text in (SORT, WORDS)]
    assert np.array_equal(made[0], model.encode(SORT)) and np.array_equal(model.embed(SORT, pooling="none"), made[0])


def test_no_texts_are_an_empty_array(model):
    assert model.embed([]).shape == (0, 128) and model.embed([], pooling="none") == []


@pytest.mark.parametrize("settings, message", [
    ({"pooling": "max"}, "pooling"), ({"layer": 7}, "layer"), ({"layer": -1}, "layer"),
    ({"dimensions": 0}, "dimensions"), ({"dimensions": 129}, "dimensions"), ({"prompt_name": "query"}, "prompt_name")])
def test_wrong_settings_of_embed(settings, message, model):
    with pytest.raises((TypeError, ValueError), match=message):
        model.embed("x", **settings)


def test_a_folder_of_sentence_transformers(tmp_path):
    """modules.json names the pooling and the prompts; the model may lie in a folder of its own."""
    folder = shutil.copytree(POCKET, tmp_path / "st/0_Transformer").parent
    modules = [{"idx": 0, "name": "0", "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 128, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "sort: "}}))
    model = t5gemma2.load(folder)
    output("embed", "-m", folder, "--prompt-name", "query", "-o", tmp_path / "e.npy", "ox cat")
    assert np.array_equal(model.embed("ox cat", prompt_name="query"), np.load(tmp_path / "e.npy")[0])
    assert np.array_equal(model.embed(SORT), model.encode(SORT)[0])
    assert model.generate(SORT) == "cat ox"


# ---- score ----

@pytest.mark.parametrize("settings, flags", [
    ({}, []), ({"eos": True}, ["--eos"]), ({"decoder_prompt": "ca"}, ["--decoder-prompt", "ca"]),
    ({"images": [SHAPES]}, ["--image", SHAPES])])
def test_score(settings, flags, model):
    targets = ["cat ox", "ox cat", "ü"]
    theirs = lines("score", SORT, *flags, *(word for target in targets for word in ("--target", target)))
    ours = model.score(SORT, targets, **settings)
    for one, other in zip(ours, theirs, strict=True):
        assert one["ids"] == [token["id"] for token in other["tokens"]]
        assert np.allclose(one["logprobs"], [token["logprob"] for token in other["tokens"]], atol=1e-6)
        assert np.isclose(one["sum"], other["sum"]) and np.isclose(one["mean"], other["mean"])
        assert np.isclose(one["perplexity"], other["perplexity"])
    assert model.score(SORT, "cat ox", **settings) == ours[0]
    assert model.score(SORT, [ours[0]["ids"]], **(settings | {"eos": False})) == ours[:1]
    assert model.score(SORT, []) == []


def test_wrong_targets(model):
    for targets in ("", [""], [[]]):
        with pytest.raises(ValueError, match="target"):
            model.score("x", targets)
    for targets in (5, None, [None], [1.5], b"x"):
        with pytest.raises(TypeError, match="target"):
            model.score("x", targets)
    assert len(model.score("x", "", eos=True)["ids"]) == 1


# ---- weights ----

def test_weights_are_those_of_the_file(model):
    file = model.folder / "model.safetensors"
    with safe_open(file, "np") as stored:
        assert set(model.weights) == set(stored.keys())
    theirs = load_file(file)
    for name, x in model.weights.items():
        assert x.dtype == ml_dtypes.bfloat16 == theirs[name].dtype and x.shape == theirs[name].shape, name
        assert np.array_equal(x.view(np.uint16), theirs[name].view(np.uint16)), name


@pytest.mark.parametrize("name", ["basic", "shards", "untied", "images"])
def test_weights_in_float32(name):
    weights = t5gemma2.load(DATA / name).weights
    theirs: dict[str, np.ndarray] = {}
    for file in (DATA / name).glob("model*.safetensors"):
        theirs |= load_file(file)
    assert set(weights) == set(theirs)
    for tensor, x in weights.items():
        assert x.dtype == theirs[tensor].dtype and np.array_equal(x, theirs[tensor]), tensor


def test_weights_of_float16(tmp_path):
    shutil.copy(DATA / "basic/config.json", tmp_path)
    halves = {name: x.astype(np.float16) for name, x in load_file(DATA / "basic/model.safetensors").items()}
    save_file(halves, tmp_path / "model.safetensors", {"format": "pt"})
    weights = t5gemma2.load(tmp_path).weights
    assert all(weights[name].dtype == np.float16 and np.array_equal(weights[name], x) for name, x in halves.items())


def test_weights_are_views_that_cannot_be_written(model):
    x = model.weights[NORM]
    assert not x.flags.writeable and not x.flags.owndata and x.ctypes.data == model.weights[NORM].ctypes.data
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 0
    with pytest.raises(ValueError, match="WRITEABLE"):
        x.flags.writeable = True


@pytest.mark.parametrize("name", [DATA / "basic", None])
def test_weights_outlive_the_model(name):
    model = t5gemma2.load(name)
    x = model.weights[NORM]
    before = x.copy()
    del model
    gc.collect()
    others = [t5gemma2.load(DATA / "basic") for _ in range(5)]
    assert np.array_equal(x, before) and x[1:].base is not None and others


def test_a_missing_weight(model):
    assert "no such" not in model.weights and len(model.weights) == len(list(model.weights))
    with pytest.raises(KeyError, match="no such"):
        model.weights["no such"]


def test_weights_of_rounded_models_are_those_of_the_file(model):
    assert np.array_equal(t5gemma2.load(dtype="int8").weights[NORM], model.weights[NORM])


def test_weights_go_to_the_functions(model):
    x = np.random.default_rng(0).normal(size=(3, 128)).astype(np.float32)
    weight = model.weights["model.encoder.layers.0.mlp.gate_proj.weight"]
    assert np.allclose(t5gemma2.linear(x, weight), x @ weight.astype(np.float32).T, atol=1e-5)


# ---- memory ----

@pytest.mark.parametrize("name", ["encode", "generate", "stopped", "raising", "embed", "score", "trace", "weights",
                                  "errors", "load", "image"])
def test_a_thousand_calls_keep_nothing(name, model, basic):
    H, small = model.encode(SORT), np.zeros((4, 4, 3), np.uint8)

    def fails(_):
        raise RuntimeError

    def refused(call):
        with pytest.raises((RuntimeError, ValueError, TypeError)):
            call()
    call = {"encode": lambda: model.decode(model.encode(SORT)),
            "generate": lambda: model.generate(SORT, max_new_tokens=2),
            "stopped": lambda: model.generate(SORT, stream=lambda _: False),
            "raising": lambda: refused(lambda: model.generate(SORT, stream=fails)),
            "embed": lambda: model.embed([SORT, [2, 5]]), "score": lambda: model.score(SORT, ["cat", "ox"]),
            "trace": lambda: dict(basic.trace([2, 5])), "weights": lambda: dict(basic.weights),
            "errors": lambda: (refused(lambda: model.encode([5000])), refused(lambda: model.decode(H[:, :3])),
                               refused(lambda: model.encode([None]))),
            "load": lambda: t5gemma2.load(DATA / "basic"), "image": lambda: model.tokenize("x", [small])}[name]
    for _ in range(100):
        call()
    gc.collect()
    before = peak()
    for _ in range(1000):
        call()
    assert peak() - before < 4 * 2**20
