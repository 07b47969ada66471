"""`weights_tool evaluate`: held-out items through the engine and through transformers, exact match, token by token."""
import json
from pathlib import Path
from random import Random

from tokenizers import Tokenizer

from ..errors import UserError, expected, say
from ..model import load_config, load_model
from . import items, retrieval
from .answers import Engine, Transformers
from .files import write_file
from .items import Item
from .results import table
from .samples import Maker

TIMES = (1, 2, 4, 8)  # the longest length trained on
SHOWN = 3             # wrong answers kept of each kind


def groups(tasks: list[str], times: tuple[int, ...]) -> list[tuple[str, str, int | None]]:
    """(task, kind, length) of everything that is measured."""
    found = []
    for task in tasks:
        if task not in items.TASKS:
            raise expected("evaluate", "task", f"one of {', '.join(items.TASKS)}", task)
        lengths = [retrieval.TRAINED * n for n in times] if task == "retrieval" else [None]
        found += [(task, kind, length) for length in lengths for kind in items.KINDS[task]]
    return found


def draw_group(group: tuple, count: int, seed: int) -> list[Item]:
    task, kind, length = group
    rng = Random(f"{seed} {task} {kind} {length}")
    return [items.draw(task, rng, True, kind, length) for _ in range(count)]


def load(folder: Path) -> Transformers:
    config = load_config(folder)
    file = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception
        raise UserError(f"{file}: tokenizers cannot read it: {error}") from None
    maker = Maker(tokenizer, config["encoder"]["vision_config"]["image_size"], config["encoder"]["mm_tokens_per_image"])
    model = load_model(folder, config)
    model.generation_config.decoder_start_token_id = config["decoder"]["bos_token_id"]
    return Transformers(model, maker)


def evaluate(folder: Path, *, engine: Path | None, count: int, tasks: list[str], times: tuple[int, ...] = TIMES,
             seed: int = 0) -> dict:
    """{"groups": one entry for each kind of item (and length), ...}; without an engine transformers alone."""
    reference = load(folder)
    chosen = groups(tasks, times)
    drawn = {group: draw_group(group, count, seed) for group in chosen}
    everything = [item for group in chosen for item in drawn[group]]
    theirs = reference.answer(everything)
    ours = Engine(engine, folder).answer(everything) if engine else theirs
    result, start = [], 0
    for group in chosen:
        part = slice(start, start + count)
        result.append({"task": group[0], "kind": group[1], "length": group[2],
                       **compared(reference, drawn[group], ours[part], theirs[part])})
        start += count
    return {"items": count, "seed": seed, "through": "engine" if engine else "transformers", "groups": result}


def compared(reference: Transformers, drawn: list[Item], ours: list[list[int]], theirs: list[list[int]]) -> dict:
    """Counts of one group, a few wrong answers, and every difference between engine and transformers."""
    def text(ids: list[int]) -> str:
        return reference.maker.tokenizer.decode(ids, skip_special_tokens=True)
    right = [text(ids) == item.answer for item, ids in zip(drawn, ours)]
    wrong = [{"prompt": item.prompt, "answer": item.answer, "found": text(ids)}
             for item, ids, good in zip(drawn, ours, right) if not good]
    different = []
    for item, our, their in zip(drawn, ours, theirs):
        if our != their:
            at, margin = reference.margin(item, their, our)
            different.append({"prompt": item.prompt, "answer": item.answer, "engine": text(our),
                              "transformers": text(their), "token": at, "margin": margin})
    return {"items": len(drawn), "right": sum(right),
            "transformers_right": sum(text(ids) == item.answer for item, ids in zip(drawn, theirs)),
            "wrong": wrong[:SHOWN], "different": different}


def write_evaluation(folder: Path, output: Path | None, **options) -> None:
    result = evaluate(folder, **options)
    print(table(result))
    if output:
        write_file(output, (json.dumps(result, indent=1) + "\n").encode())
        say(f"{output}: {len(result['groups'])} groups of {result['items']} items")
