"""Items for people and programs to read: a line or two each, or JSON, and their pictures as PNG files."""
import json
from pathlib import Path
from random import Random

from ..console import bar
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
    with bar(count, "making", "item", beside_text=True) as making:
        for number in range(count):
            item = items.draw(task, rng, held_out, kind, length)
            files = save_pictures(item, number, images) if images else []
            print(shown(item, files, jsonl))
            making.update()


def shown(item: Item, files: list[str], jsonl: bool) -> str:
    if jsonl:
        return json.dumps({"task": item.task, "kind": item.kind, "prompt": item.prompt, "answer": item.answer,
                           "content": item.content, "images": files})
    return "\n    ".join([f"{item.kind}: {item.prompt}", f"-> {item.answer}", *files])
