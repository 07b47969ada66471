"""What CTranslate2 can do with T5Gemma 2. Where only short texts are right, those are tried, and the page says so."""
from functools import cache
from pathlib import Path

import ctranslate2
import numpy as np
import torch
from abilities import distance, near, refused, same, scratch, tries
from ctranslate2.converters import TransformersConverter
from definition import (POCKET, PROMPTS, SHORT_SOURCE, SHORT_TARGET, SOURCE, TARGET, generated, ids_of, load, model,
                        plain, rows, scores, texts, tokenizer)
from transformers import AutoConfig
from without_source import as_gemma3, gemma3_rows


@cache
def in_float32() -> Path:
    """Pocket, whose norms its converter would round once more out of bfloat16."""
    load().save_pretrained(scratch() / "float32")
    tokenizer().save_pretrained(scratch() / "float32")
    return scratch() / "float32"


@cache
def converted(folder: Path) -> str:
    """By its own converter."""
    made = str(scratch() / f"ctranslate2-{folder.name}")
    TransformersConverter(str(folder)).convert(made)
    return made


def translator(folder: Path | None = None, compute_type: str = "float32") -> ctranslate2.Translator:
    return ctranslate2.Translator(converted(folder or in_float32()), compute_type=compute_type, intra_threads=1)


@cache
def usual() -> ctranslate2.Translator:
    return translator()


def pieces(ids: list[int]) -> list[str]:
    return tokenizer().convert_ids_to_tokens(ids)


def ids(made: list[str]) -> list[int]:
    return tokenizer().convert_tokens_to_ids(made)


def written(sources: list[list[int]], by=None, **options) -> list:
    """Its answers; by itself it searches with beams, cuts inputs, and writes a token at least."""
    return (by or usual()).translate_batch([pieces(source) for source in sources], **{
        "beam_size": 1, "max_input_length": 0, "min_decoding_length": 0, "max_decoding_length": 40, **options})


def table(answer) -> torch.Tensor:
    return torch.log_softmax(torch.tensor(np.stack([np.array(row) for row in answer.logits[0]])).double(), -1)


def forced(sources: list[list[int]], target: list[int], by=None) -> list[np.ndarray]:
    """Log-probabilities of a target that it is made to write."""
    made = written(sources, by, target_prefix=[pieces(target[1:])] * len(sources), return_logits_vocab=True,
                   max_decoding_length=len(target) - 1)
    return [np.asarray(table(answer))[np.arange(len(target) - 1), target[1:]] for answer in made]


@tries("CTranslate2", "text in, text out, greedy")
def greedy():
    tasks = texts(short=True)
    found = [ids(answer.hypotheses[0]) for answer in (written([ids_of(item["prompt"])])[0] for item in tasks)]
    assert len(tasks) >= 8
    return same(found, [item["ids"] for item in tasks])


@tries("CTranslate2", "images in")
def images():
    return refused(lambda: written([SHORT_SOURCE], pixel_values=np.zeros((1, 3, 64, 64))), "incompatible function arguments")


@tries("CTranslate2", "input longer than the sliding window")
def long_input():
    """Right up to half a window of input and a window of output, out of a checkpoint in float32."""
    [short], [again] = forced([SHORT_SOURCE], SHORT_TARGET), forced([SHORT_SOURCE], SHORT_TARGET, translator(POCKET))
    assert near(short, scores(SHORT_SOURCE, SHORT_TARGET)) == "yes"
    assert near(again, scores(SHORT_SOURCE, SHORT_TARGET)) == "wrong"  # converted out of bfloat16
    [long_output] = forced([SHORT_SOURCE], TARGET)
    assert near(long_output, scores(SHORT_SOURCE, TARGET)) == "wrong"
    [found] = forced([SOURCE], SHORT_TARGET)
    assert distance(found, scores(SOURCE, SHORT_TARGET)) > 1
    return near(found, scores(SOURCE, SHORT_TARGET))


