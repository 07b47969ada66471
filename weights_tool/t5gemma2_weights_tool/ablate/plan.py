"""How many steps: the recipe's, or as many as fit into a number of minutes; decided once for an output folder.

Variants and seeds are compared after the same steps on the same data, so the plan stands when more of them are added.
"""
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

import torch
from tokenizers import Tokenizer

from ..config import read_json
from ..console import bar, say
from ..errors import expected
from ..pocket import learners
from ..pocket.batches import Batches
from ..pocket.files import write_file
from ..pocket.pipeline import TOKENIZER, scaled, write_tokenizer
from ..pocket.recipe import Recipe, read_fields, read_recipe
from ..pocket.samples import Maker
from .variants import PARENT, Variant

TIMED = 6        # steps of each stage, spread over it
SMOKE_STEPS = 10
FILE = "plan.json"


DEFAULT = "ablate"


@dataclass(frozen=True)
class Asked:
    """What decides the steps, where it is asked for."""
    recipe: str | None = None
    minutes: float | None = None
    smoke: bool | None = None


def planned(asked: Asked, folder: Path, variants: list[Variant], seeds: int, workers: int) -> Recipe:
    """The recipe to train by, from FOLDER/plan.json or written there."""
    file = folder / FILE
    if file.exists():
        return kept(file, asked)
    recipe, seconds = read_recipe("smoke" if asked.smoke else asked.recipe or DEFAULT), {}
    write_tokenizer(folder / TOKENIZER)
    if asked.smoke:
        stages = [replace(stage, steps=SMOKE_STEPS, schedule=0) for stage in recipe.stages]
        recipe = replace(recipe, stages=stages)
    elif asked.minutes:
        seconds = timed(recipe, folder, variants, workers)
        recipe = scaled(recipe, 60 * asked.minutes / (seeds * training_seconds(recipe, seconds)))
        say("steps: " + ", ".join(f"{stage.name} {stage.steps:,}" for stage in recipe.stages))
    plan = {"asked": asdict(asked), "seconds": seconds, "recipe": asdict(recipe)}
    write_file(file, (json.dumps(plan, indent=1) + "\n").encode())
    return recipe


def kept(file: Path, asked: Asked) -> Recipe:
    """The plan that stands, unless something else is asked for."""
    plan = read_json(file)
    for name, value in asdict(asked).items():
        stands = plan.get("asked", {}).get(name)
        if value is not None and value != stands:
            raise expected(file, name, f"{value}, as asked for (or another output folder)", stands)
    return read_fields(Recipe, plan.get("recipe"), file, "recipe.")


def training_seconds(recipe: Recipe, seconds: dict[str, dict[str, float]]) -> float:
    """Of one seed of everything that was timed."""
    return sum(recipe.stage(name).steps * one for stages in seconds.values() for name, one in stages.items())


def timed(recipe: Recipe, folder: Path, variants: list[Variant], workers: int) -> dict[str, dict[str, float]]:
    """Seconds a step of each stage of each variant, and of the parent, on this machine."""
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER / "tokenizer.json"))
    maker = Maker(tokenizer, recipe.sizes.vision["image_size"], recipe.sizes.image_tokens)
    vocabulary = tokenizer.get_vocab_size()
    recipe, found = replace(recipe, compile=False), {}  # which takes minutes, and changes seconds little
    torch.set_num_threads(1)
    if any(variant.adapted for variant in variants):
        gemma3 = learners.Gemma3Learner(recipe, recipe.stage(PARENT), learners.fresh_gemma3(recipe, vocabulary))
        found["parent"] = {PARENT: a_step(gemma3, Batches(gemma3.stage, recipe.seed, maker, 0, workers))}
    with bar(sum(len(variant.stages) for variant in variants), "timing", "stage") as timing:
        for variant in variants:
            own = variant.recipe(recipe, vocabulary)
            found[variant.name] = {}
            for name in variant.stages:
                learner = variant.learner(own, own.stage(name), variant.fresh(own, vocabulary))
                batches = Batches(learner.stage, own.seed, maker, 0, workers, variant.tensors)
                found[variant.name][name] = a_step(learner, batches)
                timing.update()
            say(f"{variant.name}: seconds a step: " + ", ".join(f"{name} {one}" for name, one in found[variant.name].items()))
    return found


def a_step(learner: learners.Learner, batches: Batches) -> float:
    """Mean seconds of one worker's forward and backward pass; the first is not counted."""
    seconds = []
    for i in range(TIMED + 1):
        batch, begun = batches[max(i - 1, 0) * learner.stage.steps // TIMED], time.monotonic()
        learner.loss(batch).backward()
        learner.model.zero_grad()
        seconds.append(time.monotonic() - begun)
    return round(mean(seconds[1:]), 3)
