"""What the programs here can do with T5Gemma 2: texts, scores, tensors."""
import json
import subprocess
from functools import cache

import numpy as np
import torch
from abilities import near, near_vectors, on_the_page, same, scratch, tries
from definition import (POCKET, PROMPTS, SOURCE, TARGET, generated, hidden_states, ids_of, items, load, model, plain, rows,
                        scores, texts)
from running import PROGRAMS, ROOT, answers, output, run
from safetensors.numpy import load_file
from t5gemma2_weights_tool.inputs import Inputs
from t5gemma2_weights_tool.model import load_config, load_model
from t5gemma2_weights_tool.record import taps


def joined(ids: list[int]) -> str:
    return ",".join(map(str, ids))


def refuses(message: str, *arguments) -> str:
    """No, with a message that stands on the page."""
    done = run(*arguments)
    if done.returncode == 0 and message not in done.stderr:
        return "yes"
    assert on_the_page(message) in done.stderr, done
    return "no"


def answered(lines: list[dict], *flags) -> list[list[int]]:
    return [plain(answer["ids"]) for answer in answers("-m", POCKET, *flags, lines=lines)]


@tries("here", "text in, text out, greedy", "the published folder as it is")
def greedy():
    tasks = texts(short=True) + texts(short=False)
    expected = [generated(ids_of(item["prompt"])) for item in tasks]
    return same(answered([{"prompt": item["prompt"]} for item in tasks]), expected)


@tries("here", "images in")
def images():
    tasks, folder = items("caption", "question"), ROOT / "tests/data/pocket"
    lines = [{"prompt": item["prompt"], "images": [str(folder / name) for name in item["images"]]} for item in tasks]
    return same(answered(lines), [item["ids"] for item in tasks])


def scored(source: list[int], target: list[int], *flags) -> np.ndarray:
    ids = ["--input-ids", joined(source)] if source else []
    answer = json.loads(output("score", *(flags or ("-m", POCKET)), *ids, "--target-ids", joined(target[1:])))
    return np.array([token["logprob"] for token in answer["tokens"]])


@tries("here", "input longer than the sliding window", "log-probability of a target, given a source")
def long_input():
    return near(scored(SOURCE, TARGET), scores(SOURCE, TARGET))


@tries("here", "the decoder alone, without a source")
def decoder_alone():
    return near(scored([], TARGET), scores([], TARGET))


@tries("here", "beam search")
def beams():
    """The best two of four, of short and of long sources."""
    prompts = [*PROMPTS, texts(short=False)[0]["prompt"]]
    flags = ["--num-beams", 4, "--num-return-sequences", 2, "-n", 40]
    made = answers("-m", POCKET, *flags, lines=[{"prompt": prompt} for prompt in prompts])
    found = [[plain(one["ids"]) for one in answer["sequences"]] for answer in made]
    theirs = [model().generate(input_ids=torch.tensor([ids_of(prompt)]), num_beams=4, num_return_sequences=2,
                               max_new_tokens=40, do_sample=False).tolist() for prompt in prompts]
    return same(found, [[plain(text) for text in texts_] for texts_ in theirs])


@tries("here", "sampling")
def sampling():
    def sampled(seed: int) -> str:
        return output("generate", "-m", POCKET, "--temp", 2, "--top-k", 0, "-s", seed, "-n", 12, PROMPTS[0])
    return same([sampled(1) == sampled(1), sampled(1) == sampled(2)], [True, False])


@tries("here", "several prompts in one batch")
def batch():
    """One after the other."""
    assert answered([{"prompt": prompt} for prompt in PROMPTS]) == [generated(ids_of(prompt)) for prompt in PROMPTS]
    return refuses("one request runs at a time", "generate", "-m", POCKET, "-np", 2, PROMPTS[0])


@tries("here", "text streamed as it is made")
def streaming():
    """There is text while the program still runs."""
    command = [PROGRAMS / "t5gemma2-generate", "-q", "-m", POCKET, "--ignore-eos", "-n", "4000", PROMPTS[0]]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
        program.stdout.read(1)
        running = program.poll() is None
        program.kill()
    return "yes" if running else "no"


@tries("here", "output held to a grammar")
def grammar():
    return refuses("no format can be forced on the text", "generate", "-m", POCKET, "--grammar", "x", PROMPTS[0])


@tries("here", "the likeliest N of each step")
def likeliest():
    prompt = texts(short=False)[0]["prompt"]
    [answer] = answers("-m", POCKET, "--logprobs", 5, lines=[{"prompt": prompt}])
    best = rows(ids_of(prompt), answer["ids"][:-1]).topk(5)
    found = [[one["logprob"] for one in token["top"]] for token in answer["logprobs"]]
    return near(found, best.values)


@cache
def traced() -> dict[str, np.ndarray]:
    file = scratch() / "trace.safetensors"
    output("trace", "-m", POCKET, "--input-ids", joined(SOURCE), "--decoder-input-ids", joined(TARGET), "-o", file)
    return load_file(file)


@tries("here", "attention weights")
def attention_weights():
    """Both halves of merged attention, of every layer and head."""
    with torch.no_grad():
        made = load(attn_implementation="eager")(input_ids=torch.tensor([SOURCE]), decoder_input_ids=torch.tensor([TARGET]),
                                                 output_attentions=True)
    sides = {"weights": made.decoder_attentions, "cross_weights": made.cross_attentions}
    verdicts = {near_vectors(traced()[f"model.decoder.layers.{i}.self_attn.{name}"], layer)
                for name, layers in sides.items() for i, layer in enumerate(layers)}
    return "yes" if verdicts == {"yes"} else "wrong"


@tries("here", "every intermediate tensor by name")
def every_tensor():
    """Each under its name in transformers."""
    expected = taps(load_model(POCKET, load_config(POCKET)), Inputs(np.array([SOURCE]), np.array([TARGET])), False, None)
    found = {name: value for name, value in traced().items() if not name.startswith("inputs.")}
    assert len(expected) > 200 and set(found) == set(expected), set(found) ^ set(expected)
    verdicts = {near_vectors(found[name], value) for name, value in expected.items()}
    return "yes" if verdicts == {"yes"} else "wrong"


@tries("here", "output of every encoder layer")
def encoder_layers():
    found = []
    for layer in range(7):
        file = scratch() / f"layer-{layer}.safetensors"
        text = json.dumps({"input_ids": SOURCE}) + "\n"
        output("embed", "-m", POCKET, "--jsonl", "--pooling", "none", "--layer", layer, "-o", file, text=text)
        found.append(load_file(file)["embeddings"])
    return near_vectors(found, hidden_states(SOURCE))
