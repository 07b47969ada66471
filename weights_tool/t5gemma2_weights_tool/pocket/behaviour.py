"""`weights_tool answers`: held-out items of every task with the answers of transformers, for the test of behaviour.

An item stands there only when transformers' choice of every token was clear: another order of sums must not decide it.
How clear it was stands there, too: a mask that is off by one changes that long before it changes a word.
"""
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from random import Random

import torch

from ..console import bar, say
from ..errors import UserError, expected
from . import items, retrieval
from .answers import Transformers, exact
from .evaluation import load
from .files import write_file
from .items import Item
from .listing import save_pictures
from .samples import BOS, EOS

MARGIN = 0.01  # between the logits of the best token and the next
TRIES = 5      # items drawn for one that is kept, at most


@dataclass
class Answered:
    item: Item
    ids: list[int]         # of the answer, without bos and eos
    margins: list[float]   # at each of them and eos, by which the best logit is above the next


def chosen(reference: Transformers, task: str, count: int, seed: int, keep: Callable[[], None]) -> list[Answered]:
    """All kinds in turn; retrieval at the longest length trained on. `keep` is called for each."""
    rng = Random(f"{seed} {task} behaviour")
    length = retrieval.TRAINED if task == "retrieval" else None
    found: list[Answered] = []
    for kind in islice(cycle(items.KINDS[task]), TRIES * count):
        item = items.draw(task, rng, True, kind, length)
        ids, = reference.answer([item])
        margins = margins_of(reference, item, ids)
        if min(margins) > MARGIN:
            found.append(Answered(item, ids, margins))
            keep()
        if len(found) == count:
            return found
    raise expected("answers", task, f"{count} items whose every token is {MARGIN} ahead", f"{len(found)} of {TRIES * count}")


@torch.no_grad()
def margins_of(reference: Transformers, item: Item, ids: list[int]) -> list[float]:
    """At each token of an answer, its eos too; 0 when the answer did not end, or was chosen otherwise without the cache."""
    decoder = torch.tensor([[BOS, *ids]])
    inputs = exact([reference.maker.sample_of(item)])
    best = reference.model(**inputs, decoder_input_ids=decoder, use_cache=False).logits[0].topk(2)
    if best.indices[:, 0].tolist() != [*ids, EOS]:
        return [0.0]
    return (best.values[:, 0] - best.values[:, 1]).tolist()


def line(answered: Answered, number: int, folder: Path) -> str:
    """A JSON object. The pictures become files."""
    item = answered.item
    try:
        images = [Path(file).name for file in save_pictures(item, number, folder)]
    except OSError as error:
        raise UserError(f"{folder}: cannot write: {error.strerror}") from None
    return json.dumps({"task": item.task, "prompt": item.prompt, "images": images, "answer": item.answer,
                       "ids": answered.ids, "margins": [round(margin, 4) for margin in answered.margins]})


def write_answers(model: Path, folder: Path, *, count: int, seed: int) -> None:
    """folder/items.jsonl and its pictures: `count` items of each task."""
    reference = load(model)
    lines = []
    with bar(count * len(items.TASKS), "answering", "item") as answering:
        for task in items.TASKS:
            kept = chosen(reference, task, count, seed, answering.update)
            lines += [line(one, number, folder) for number, one in enumerate(kept)]
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "items.jsonl", ("\n".join(lines) + "\n").encode())
    say(f"{folder}: {len(lines)} items")
