"""Items for people and programs to read: a line or two each, or JSON, and their pictures as PNG files."""
import json
from pathlib import Path
from random import Random

from ..errors import UserError, expected
from . import items, retrieval
from .items import Item


def check(task: str, kind: str | None, length: int | None) -> None:
    if task not in items.TASKS:
        raise expected("items", "task", f"one of {', '.join(items.TASKS)}", task)
    if kind is not None and kind not in items.KINDS[task]:
        raise expected("items", "--kind", f"one of {'; '.join(items.KINDS[task])}", kind)
    if length is not None and task != "retrieval":
        raise UserError(f"items: --length: expected the task retrieval, found {task}")
    if length is not None and not retrieval.fits(kind, length):
        raise expected("items", "--length", retrieval.lengths_of(kind), length)


def save_pictures(item: Item, number: int, folder: Path) -> list[str]:
    """One PNG file for each picture of the item; their paths."""
    from .drawing import picture
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{item.task}-{number}-{i}.png" for i in range(len(item.scenes))]
    for file, scene in zip(files, item.scenes):
        picture(scene).save(file)
    return [str(file) for file in files]


def print_items(task: str, count: int, *, kind: str | None = None, length: int | None = None, seed: int = 0,
                held_out: bool = False, images: Path | None = None, jsonl: bool = False) -> None:
    check(task, kind, length)
    rng = Random(seed)
    for number in range(count):
        item = items.draw(task, rng, held_out, kind, length)
        files = save_pictures(item, number, images) if images else []
        if jsonl:
            print(json.dumps({"task": item.task, "kind": item.kind, "prompt": item.prompt, "answer": item.answer,
                              "content": item.content, "images": files}))
        else:
            print(f"{item.kind}: {item.prompt}\n    -> {item.answer}", *files, sep="\n    ")
