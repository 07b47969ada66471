"""Greedy answers of a model to items: by the C++ engine, and by transformers in float32."""
import json
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch

from ..errors import UserError
from . import drawing
from .batches import encoder_decoder
from .items import Item
from .samples import BOS, EOS, Maker

NEW_TOKENS = 48     # no right answer is longer
SCORES = 2**20      # of one head, of all prompts of a batch in transformers: beyond the caches it is twenty times slower


Done = Callable[[int], object]  # is told how many more items are answered


def nobody(_items: int) -> None:
    """Needs no telling."""


class Engine:
    """t5gemma2-generate: one process answers all."""

    def __init__(self, program: Path, model: Path, dtype: str):
        self.program, self.model, self.dtype = program, model, dtype

    def answer(self, items: list[Item], done: Done = nobody) -> list[list[int]]:
        with tempfile.TemporaryDirectory() as folder:
            requests = Path(folder) / "requests.jsonl"
            with open(requests, "w", encoding="utf-8") as stream:
                for number, item in enumerate(items):
                    stream.write(json.dumps(request(item, number, Path(folder))) + "\n")
            return self.run(requests, len(items), done)

    def run(self, requests: Path, count: int, done: Done) -> list[list[int]]:
        command = [self.program, "-m", self.model, "--dtype", self.dtype, "--jsonl", "-q", "-n", str(NEW_TOKENS),
                   "-f", requests]
        answers = []
        try:
            with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, encoding="utf-8") as process:
                for line in process.stdout:
                    answer = json.loads(line)
                    if "error" in answer:
                        raise UserError(f"{self.program}: {answer['error']}")
                    done(1)
                    answers.append(stripped(answer["ids"]))
                trouble = process.stderr.read().strip()
        except OSError as error:
            raise UserError(f"{self.program}: cannot run: {error.strerror}") from None
        if process.returncode or len(answers) != count:
            raise UserError(f"{self.program}: {len(answers)} answers of {count}: {trouble or process.returncode}")
        return answers


def request(item: Item, number: int, folder: Path) -> dict:
    """A line for the engine; the pictures become files."""
    files = [str(folder / f"{number}-{i}.png") for i in range(len(item.scenes))]
    for file, scene in zip(files, item.scenes):
        drawing.picture(scene).save(file, compress_level=1)
    return {"prompt": item.prompt, "images": files}


def stripped(ids: list[int]) -> list[int]:
    """Without bos in front, and without eos and what follows it."""
    ids = ids[1:] if ids[:1] == [BOS] else ids
    return ids[:ids.index(EOS)] if EOS in ids else ids


class Transformers:
    """Batches of prompts of one length, so that nothing is padded."""

    def __init__(self, model, maker: Maker):
        self.model, self.maker = model, maker

    def answer(self, items: list[Item], done: Done = nobody) -> list[list[int]]:
        samples = [self.maker.sample_of(item) for item in items]
        alike = defaultdict(list)
        for number, sample in enumerate(samples):
            alike[len(sample.encoder), len(sample.pictures)].append(number)
        answers: list[list[int]] = [[]] * len(items)
        for (length, _), numbers in sorted(alike.items()):
            size = max(1, SCORES // length**2)
            for start in range(0, len(numbers), size):
                chosen = numbers[start:start + size]
                for number, ids in zip(chosen, self.generate([samples[i] for i in chosen])):
                    answers[number] = ids
                done(len(chosen))
        return answers

    @torch.no_grad()
    def generate(self, samples) -> list[list[int]]:
        inputs = exact(samples)
        tokens = self.model.generate(**inputs, do_sample=False, max_new_tokens=NEW_TOKENS)
        return [stripped(row) for row in tokens.tolist()]

    @torch.no_grad()
    def margin(self, item: Item, ours: list[int], other: list[int]) -> tuple[int, float]:
        """Where two answers part, and by how much transformers prefers its own token (`ours`) there."""
        ours, other = [*ours, EOS], [*other, EOS]
        at = next(i for i, (a, b) in enumerate(zip(ours, other)) if a != b)
        decoder = torch.tensor([[BOS, *ours[:at]]])
        logits = self.model(**exact([self.maker.sample_of(item)]), decoder_input_ids=decoder, use_cache=False).logits
        return at, (logits[0, -1, ours[at]] - logits[0, -1, other[at]]).item()


def exact(samples) -> dict:
    """The encoder's arguments for samples of one length, without padding and mask."""
    inputs, _ = encoder_decoder(samples)
    arguments = {"input_ids": inputs["input_ids"][:, :len(samples[0].encoder)]}
    arguments["attention_mask"] = torch.ones_like(arguments["input_ids"])
    return arguments | {name: inputs[name] for name in ("pixel_values",) if name in inputs}
