"""How many steps: the recipe's, or as many as fit into a number of minutes; decided once for an output folder.

Variants and seeds are compared after the same steps on the same data, so the plan stands when more of them are added.
"""
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

import torch

from ..config import read_json
from ..console import bar, say
from ..errors import expected
from ..pocket import learners
from ..pocket.batches import Batches
from ..pocket.files import write_json
from ..pocket.pipeline import TOKENIZER, scaled, write_tokenizer
from ..pocket.recipe import Recipe, check_stages, read_fields, read_recipe
from ..pocket.samples import Maker
from ..pocket.team import Team
from ..pocket.training import Training
from ..tokenizer import load_tokenizer
from .command import SMOKE
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


def planned(asked: Asked, folder: Path, variants: list[Variant], seeds: int, workers: int) -> Recipe:
    """The recipe to train by, from FOLDER/plan.json or written there."""
    file = folder / FILE
    write_tokenizer(folder / TOKENIZER)
    if file.exists():
        return kept(file, asked)
    asked = replace(asked, recipe=asked.recipe or DEFAULT)
    recipe, seconds = read_recipe(asked.recipe), {}
    if asked.recipe == SMOKE:
        recipe = replace(recipe, stages=[replace(stage, steps=SMOKE_STEPS, schedule=0) for stage in recipe.stages])
    if asked.minutes:
        seconds = timed(recipe, folder, variants, workers)
        recipe = scaled(recipe, 60 * asked.minutes / (seeds * training_seconds(recipe, seconds)))
        say("steps: " + ", ".join(f"{stage.name} {stage.steps:,}" for stage in recipe.stages))
    write_json(file, {"asked": asdict(asked), "seconds": seconds, "recipe": asdict(recipe)})
    return recipe


def kept(file: Path, asked: Asked) -> Recipe:
    """The plan that stands, unless something else is asked for."""
    plan = read_json(file)
    if not isinstance(plan.get("asked"), dict):
        raise expected(file, "asked", "what the plan was made for", plan.get("asked"))
    for name, value in asdict(asked).items():
        stands = plan["asked"].get(name)
        if value is not None and value != stands:
            raise expected(file, name, f"{value}, as asked for (or another output folder)", stands)
    recipe = read_fields(Recipe, plan.get("recipe"), file, "recipe.")
    check_stages(recipe, file)
    return recipe


def training_seconds(recipe: Recipe, seconds: dict[str, dict[str, float]]) -> float:
    """Of one seed of everything that was timed."""
    return sum(recipe.stage(name).steps * one for stages in seconds.values() for name, one in stages.items())


def timed(recipe: Recipe, folder: Path, variants: list[Variant], workers: int) -> dict[str, dict[str, float]]:
    """Seconds a step of each stage of each variant, and of the parent, on this machine."""
    tokenizer = load_tokenizer(folder / TOKENIZER)
    maker = Maker(tokenizer, recipe.sizes.vision["image_size"], recipe.sizes.image_tokens)
    pieces = tokenizer.get_vocab_size()
    recipe, found = replace(recipe, compile=False), {}  # compiling takes minutes, and changes seconds little
    if any(variant.adapted for variant in variants):
        gemma3 = learners.Gemma3Learner(recipe, recipe.stage(PARENT), learners.fresh_gemma3(recipe, pieces))
        found["parent"] = {PARENT: a_step(gemma3, Batches(gemma3.stage, recipe.seed, maker, 0, workers))}
        say(f"parent: seconds a step: {PARENT} {found['parent'][PARENT]}")
    with bar(sum(len(variant.stages) for variant in variants), "timing", "stage") as timing:
        for variant in variants:
            own = variant.recipe(recipe, pieces)
            found[variant.name] = {}
            for name in variant.stages:
                learner = variant.learner(own, own.stage(name), variant.fresh(own, pieces))
                batches = Batches(learner.stage, own.seed, maker, 0, workers, variant.tensors)
                found[variant.name][name] = a_step(learner, batches)
                timing.update()
            say(f"{variant.name}: seconds a step: " + ", ".join(f"{name} {one}" for name, one in found[variant.name].items()))
    return found


class Nowhere:
    """In place of checkpoints: steps that are only timed leave nothing behind."""

    @staticmethod
    def newest() -> int:
        return 0


def a_step(learner: learners.Learner, batches: Batches) -> float:
    """Mean seconds of one worker's steps; the first is not counted, nor what workers wait for each other."""
    torch.set_num_threads(1)
    training, seconds = Training(Team(), learner, batches, Nowhere()), []
    for i in range(TIMED + 1):
        step, begun = max(i - 1, 0) * learner.stage.steps // TIMED, time.monotonic()
        training.step(step, batches[step], False)
        seconds.append(time.monotonic() - begun)
    return round(mean(seconds[1:]), 3)
