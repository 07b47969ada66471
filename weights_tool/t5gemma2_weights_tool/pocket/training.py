"""The training loop of one stage. An interrupted run goes on with the very losses it would have had.

The learning rate and the batch are functions of the step alone, so weights and the optimizer's state are all there is
to keep.
"""
import math
import signal
import time
from contextlib import AbstractContextManager, nullcontext

import torch

from ..console import bar, clear_line, say
from ..errors import UserError
from .batches import Batches
from .checkpoints import Checkpoints
from .files import LossLog
from .learners import Learner
from .recipe import Recipe, Stage
from .team import Team, Told

MEMORY = 0.98  # of the loss shown, at each step


class Stop(AbstractContextManager):
    """Whether Ctrl-C was pressed, or SIGTERM came; a second one ends at once."""
    asked = False

    def __enter__(self):
        self.before = {number: signal.signal(number, self.ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def ask(self, *_):
        self.asked = True
        clear_line()
        say("stopping after this step; once more to stop at once")
        self.__exit__()

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)


class Interrupted(Told):
    """Stopped with a checkpoint."""


def rate(recipe: Recipe, stage: Stage, step: int) -> float:
    """Rises for `warmup` steps, then half a cosine down to `last_rate` of its peak."""
    rising = min(1.0, (step + 1) / stage.warmup)
    falling = 0.5 * (1 + math.cos(math.pi * step / stage.planned))
    return stage.learning_rate * rising * (recipe.last_rate + (1 - recipe.last_rate) * falling)


class Training:
    """One stage of one worker, from its newest checkpoint on."""

    def __init__(self, team: Team, learner: Learner, batches: Batches, checkpoints: Checkpoints):
        self.team, self.learner, self.batches, self.checkpoints = team, learner, batches, checkpoints
        self.recipe, self.stage = learner.recipe, learner.stage
        self.optimizer = torch.optim.AdamW(learner.groups(), betas=tuple(self.recipe.betas), fused=True)
        self.start = team.agree(checkpoints.newest() if team.leads else 0)
        if self.start:
            state = checkpoints.load(self.start)
            learner.load_state(state)
            self.optimizer.load_state_dict(state["optimizer"])

    def run(self, stop) -> None:
        """To the stage's end; `stop.asked` of the leader ends it sooner, with Interrupted."""
        log = LossLog(self.checkpoints.folder / "loss.jsonl", self.start) if self.team.leads else None
        with bar(self.stage.steps, self.stage.name, "step", initial=self.start) if log else nullcontext() as training:
            shown = None
            for step in range(self.start, self.stage.steps):
                begun = time.monotonic()
                batch = self.batches[step]
                loss, stopped = self.step(step, batch, log is not None and stop.asked)
                seconds = time.monotonic() - begun
                if log:
                    log.add(step=step, family=batch.family, loss=loss, samples=batch.samples, seconds=round(seconds, 3))
                    shown = loss if shown is None else MEMORY * shown + (1 - MEMORY) * loss
                    training.set_postfix_str(f"loss {shown:.3f}", refresh=False)
                    training.update()
                    if stopped or (step + 1) % self.recipe.checkpoint_every == 0 or step + 1 == self.stage.steps:
                        log.flush()
                        self.save(step + 1)
                        say(f"{self.stage.name}: step {step + 1} of {self.stage.steps}, loss {shown:.3f}")
                if stopped:
                    raise Interrupted(f"{self.stage.name}: stopped after {step + 1} of {self.stage.steps} steps; "
                                      "the same command goes on from there")

    def save(self, step: int) -> None:
        self.checkpoints.save(step, {**self.learner.state(), "optimizer": self.optimizer.state_dict()})

    def step(self, step: int, batch, stop: bool) -> tuple[float, bool]:
        """One step of the whole team: its loss, and whether the leader wants to stop."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.recipe, self.stage, step) * group["scale"]
        try:
            loss = self.learner.loss(batch)
            loss.backward()
        except (MemoryError, RuntimeError) as error:
            raise out_of_memory(error, batch) from error
        status = torch.tensor([loss.item(), float(stop)])
        trained = [parameter for _, parameter in self.learner.trained() if parameter.grad is not None]
        self.team.add([status, *(parameter.grad for parameter in trained)])
        if not torch.isfinite(status[0]):
            raise UserError(f"{self.stage.name}: step {step}: expected a finite loss, found {status[0].item()}")
        torch.nn.utils.clip_grad_norm_(trained, self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return status[0].item(), status[1].item() > 0


def out_of_memory(error: Exception, batch) -> Exception:
    """The same error unless it says that memory was short."""
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return UserError(f"train: not enough memory for {batch.samples} samples of {batch.family} a step")
    return error
