"""`weights_tool train`: the pocket model from nothing, stage after stage, each going on where it was interrupted.

    language   a decoder-only Gemma 3 of this size learns the language of the items
    adapt      it becomes an encoder-decoder (paper section 3.1), by the code of `weights_tool adapt`
    ul2        the encoder-decoder learns to fill in what the five denoisers hide
    vision     the vision tower learns to tell what lies where, by a head that is thrown away
    tasks      all tasks mixed, with pictures
    keys       retrieval: needles without filler first, from which it is learned within minutes
    mixed      all tasks again, retrieval in longer and longer filler among them

The output folder has a folder for each stage (checkpoints, loss.jsonl) and, when all is done, model/.
"""
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from .. import model as checkpoint_model
from ..adapt import adapt
from ..console import say
from ..errors import UserError, expected
from ..tokenizer import load_tokenizer
from . import learners, vocabulary
from .batches import TENSORS, Batches
from .checkpoints import Checkpoints
from .export import export
from .files import locked, write_json
from .model import IMAGE_IDS
from .recipe import STAGES, Recipe, Stage
from .samples import Maker
from .team import Team, run
from .training import Interrupted, Stop, Training

MODEL, ADAPTED, TOKENIZER, RECIPE = "model", "adapted", "tokenizer", "recipe.json"
WITH_PICTURES = STAGES[STAGES.index("vision"):]  # the encoder-decoder sees from here on


def scaled(recipe: Recipe, scale: float) -> Recipe:
    """The same stages with another number of steps."""
    if scale == 1:
        return recipe
    def some(steps: int) -> int:
        return max(1, round(steps * scale))
    stages = [replace(stage, steps=some(stage.steps), schedule=stage.schedule and some(stage.schedule),
                      warmup=min(stage.warmup, some(stage.warmup))) for stage in recipe.stages]
    return replace(recipe, stages=stages)


class Run:
    """What the stages of one output folder share."""
    tensors = TENSORS

    def __init__(self, recipe: Recipe, folder: Path):
        self.recipe, self.folder = recipe, folder
        self.tokenizer_folder = folder / TOKENIZER
        self.tokenizer = load_tokenizer(self.tokenizer_folder)
        self.vocabulary = self.tokenizer.get_vocab_size()
        self.maker = Maker(self.tokenizer, recipe.sizes.vision["image_size"], recipe.sizes.image_tokens)

    def checkpoints(self, stage: str) -> Checkpoints:
        return Checkpoints(self.folder / stage, self.recipe.up_to(stage))

    def final(self, stage: str) -> dict | None:
        """The state at a stage's end, if it has come to that."""
        steps, checkpoints = self.recipe.stage(stage).steps, self.checkpoints(stage)
        return checkpoints.load(steps) if checkpoints.newest() == steps else None

    def learner(self, stage: Stage) -> learners.Learner:
        """With the weights of the stage before."""
        if stage.name == "language":
            return learners.Gemma3Learner(self.recipe, stage, learners.fresh_gemma3(self.recipe, self.vocabulary))
        trained = learners.fresh_t5gemma2(self.recipe, self.vocabulary)
        if stage.name == "ul2":
            self.load_adapted(trained)
        else:
            trained.load_state_dict(self.final(STAGES[STAGES.index(stage.name) - 1])["model"])
        kind = learners.VisionLearner if stage.name == "vision" else learners.T5Gemma2Learner
        return kind(self.recipe, stage, trained)

    def load_adapted(self, fresh) -> None:
        """What `adapt` made of the decoder-only model; it has no vision."""
        shapes = {name: tuple(value.shape) for name, value in fresh.state_dict().items()}
        fresh.load_state_dict(checkpoint_model.load_weights(self.folder / ADAPTED, shapes), strict=False)

    def begin(self, stage: Stage) -> None:
        """What the leader does before a stage's first step."""
        if stage.name == "ul2":
            self.adapt()

    def adapt(self) -> None:
        """The decoder-only model as an untrained encoder-decoder."""
        gemma3 = learners.fresh_gemma3(self.recipe, self.vocabulary)
        gemma3.load_state_dict(self.final("language")["model"])
        source = self.folder / "language" / "gemma3"
        gemma3.save_pretrained(source)
        adapt(source, self.folder / ADAPTED, rope_factor=self.recipe.sizes.rope["factor"], dtype="float32",
              eoi_token_index=IMAGE_IDS["eoi_token_index"], force=True)
        (self.folder / ADAPTED / "NOTICE").unlink()  # it is about Google's weights; these are ours

    def stage(self, team: Team, stage: Stage, stop) -> None:
        batches = Batches(stage, self.recipe.seed, self.maker, team.rank, team.size, self.tensors)
        Training(team, self.learner(stage), batches, self.checkpoints(stage.name)).run(stop)

    def state(self) -> tuple[str, int, dict]:
        """The newest state of the encoder-decoder with pictures: stage, step, weights."""
        for name in reversed(WITH_PICTURES):
            step = self.checkpoints(name).newest()
            if step:
                return name, step, self.checkpoints(name).load(step)["model"]
        raise UserError(f"{self.folder}: expected a checkpoint of the stages {', '.join(WITH_PICTURES)}, found none; "
                        f"weights_tool train -o {self.folder} makes them")


