"""Batches as tensors: batch k of a stage is a function of seed, stage and k, however the run was interrupted."""
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
import torch

from .recipe import Family, Stage
from .samples import BOS, EOS, NOTHING, PAD, Maker, Sample

ENCODER_MULTIPLE, DECODER_MULTIPLE = 8, 4  # padded lengths


@dataclass
class Batch:
    family: str
    samples: int                     # of all workers together
    inputs: dict[str, torch.Tensor]  # the model's arguments
    labels: torch.Tensor


def padded(rows: list[list[int]], value: int, multiple: int) -> torch.Tensor:
    """int64 [rows, longest rounded up]."""
    width = -(-max(map(len, rows)) // multiple) * multiple
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def encoder_decoder(samples: list[Sample]):
    encoder = padded([sample.encoder for sample in samples], PAD, ENCODER_MULTIPLE)
    lengths = torch.tensor([len(sample.encoder) for sample in samples])
    inputs = {"input_ids": encoder, "attention_mask": (torch.arange(encoder.shape[1]) < lengths[:, None]).long(),
              "decoder_input_ids": padded([[BOS, *sample.answer] for sample in samples], PAD, DECODER_MULTIPLE)}
    pictures = [picture for sample in samples for picture in sample.pictures]
    if pictures:
        inputs["pixel_values"] = pixel_values(pictures)
    return inputs, padded([[*sample.answer, EOS] for sample in samples], NOTHING, DECODER_MULTIPLE)


def decoder_only(samples: list[Sample]):
    ids = torch.tensor([sample.answer for sample in samples])
    return {"input_ids": ids[:, :-1].contiguous()}, ids[:, 1:].contiguous()


def pictures_only(samples: list[Sample]):
    cells = torch.from_numpy(np.stack([sample.cells for sample in samples]))
    return {"pixel_values": pixel_values([picture for sample in samples for picture in sample.pictures])}, cells


def pixel_values(pictures: list[np.ndarray]) -> torch.Tensor:
    """float32 [pictures, 3, size, size] from -1 to 1, as the processor makes them."""
    return (torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() - 127.5) / 127.5


TENSORS = {"packed": decoder_only, "denoise": encoder_decoder, "items": encoder_decoder, "scenes": pictures_only}


class Batches:
    """The batches of one stage, or every `workers`-th sample of each."""

    def __init__(self, stage: Stage, seed: int, maker: Maker, worker: int = 0, workers: int = 1,
                 tensors: dict[str, Callable] = TENSORS):
        self.stage, self.seed, self.maker = stage, seed, maker
        self.worker, self.workers, self.tensors = worker, workers, tensors

    def __getitem__(self, step: int) -> Batch:
        place = f"{self.seed} {self.stage.name} {step}"
        rng = Random(place)
        progress = step / self.stage.planned
        families = [family for family in self.stage.families if family.start <= progress]
        family = rng.choices(families, [family.weight for family in families])[0]
        length = batch_length(family, rng, progress)
        size = max(self.workers, batch_size(family, length))
        samples = [self.maker.make(family, Random(f"{place} {i}"), length)
                   for i in range(self.worker, size, self.workers)]
        return Batch(family.name, size, *self.tensors[family.source](samples))


def batch_length(family: Family, rng: Random, progress: float) -> int | None:
    """One length for the whole batch; the longest grows during the stage."""
    if not family.lengths:
        return None
    shortest, longest = family.lengths
    begin, end = family.growth
    grown = 1 if progress >= end else max(0, (progress - begin) / (end - begin))
    return rng.randint(shortest, round(shortest + (longest - shortest) * grown))


def batch_size(family: Family, length: int | None) -> int:
    """Fewer of longer samples; what has no length, or none but its own (0), is `size` samples."""
    return max(1, round(family.size * family.lengths[0] / length)) if length else family.size
