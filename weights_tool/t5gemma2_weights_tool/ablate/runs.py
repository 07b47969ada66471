"""One variant with one seed: trained stage by stage like the pocket model, and gone on with after a stop.

    FOLDER/parent/seed-S      the decoder-only parent, trained once for all variants that are adapted from it
    FOLDER/VARIANT/seed-S     a training folder of `weights_tool train`, without the stage of the parent
"""
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from torch import nn

from ..pocket.pipeline import TOKENIZER, Run, prepared, train_stages
from ..pocket.recipe import Recipe, Stage
from ..pocket.team import Team, run
from ..tokenizer import load_tokenizer
from .variants import PARENT, VARIANTS, Variant


class VariantRun(Run):
    """`recipe` has the variant's own sizes."""

    def __init__(self, variant: Variant, recipe: Recipe, folder: Path, parent: Path):
        super().__init__(recipe, folder)
        self.variant, self.tensors = variant, variant.tensors
        self.parent = Run(recipe, parent) if variant.adapted else None

    @property
    def stages(self) -> list[Stage]:
        return [self.recipe.stage(name) for name in self.variant.stages]

    def begin(self, stage: Stage) -> None:
        pass  # the parent is adapted already

    def learner(self, stage: Stage):
        at = self.variant.stages.index(stage.name)
        model = self.trained(self.variant.stages[at - 1]) if at else self.untrained()
        return self.variant.learner(self.recipe, stage, model)

    def untrained(self) -> nn.Module:
        return self.variant.fresh(self.recipe, self.vocabulary, self.parent and self.parent.load_adapted)

    def trained(self, stage: str) -> nn.Module:
        """As it is at a stage's end."""
        model = self.variant.fresh(self.recipe, self.vocabulary)
        model.load_state_dict(self.final(stage)["model"])
        return model

    def done(self) -> bool:
        return self.final(self.variant.stages[-1]) is not None

    def tidy(self) -> None:
        """Of a trained run the newest checkpoint is enough: one has the weights three times."""
        for stage in self.variant.stages:
            checkpoints, kept = self.checkpoints(stage), int(stage == self.variant.stages[-1])
            for step in checkpoints.steps()[kept:]:
                checkpoints.file(step).unlink()


def work_on_parent(team: Team, recipe: Recipe, folder: Path) -> None:
    here = Run(recipe, folder)
    train_stages(team, here, [recipe.stage(PARENT)])
    if team.leads:
        here.adapt()  # also where that was done: a stop may have cut it short


def work_on_variant(team: Team, name: str, recipe: Recipe, folder: Path, parent: Path) -> None:
    here = VariantRun(VARIANTS[name], recipe, folder, parent)
    train_stages(team, here, here.stages)


def train(variant: Variant, recipe: Recipe, seed: int, folder: Path, workers: int) -> VariantRun:
    """The variant's run, trained, under FOLDER."""
    recipe = replace(recipe, seed=seed)
    own = variant.recipe(recipe, load_tokenizer(folder / TOKENIZER).get_vocab_size())
    parent, here = folder / "parent" / f"seed-{seed}", folder / variant.name / f"seed-{seed}"
    with prepared(own, here), prepared(recipe, parent) if variant.adapted else nullcontext():
        trained = VariantRun(variant, own, here, parent)
        if not trained.done():
            if variant.adapted:
                run(workers, work_on_parent, recipe, parent)
            run(workers, work_on_variant, variant.name, own, here, parent)
    return trained