def work(team: Team, recipe: Recipe, folder: Path, until: str) -> None:
    """What each worker does: all stages up to `until`."""
    here = Run(recipe, folder)
    train_stages(team, here, recipe.stages[:STAGES.index(until) + 1])
    if team.leads and until == STAGES[-1]:
        export(here, folder / MODEL)


def train_stages(team: Team, here: Run, stages: list[Stage]) -> None:
    """Those of the stages that are not done."""
    with Stop() if team.leads else nullcontext() as stop:
        for stage in stages:
            if team.agree(team.leads and here.final(stage.name) is not None):
                continue
            if team.leads:
                here.begin(stage)
            team.agree(0)
            here.stage(team, stage, stop)
            if team.agree(team.leads and stop.asked):  # while the last step's checkpoint was written
                raise Interrupted(f"{stage.name}: stopped after its last step; the same command goes on from there")


@contextmanager
def prepared(recipe: Recipe, folder: Path) -> Iterator[None]:
    """The folder with its tokenizer and recipe, and no second run there."""
    with locked(folder, "training"):
        write_tokenizer(folder / TOKENIZER)
        for stage in STAGES:
            Checkpoints(folder / stage, recipe.up_to(stage)).newest()  # checks
        write_json(folder / RECIPE, asdict(recipe))
        yield


def write_tokenizer(folder: Path) -> None:
    """Unless it is there; then it must be the same, or the checkpoints' ids would mean other things."""
    file = folder / "tokenizer.json"
    if not file.exists():
        vocabulary.write(folder)
    elif json.loads(file.read_text(encoding="utf-8")) != vocabulary.tokenizer_json():
        raise expected(file, "pieces", "those this version makes (or another output folder)", "others")


def computes_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor does; also where it cannot be found out."""
    words = set(cpuinfo.read_text().split()) if cpuinfo.exists() else {"avx512_bf16"}
    return bool(words & {"avx512_bf16", "amx_bf16"})


def train(recipe: Recipe, folder: Path, *, until: str = STAGES[-1], workers: int = 1) -> None:
    with prepared(recipe, folder):
        say(f"{folder}: recipe {recipe.name}, seed {recipe.seed}, {workers} worker{'s' if workers > 1 else ''}")
        if recipe.bfloat16 and not computes_bfloat16():
            say("note: bfloat16: this processor has no instructions for it (avx512_bf16, amx_bf16) and takes many times "
                "as long as with false in the recipe")
        run(workers, work, recipe, folder, until)
