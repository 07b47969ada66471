"""What llama.cpp can do with T5Gemma 2: tensors, embeddings, fine-tunes, smaller weights."""
import re
from functools import cache
from pathlib import Path

import gguf_files
import numpy as np
import xllamacpp
from ability_of_llama import CONTEXT, forced, refuses, server
from abilities import absent, distance, near, near_vectors, rounded, tries
from definition import (POCKET, SCALES, SHORT_SOURCE, SOURCE, TARGET, WINDOW, adapted, embedding, ids_of, load, merged,
                        scores)
from encoder_folders import LINES, encoder_alone, sentence_folder
from transformers import AutoConfig
from without_python import LLAMA, loads


def library() -> Path:
    """The C++, and what makes it a Python module."""
    [found] = Path(xllamacpp.__file__).parent.glob("*.so")
    return found


@tries("llama.cpp", "attention weights", "every intermediate tensor by name")
def tensors():
    """The server answers with tokens and embeddings; the callback of the C++ library is not to be had from Python."""
    assert b"ggml_backend_sched_set_eval_callback" in library().read_bytes()
    handles = [name for name in dir(xllamacpp.Server) if name.startswith("handle_")]
    assert handles == [f"handle_{what}" for what in
                       ("chat_completions", "completions", "embeddings", "metrics", "rerank", "systemone")]
    return absent([*dir(xllamacpp), *dir(xllamacpp.CommonParams)], "cb_eval", "callback", "attention_weights", "trace")


@cache
def encoder() -> xllamacpp.Server:
    """T5Gemma 2's as EmbeddingGemma, whose layers are the same but for the window."""
    return server(gguf_files.encoder("gemma-embedding"), embedding=True, n_ubatch=CONTEXT)


def embeddings(sources: list[list[int]]) -> np.ndarray:
    answer = encoder().handle_embeddings({"input": sources, "embd_normalize": -1})
    return np.array([one["embedding"] for one in sorted(answer["data"], key=lambda one: one["index"])])


@tries("llama.cpp", "output of every encoder layer")
def encoder_layers():
    """All that can be said of embeddings, and none of it is a layer."""
    about = {name for name in dir(xllamacpp.CommonParams) if re.search("embd|embed|pool|hidden|encode", name)}
    return "no" if about == {"embd_normalize", "embd_out", "embd_sep", "embedding", "pooling_type"} else "yes"


@tries("llama.cpp", "an embedding of a text")
def one_embedding():
    """Its window is one wider, in front: right up to half a window."""
    assert near_vectors(embeddings([SHORT_SOURCE])[0], embedding(SHORT_SOURCE)) == "yes"
    [found] = embeddings([SOURCE])
    config = AutoConfig.from_pretrained(POCKET)
    config.encoder.text_config.sliding_window = WINDOW + 1
    assert near_vectors(found, embedding(SOURCE, load(config=config))) == "yes"
    assert distance(found, embedding(SOURCE)) > 0.002 * abs(embedding(SOURCE)).max()
    return near_vectors(found, embedding(SOURCE))


@tries("llama.cpp", "embeddings of several texts at once")
def several_embeddings():
    """The same as alone, so that the long one is not right."""
    sources = [ids_of(line) for line in LINES]
    assert near_vectors(embeddings(sources), np.concatenate([embeddings([source]) for source in sources])) == "yes"
    return near_vectors(embeddings(sources), [embedding(source) for source in sources])


@tries("llama.cpp", "a sentence-transformers folder", "a folder of the encoder alone", "the published folder as it is")
def folders():
    """GGUF files alone."""
    verdicts = {refuses(folder, "failed to load model from") for folder in (POCKET, encoder_alone(), sentence_folder())}
    return verdicts.pop() if len(verdicts) == 1 else "wrong"


def changed(found, *scales: float) -> str:
    assert abs(np.array(found) - scores([], TARGET)).max() > 0.1
    return near(found, scores([], TARGET, adapted(*scales)))


@tries("llama.cpp", "a LoRA adapter, unmerged")
def lora():
    return changed(forced(TARGET, server(gguf_files.decoder(), loras=[(gguf_files.lora(0), 1.0)])), 1)


@tries("llama.cpp", "several adapters, each with a weight")
def several_adapters():
    both = [(gguf_files.lora(number), scale) for number, scale in enumerate(SCALES)]
    return changed(forced(TARGET, server(gguf_files.decoder(), loras=both)), *SCALES)


@tries("llama.cpp", "a merged fine-tune")
def fine_tune():
    return changed(forced(TARGET, server(gguf_files.decoder("F32", merged()))), 1)


def rounded_to(precision: str, most: float) -> str:
    return rounded(forced(TARGET, server(gguf_files.decoder(precision))), scores([], TARGET), most)


@tries("llama.cpp", "bfloat16 products")
def bfloat16():
    return rounded_to("BF16", 0.05)


@tries("llama.cpp", "8-bit weights")
def eight_bits():
    return rounded_to("Q8_0", 0.25)


@tries("llama.cpp", "4-bit weights")
def four_bits():
    assert abs(np.array(forced(TARGET, server(gguf_files.decoder("Q4_0")))) - scores([], TARGET)).mean() > 0.5
    return rounded_to("Q4_0", 1)


@tries("llama.cpp", "without Python")
def without_python():
    """The wheel's C++, in a program of its own."""
    return "yes" if loads(LLAMA, library(), gguf_files.decoder()) else "no"
