"""What llama.cpp can do with T5Gemma 2: with its decoder, which is a Gemma 3, and its encoder as EmbeddingGemma."""
import os
import tempfile
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import gguf_files
import numpy as np
import xllamacpp
from abilities import absent, near, on_the_page, refused, same, tries
from definition import SOURCE, TARGET, rows, scores
from t5gemma2_weights_tool.peers.llama_engine import SURE, chosen

CONTEXT = 256


def server(file: Path, *, loras=(), **options) -> xllamacpp.Server:
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.warmup = str(file), CONTEXT, 1, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    infos = [xllamacpp.CommonAdapterLoraInfo() for _ in loras]
    for info, (path, scale) in zip(infos, loras, strict=True):
        info.path, info.scale = str(path), scale
    params.lora_adapters = infos
    for name, value in options.items():
        setattr(params, name, value)
    return xllamacpp.Server(params)


@cache
def decoder() -> xllamacpp.Server:
    return server(gguf_files.decoder())


def request(ids, tokens: int) -> dict:
    return {"prompt": ids, "n_predict": tokens, "temperature": 0, "ignore_eos": True}


def complete(ids, tokens: int, by=None, **more) -> dict:
    return (by or decoder()).handle_completions({**request(ids, tokens), **more})


def forced(target: list[int], by=None) -> list[float]:
    """Each token is made certain by a bias, and the server tells its log-probability without."""
    return [chosen(complete(target[:end], 1, by, logit_bias=[[target[end], SURE]], logprobs=1), target[end])
            for end in range(1, len(target))]


def greedy(ids: list[int], tokens: int) -> list[int]:
    """What it should write: argmax after argmax, by transformers; eos is left out, as by the server."""
    made = list(ids)
    for _ in range(tokens):
        row = rows([], made)[-1]
        row[1] = -np.inf
        made.append(int(row.argmax()))
    return made[len(ids):]


def text(ids: list[int]) -> str:
    """Pieces of the GGUF file stand for ids."""
    return "".join(f"<{id}>" for id in ids)


@contextmanager
def standard_error():
    """A file that gets what llama.cpp writes there."""
    kept = os.dup(2)
    with tempfile.NamedTemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield Path(file.name)
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def refuses(file: Path, reason: str) -> str:
    """No, with a reason that stands on the page and that llama.cpp writes, from another thread."""
    with standard_error() as said:
        try:
            server(file)
        except RuntimeError:
            end = time.monotonic() + 10
            while on_the_page(reason) not in said.read_text(errors="replace"):
                assert time.monotonic() < end, said.read_text(errors="replace")
                time.sleep(0.05)
            return "no"
    return "yes"


@tries("llama.cpp", "text in, text out, greedy", "input longer than the sliding window",
       "log-probability of a target, given a source")
def source():
    return refuses(gguf_files.encoder("t5gemma2"), "unknown model architecture: 't5gemma2'")


@tries("llama.cpp", "images in")
def images():
    """The decoder takes none; the model, whose encoder does, is refused."""
    assert source() == "no"
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    return refused(lambda: decoder().handle_chat_completions({"messages": [{"role": "user", "content": [picture]}]}),
                   "image input is not supported")


@tries("llama.cpp", "the decoder alone, without a source")
def decoder_alone():
    """Log-probabilities, and greedy tokens behind a prompt longer than the window."""
    assert complete(TARGET, 6)["choices"][0]["text"] == text(greedy(TARGET, 6))
    return near(forced(TARGET), scores([], TARGET))


@tries("llama.cpp", "beam search")
def beams():
    """It has no name for them, and what it is told of them changes nothing."""
    assert complete(TARGET, 6, num_beams=4)["choices"][0]["text"] == text(greedy(TARGET, 6))
    return absent([*dir(xllamacpp), *dir(xllamacpp.CommonParams), *dir(xllamacpp.CommonParamsSampling)], "beam")


@tries("llama.cpp", "sampling")
def sampling():
    def sampled(seed: int) -> str:
        return complete(TARGET, 12, temperature=2.0, top_k=0, seed=seed)["choices"][0]["text"]
    return same([sampled(1) == sampled(1), sampled(1) == sampled(2)], [True, False])


@tries("llama.cpp", "several prompts in one batch")
def batch():
    """Of unequal lengths, at the same time."""
    prompts = [TARGET, TARGET[:10], SOURCE[:45]]
    choices = complete(prompts, 6, server(gguf_files.decoder(), n_parallel=3, n_ctx=3 * CONTEXT))["choices"]
    found = {choice["index"]: choice["text"] for choice in choices}
    return same([found[i] for i in range(3)], [text(greedy(prompt, 6)) for prompt in prompts])


@tries("llama.cpp", "text streamed as it is made")
def streaming():
    heard = []
    decoder().handle_completions({**request(TARGET, 6), "stream": True}, heard.append)
    pieces = [choice["text"] for chunk in heard for choice in chunk["choices"]]
    return same([piece for piece in pieces if piece], [text([id]) for id in greedy(TARGET, 6)])


@tries("llama.cpp", "output held to a grammar")
def grammar():
    made = complete(TARGET, 6, grammar='root ::= "<910>" "<313>" "<460>"', ignore_eos=False)["choices"][0]["text"]
    return same(made.removesuffix("<1>"), text([910, 313, 460]))


@tries("llama.cpp", "the likeliest N of each step")
def likeliest():
    made = complete(TARGET, 3, logprobs=5, ignore_eos=False)["choices"][0]["logprobs"]["content"]
    target = [*TARGET, *(step["id"] for step in made[:-1])]
    best = rows([], target)[-len(made):].topk(5)
    assert [[one["id"] for one in step["top_logprobs"]] for step in made] == best.indices.tolist()
    return near([[one["logprob"] for one in step["top_logprobs"]] for step in made], best.values)
