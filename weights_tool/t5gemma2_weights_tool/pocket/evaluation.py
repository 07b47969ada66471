"""`weights_tool evaluate`: held-out items through the engine and through transformers, exact match, token by token."""
from pathlib import Path
from random import Random

from ..config import read_json
from ..console import bar, say
from ..digests import digest
from ..errors import UserError, expected
from ..model import load_config, load_model
from ..tokenizer import load_tokenizer
from . import items, retrieval
from .answers import Done, Engine, Transformers
from .files import write_json
from .items import Item
from .samples import Maker

TIMES = (1, 2, 4, 8)  # the longest length trained on
SHOWN = 3             # wrong answers kept of each kind


def kinds_of(tasks: list[str]) -> list[tuple[str, str]]:
    """(task, kind) of all items of these tasks."""
    for task in tasks:
        if task not in items.TASKS:
            raise expected("evaluate", "task", f"one of {', '.join(items.TASKS)}", task)
    return [(task, kind) for task in tasks for kind in items.KINDS[task]]


def groups(kinds: list[tuple[str, str]], times: tuple[int, ...] = TIMES) -> list[tuple[str, str, int | None]]:
    """(task, kind, length) of everything that is measured, each length of retrieval after the other."""
    found = []
    for task in dict.fromkeys(task for task, _ in kinds):
        lengths = [retrieval.TRAINED * n for n in times] if task == "retrieval" else [None]
        found += [(task, kind, length) for length in lengths for one, kind in kinds if one == task]
    return found


def draw_group(group: tuple, count: int, seed: int) -> list[Item]:
    task, kind, length = group
    rng = Random(f"{seed} {task} {kind} {length}")
    return [items.draw(task, rng, True, kind, length) for _ in range(count)]


def load(folder: Path) -> Transformers:
    config = load_config(folder)
    maker = Maker(load_tokenizer(folder), config["encoder"]["vision_config"]["image_size"], config["encoder"]["mm_tokens_per_image"])
    model = load_model(folder, config)
    model.set_attn_implementation("sdpa")  # of long prompts three times as fast as eager
    model.generation_config.decoder_start_token_id = config["decoder"]["bos_token_id"]
    return Transformers(model, maker)


class Evaluation:
    """Groups, one after the other: a result that is not whole yet lies beside the file it will be, and is gone on with."""

    def __init__(self, folder: Path, *, engine: Path | None, dtype: str, count: int, tasks: list[str],
                 times: tuple[int, ...] = TIMES, seed: int = 0):
        self.chosen = groups(kinds_of(tasks), times)
        self.reference, self.engine = load(folder), Engine(engine, folder, dtype) if engine else None
        self.head = {"items": count, "seed": seed, "through": "engine" if engine else "transformers", "dtype": dtype,
                     "model": digest(folder / "model.safetensors"), "program": digest(engine) if engine else None}

    def run(self, output: Path | None) -> dict:
        """{"groups": one entry for each kind of item (and length), ...}; without an engine transformers alone."""
        part = output and output.with_name(output.name + ".part")
        result = self.begun(part)
        if part:
            write_json(part, result)  # also says at once that it cannot be written
        each = self.head["items"] * (2 if self.engine else 1)
        begun = len(result["groups"])
        with bar(each * len(self.chosen), "answering", "item", initial=each * begun) as answering:
            for number, group in enumerate(self.chosen[begun:], begun + 1):
                say(f"{number} of {len(self.chosen)}: {', '.join(str(name) for name in group if name)}")
                result["groups"].append(self.measured(group, answering.update))
                if self.engine and digest(self.engine.program) != self.head["program"]:
                    raise UserError(f"{self.engine.program}: has changed since the evaluation began")
                if part:
                    write_json(part, result)
        if output:
            write_json(output, result)
            part.unlink(missing_ok=True)
            say(f"{output}: {len(result['groups'])} groups of {self.head['items']} items")
        return result

    def begun(self, part: Path | None) -> dict:
        """What an earlier run left of the very same evaluation: its first groups."""
        if part and part.exists():
            result = read_json(part)
            done = result.get("groups", [])
            names = [(group.get("task"), group.get("kind"), group.get("length")) for group in done]
            if names == self.chosen[:len(names)] and result == {**self.head, "groups": done}:
                say(f"{part}: going on after {len(names)} of {len(self.chosen)} groups")
                return result
            say(f"note: {part}: made by another model, program, or with other options; starting anew")
        return {**self.head, "groups": []}

    def measured(self, group: tuple, done: Done) -> dict:
        drawn = draw_group(group, self.head["items"], self.head["seed"])
        theirs = self.reference.answer(drawn, done)
        ours = self.engine.answer(drawn, done) if self.engine else theirs
        return {"task": group[0], "kind": group[1], "length": group[2], **compared(self.reference, drawn, ours, theirs)}


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
