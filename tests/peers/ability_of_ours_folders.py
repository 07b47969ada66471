"""What the programs here can do with T5Gemma 2: embeddings, fine-tunes, smaller weights."""
import json
import subprocess

import numpy as np
from ability_of_ours import refuses, scored
from abilities import distance, near, near_vectors, rounded, scratch, tries
from definition import POCKET, PROMPTS, SCALES, SOURCE, TARGET, adapted, adapter, embedding, ids_of, merged, scores
from encoder_folders import LINES, by_hand, encoder_alone, sentence_folder
from running import PROGRAMS, output


def embeddings(requests: list[dict], folder=POCKET) -> np.ndarray:
    file = scratch() / "ours.npy"
    output("embed", "-m", folder, "--jsonl", "-o", file, text="".join(json.dumps(request) + "\n" for request in requests))
    return np.load(file)


@tries("here", "an embedding of a text")
def one_embedding():
    return near_vectors(embeddings([{"input_ids": SOURCE}])[0], embedding(SOURCE))


@tries("here", "embeddings of several texts at once")
def several_embeddings():
    """As alone, and as transformers' alone."""
    together = embeddings([{"prompt": line} for line in LINES])
    alone = np.concatenate([embeddings([{"prompt": line}]) for line in LINES])
    assert distance(together, alone) <= 1e-5 * np.abs(alone).max()
    return near_vectors(together, [embedding(ids_of(line)) for line in LINES])


@tries("here", "a sentence-transformers folder")
def sentences():
    return near_vectors(embeddings([{"prompt": line} for line in LINES], sentence_folder()), by_hand())


@tries("here", "a folder of the encoder alone")
def encoder_folder():
    return near_vectors(embeddings([{"input_ids": SOURCE}], encoder_alone())[0], embedding(SOURCE))


def changed(*flags, scales: tuple[float, ...]) -> str:
    found = scored(SOURCE, TARGET, *flags)
    assert abs(found - scores(SOURCE, TARGET)).max() > 0.1
    return near(found, scores(SOURCE, TARGET, adapted(*scales)))


@tries("here", "a LoRA adapter, unmerged")
def lora():
    return changed("-m", POCKET, "--lora", adapter(0), scales=(1,))


@tries("here", "several adapters, each with a weight")
def several_adapters():
    flags = [word for number, scale in enumerate(SCALES) for word in ("--lora", f"{adapter(number)}={scale}")]
    return changed("-m", POCKET, *flags, scales=SCALES)


@tries("here", "a merged fine-tune")
def fine_tune():
    return changed("-m", merged(), scales=(1,))


def rounded_to(dtype: str, most: float) -> str:
    return rounded(scored(SOURCE, TARGET, "-m", POCKET, "--dtype", dtype), scores(SOURCE, TARGET), most)


@tries("here", "bfloat16 products")
def bfloat16():
    return rounded_to("bfloat16", 0.05)


@tries("here", "8-bit weights")
def eight_bits():
    return rounded_to("int8", 0.25)


@tries("here", "4-bit weights")
def four_bits():
    return refuses("expected one of float32, bfloat16, int8, found int4", "generate", "-m", POCKET, "--dtype", "int4", "x")


@tries("here", "without Python")
def without_python():
    program = PROGRAMS / "t5gemma2-generate"
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    done = subprocess.run([program, "-q", "-m", POCKET, PROMPTS[0]], capture_output=True, text=True, env={}, timeout=60)
    assert "libstdc++" in libraries and "thirty-nine thousand" in done.stdout
    return "no" if "python" in libraries else "yes"
