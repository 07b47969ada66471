"""What a trained variant can do: held-out items of every kind that the recipe trains, retrieval in longer and longer text."""
from statistics import median

import torch
from torch import nn

from ..console import bar
from ..pocket import items, plots
from ..pocket.evaluation import draw_group, groups
from ..pocket.files import read_losses
from ..pocket.recipe import KIND, Recipe
from . import architectures
from .runs import VariantRun
from .variants import Answers

SEED = 0  # of the items: the same for all variants and seeds of training


def kinds_trained(recipe: Recipe) -> list[tuple[str, str]]:
    """(task, kind) of all items in the recipe's batches."""
    found = set()
    for stage in recipe.stages:
        for family in stage.families:
            for name in family.tasks:
                task, _, kind = name.partition(KIND)
                found.update((task, one) for one in ([kind] if kind else items.KINDS[task]))
    return [(task, kind) for task, kinds in items.KINDS.items() for kind in kinds if (task, kind) in found]


def accuracy(run: VariantRun, model: nn.Module, count: int) -> list[dict]:
    """Exactly right answers to `count` items of each group."""
    torch.set_num_threads(1)  # of models as small as these two are seldom faster, and on a busy machine many times slower
    answers = Answers(run.variant, model, run.maker)
    chosen, found = groups(kinds_trained(run.recipe)), []
    with bar(count * len(chosen), f"{run.variant.name}: answering", "item") as answering:
        for task, kind, length in chosen:
            drawn = draw_group((task, kind, length), count, SEED)
            texts = [run.tokenizer.decode(ids, skip_special_tokens=True) for ids in answers.answer(drawn, answering.update)]
            right = sum(text == item.answer for text, item in zip(texts, drawn))
            found.append({"task": task, "kind": kind, "length": length, "items": count, "right": right})
    return found


def curve(losses: list[dict], steps: int) -> dict[str, list[float]]:
    """Mean losses over stretches of the stage; a stretch has the same batches in every variant."""
    at, loss = plots.curve(losses, steps)
    return {"step": [round(one, 1) for one in at], "loss": [round(one, 4) for one in loss]}


def training(run: VariantRun) -> dict[str, dict]:
    """Steps, seconds a step and losses of each stage."""
    found = {}
    for stage in run.stages:
        losses = read_losses(run.folder / stage.name / "loss.jsonl")
        found[stage.name] = {"steps": stage.steps, "seconds_per_step": median(line["seconds"] for line in losses),
                             "losses": curve(losses, stage.steps)}
    return found


def measured(run: VariantRun, count: int) -> dict:
    model = run.trained(run.variant.stages[-1])
    return {"variant": run.variant.name, "seed": run.recipe.seed, "items": count,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "extra_norms": architectures.extra_norms(model), "training": training(run), "groups": accuracy(run, model, count)}
