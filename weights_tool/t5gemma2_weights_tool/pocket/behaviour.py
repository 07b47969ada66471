"""`weights_tool answers`: held-out items of every task with the answers of transformers, for the test of behaviour."""
import json
from pathlib import Path
from random import Random

from ..errors import UserError, say
from . import items, retrieval
from .evaluation import load
from .files import write_file
from .items import Item
from .listing import save_pictures


def draw_items(task: str, count: int, seed: int) -> list[Item]:
    """All kinds in turn; retrieval at the longest length trained on."""
    rng = Random(f"{seed} {task} behaviour")
    length = retrieval.TRAINED if task == "retrieval" else None
    kinds = items.KINDS[task]
    return [items.draw(task, rng, True, kinds[number % len(kinds)], length) for number in range(count)]


def line(item: Item, number: int, ids: list[int], folder: Path) -> str:
    """A JSON object; `ids` are the answer's, without bos and eos. The pictures become files."""
    try:
        images = [Path(file).name for file in save_pictures(item, number, folder)]
    except OSError as error:
        raise UserError(f"{folder}: cannot write: {error.strerror}") from None
    return json.dumps({"task": item.task, "prompt": item.prompt, "images": images, "answer": item.answer, "ids": ids})


def write_answers(model: Path, folder: Path, *, count: int, seed: int) -> None:
    """folder/items.jsonl and its pictures: `count` items of each task."""
    reference = load(model)
    drawn = {task: draw_items(task, count, seed) for task in items.TASKS}
    everything = [item for task in items.TASKS for item in drawn[task]]
    answers = iter(reference.answer(everything))
    lines = [line(item, number, next(answers), folder) for task in items.TASKS
             for number, item in enumerate(drawn[task])]
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "items.jsonl", ("\n".join(lines) + "\n").encode())
    say(f"{folder}: {len(lines)} items")
