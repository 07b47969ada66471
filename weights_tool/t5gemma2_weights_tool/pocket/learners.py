"""What a stage trains, and its loss: mean over the samples of the mean over a sample's tokens.

(A mean over all tokens of a batch would let captions of twenty tokens drown the questions' answers of one.)
"""
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from . import fast, model
from .batches import Batch
from .recipe import Recipe, Stage
from .samples import NOTHING
from .scenes import COLOURS, SHAPES

CHOICES = (len(SHAPES) + 1, len(COLOURS), 2)  # what is said of a cell: shape or nothing, colour, size
PLACE = 2                                     # and where in it
EMPTY_WEIGHT = 0.3                            # of a cell with nothing in it: most have nothing
PLACE_WEIGHT = 4.0                            # of a squared distance, in cells


class Learner:
    """A model in training. `extra` are modules that are thrown away after the stage."""

    def __init__(self, recipe: Recipe, stage: Stage, trained: nn.Module, extra: nn.ModuleDict | None = None):
        self.recipe, self.stage, self.model, self.extra = recipe, stage, trained.train(), extra or nn.ModuleDict()
        if recipe.compile:
            fast.compile_layers(self.layers())

    def layers(self) -> list[nn.Module]:
        raise NotImplementedError

    def scores(self, batch: Batch) -> torch.Tensor:
        """The loss of each sample."""
        return token_scores(self.model(**batch.inputs, use_cache=False).logits, batch.labels)

    def trained(self) -> list[tuple[str, nn.Parameter]]:
        return [*self.model.named_parameters(), *self.extra.named_parameters()]

    def loss(self, batch: Batch) -> torch.Tensor:
        """This worker's part of the batch's loss."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.recipe.bfloat16):
            return self.scores(batch).sum() / batch.samples

    def groups(self) -> list[dict]:
        """Parameters for the optimizer; `scale` is of the learning rate. Norms and biases are not decayed."""
        chosen: dict[tuple, list] = {}
        for name, parameter in self.trained():
            scale = self.stage.vision_rate if "vision_tower" in name else 1.0
            decay = self.recipe.weight_decay if parameter.dim() > 1 else 0.0
            chosen.setdefault((scale, decay), []).append(parameter)
        return [{"params": parameters, "scale": scale, "weight_decay": decay}
                for (scale, decay), parameters in chosen.items()]

    def state(self) -> dict:
        return {"model": self.model.state_dict(), "extra": self.extra.state_dict()}

    def load_state(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.extra.load_state_dict(state["extra"])


def token_scores(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    losses = cross_entropy(logits.float().transpose(1, 2), labels, reduction="none", ignore_index=NOTHING)
    return losses.sum(1) / (labels != NOTHING).sum(1)


class Gemma3Learner(Learner):
    def layers(self):
        return self.model.model.layers


class T5Gemma2Learner(Learner):
    def layers(self):
        encoder = self.model.model.encoder
        return [*encoder.text_model.layers, *self.model.model.decoder.layers, *vision_layers(self.model)]


def vision_layers(trained: nn.Module) -> nn.ModuleList:
    """Of T5Gemma 2 or Gemma 3."""
    return next(module for name, module in trained.named_modules() if name.endswith("vision_tower")).encoder.layers


class VisionLearner(Learner):
    """The vision tower and the projection alone: a linear head says of each image token what lies there, and where."""

    def __init__(self, recipe, stage, trained):
        torch.manual_seed(recipe.seed)
        head = nn.Linear(recipe.sizes.text["hidden_size"], sum(CHOICES) + PLACE)
        super().__init__(recipe, stage, trained, nn.ModuleDict({"head": head}))

    def layers(self):
        return vision_layers(self.model)

    def trained(self):
        return [(name, parameter) for name, parameter in super().trained()
                if "vision_tower" in name or "multi_modal_projector" in name or "head" in name.split(".")[0]]

    def scores(self, batch):
        features = self.model.get_image_features(**batch.inputs, return_dict=True).pooler_output
        *said, place = self.extra["head"](features).float().split((*CHOICES, PLACE), dim=-1)  # [pictures, cells, ...]
        known = batch.labels[:, 1:2] != NOTHING
        total = (PLACE_WEIGHT * known * (place.transpose(1, 2) - batch.labels[:, 3:]) ** 2).sum((1, 2))
        for part, (choices, right) in enumerate(zip(said, batch.labels.long().unbind(1))):
            losses = cross_entropy(choices.transpose(1, 2), right, reduction="none", ignore_index=NOTHING)
            if part == 0:
                losses = losses * torch.where(right == 0, EMPTY_WEIGHT, 1.0)
            total = total + losses.sum(1)
        return total


def fresh_gemma3(recipe: Recipe, vocabulary: int):
    return model.fresh_gemma3(model.gemma3_config(recipe.sizes, vocabulary), recipe.seed, fast.ATTENTION)


def fresh_t5gemma2(recipe: Recipe, vocabulary: int, attention=fast.ATTENTION):
    return model.fresh_t5gemma2(model.t5gemma2_config(recipe.sizes, vocabulary), recipe.seed, attention)