@tries("CTranslate2", "the decoder alone, without a source")
def decoder_alone():
    """An empty source gives an empty text; converted as a Gemma 3 it loses a factor of RoPE, and ends at the window."""
    assert written([[]])[0].hypotheses == [[]]
    alone = ctranslate2.Generator(converted(as_gemma3()), compute_type="float32", intra_threads=1)
    message = "current storage size is 32"
    assert refused(lambda: alone.forward_batch([pieces(TARGET)]), message) == "no"
    logits = np.array(alone.forward_batch([pieces(SHORT_TARGET)]))[0]
    found = torch.log_softmax(torch.tensor(logits).double(), -1)
    config = AutoConfig.from_pretrained(as_gemma3())
    config.rope_parameters["full_attention"] = {"rope_type": "default", "rope_theta": 1e6}
    assert near(found, gemma3_rows(SHORT_TARGET, config=config)) == "yes"
    return near(found, rows([], SHORT_TARGET))


@tries("CTranslate2", "beam search")
def beams():
    """The best two of four, which transformers gives, too."""
    found, expected = [], []
    for prompt in PROMPTS:
        answer = written([ids_of(prompt)], beam_size=4, num_hypotheses=2)[0]
        found.append([ids(text) for text in answer.hypotheses])
        made = model().generate(input_ids=torch.tensor([ids_of(prompt)]), num_beams=4, num_return_sequences=2,
                                early_stopping=True, max_new_tokens=40, do_sample=False)
        expected.append([plain(text) for text in made.tolist()])
    return same(found, expected)


@tries("CTranslate2", "sampling")
def sampling():
    """A seed counts for what is loaded after it."""
    def sampled(seed: int) -> list[str]:
        ctranslate2.set_random_seed(seed)
        return written([SHORT_SOURCE], translator(), sampling_topk=0, sampling_temperature=2.0)[0].hypotheses[0]
    return same([sampled(1) == sampled(1), sampled(1) == sampled(2)], [True, False])


@tries("CTranslate2", "several prompts in one batch")
def batch():
    """Right where all are equally long, and alone."""
    sources = [ids_of(prompt) for prompt in PROMPTS]
    expected = [scores(source, SHORT_TARGET) for source in sources]
    assert near([forced([source], SHORT_TARGET)[0] for source in sources], expected) == "yes"
    equal = [SHORT_SOURCE, SHORT_SOURCE[:1] + SHORT_SOURCE[:0:-1]]
    assert near(forced(equal, SHORT_TARGET), [scores(source, SHORT_TARGET) for source in equal]) == "yes"
    found = forced(sources, SHORT_TARGET)
    assert distance(found, expected) > 1
    return near(found, expected)


@tries("CTranslate2", "text streamed as it is made")
def streaming():
    """A callback hears of each token, and can end the text."""
    heard = []
    [answer] = written([ids_of(PROMPTS[0])], callback=lambda step: heard.append(step.token_id) or len(heard) == 3)
    return same([heard, ids(answer.hypotheses[0])], [generated(ids_of(PROMPTS[0]))[:3]] * 2)


@tries("CTranslate2", "output held to a grammar")
def grammar():
    return refused(lambda: written([SHORT_SOURCE], grammar="x"), "incompatible function arguments")


@tries("CTranslate2", "log-probability of a target, given a source")
def target_scores():
    """`score_batch` lets a token see those behind it, and ends at the window; forced decoding is right."""
    def scored(target: list[int]) -> list[float]:
        return usual().score_batch([pieces(SHORT_SOURCE)], [pieces(target[1:])], max_input_length=0)[0].log_probs
    assert refused(lambda: scored(TARGET), "current storage size is 32") == "no"
    found, expected = scored(SHORT_TARGET), scores(SHORT_SOURCE, [*SHORT_TARGET, 1])
    assert distance(found, expected) > 1
    assert distance(scored(SHORT_TARGET[:10])[:9], found[:9]) > 1  # those behind change them
    return near(found, expected)


@tries("CTranslate2", "the likeliest N of each step")
def likeliest():
    [answer] = written([ids_of(PROMPTS[0])], return_logits_vocab=True)
    target = [2, *ids(answer.hypotheses[0])]
    return near(table(answer).topk(5).values[:len(target)], rows(ids_of(PROMPTS[0]), target).topk(5).values)
