"""The recipe a model is trained by: sizes, seed, and the stages with their batches, all in one JSON file.

A step trains on one family of a stage, drawn by weight. Families of one stage differ in what they are made of:

    packed    texts one after the other, `lengths` tokens a sample (decoder-only)
    denoise   a text with spans hidden by UL2
    scenes    pictures, and what lies in each sixteenth of them
    items     prompts and answers; `tasks` has weights of tasks, or of one kind ("question: which image")
"""
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path

from ..config import read_json
from ..errors import expected
from . import items, retrieval

RECIPES = Path(__file__).parent / "recipes"
STAGES = ("language", "ul2", "vision", "tasks", "keys", "mixed")
SOURCES = ("packed", "denoise", "scenes", "items")
KIND = ": "  # between a task and its kind


@dataclass(frozen=True)
class Sizes:
    text: dict          # of config.json, encoder and decoder
    rope: dict          # bases of local and full layers, factor of the full ones
    vision: dict
    image_tokens: int
    initializer_range: float


@dataclass(frozen=True)
class Family:
    name: str
    source: str
    size: int           # samples a batch; of `lengths`: at the shortest, fewer of longer ones
    weight: float = 1.0
    tasks: dict = field(default_factory=dict)
    lengths: list = field(default_factory=list)  # shortest and longest, tokens
    growth: list = field(default_factory=lambda: [0.0, 0.0])  # parts of the stage: the longest grows from, to
    start: float = 0.0  # part of the stage before which it does not come


@dataclass(frozen=True)
class Stage:
    name: str
    steps: int
    learning_rate: float
    families: list
    warmup: int = 100
    vision_rate: float = 1.0  # of the learning rate
    schedule: int = 0  # steps that cosine, growth and start are made for where the stage stops sooner; 0: `steps`

    @property
    def planned(self) -> int:
        return self.schedule or self.steps


@dataclass(frozen=True)
class Recipe:
    name: str
    seed: int
    sizes: Sizes
    stages: list
    betas: list
    weight_decay: float
    clip: float           # of the gradient's norm
    last_rate: float      # of the learning rate, where its cosine ends
    checkpoint_every: int
    compile: bool
    bfloat16: bool        # compute; weights and their sums are float32

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    def up_to(self, name: str) -> dict:
        """What decides a stage's result: the recipe without the later stages."""
        everything = asdict(self)
        names = [stage.name for stage in self.stages]
        everything["stages"] = everything["stages"][:names.index(name) + 1]
        for without in ("name", "checkpoint_every", "compile"):
            del everything[without]
        return everything


def with_defaults(made_by: dict) -> dict:
    """What `up_to` said in a version that lacked some fields: they were what their defaults are now."""
    def filled(kind, value: dict) -> dict:
        return {entry.name: entry.default_factory() if entry.default is MISSING else entry.default
                for entry in fields(kind) if entry.name not in value
                and not entry.default is entry.default_factory is MISSING} | value
    stages = [filled(Stage, {**stage, "families": [filled(Family, family) for family in stage["families"]]})
              for stage in made_by["stages"]]
    return {**made_by, "stages": stages}


def read_recipe(name_or_file: str) -> Recipe:
    """One that comes with the tool, by its name, or a JSON file."""
    known = RECIPES / f"{name_or_file}.json"
    file = known if known.exists() else Path(name_or_file)
    recipe = read_fields(Recipe, read_json(file), file, "")
    check_stages(recipe, file)
    return recipe


def read_fields(kind, value, file, where: str):
    """A dataclass from a JSON object: every field of the right type, and nothing else."""
    if not isinstance(value, dict):
        raise expected(file, where or "content", "an object", value)
    known = {entry.name: entry for entry in fields(kind)}
    for name in value:
        if name not in known:
            raise expected(file, where + name, f"only {', '.join(known)}", "this field")
    read = {}
    for name, entry in known.items():
        if name in value:
            read[name] = read_field(entry.type, value[name], file, where + name)
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise expected(file, where + name, f"a value ({entry.type.__name__})", "nothing")
    return kind(**read)


def read_field(kind, value, file, where: str):
    if kind is Sizes:
        return read_fields(Sizes, value, file, f"{where}.")
    right = is_number(value) and value >= 0 if kind is float else type(value) is kind and (kind is not int or value >= 0)
    if not right:
        raise expected(file, where, f"a value of type {kind.__name__}", value)
    parts = {"stages": Stage, "families": Family}.get(where.rpartition(".")[2])
    if parts is None:
        return value
    return [read_fields(parts, part, file, f"{where}[{i}].") for i, part in enumerate(value)]


def check_stages(recipe: Recipe, file) -> None:
    names = tuple(stage.name for stage in recipe.stages)
    if len(recipe.betas) != 2 or not all(is_number(beta) and 0 <= beta < 1 for beta in recipe.betas):
        raise expected(file, "betas", "two numbers from 0, below 1", recipe.betas)
    if names != STAGES:
        raise expected(file, "stages", f"{', '.join(STAGES)}", ", ".join(names))
    for stage in recipe.stages:
        if not stage.families or stage.steps < 1:
            raise expected(file, f"stage {stage.name}", "a step and a family at least", f"{stage.steps} steps")
        if stage.planned < stage.steps:
            raise expected(file, f"stage {stage.name}: schedule", f"0, or its {stage.steps} steps at least", stage.schedule)
        if not any(family.weight > 0 and family.start == 0 for family in stage.families):
            raise expected(file, f"stage {stage.name}", "a family of some weight that starts at 0", "none")
        for family in stage.families:
            check_family(family, file, f"stage {stage.name}: {family.name}")


def check_family(family: Family, file, where: str) -> None:
    if family.source not in SOURCES:
        raise expected(file, f"{where}: source", f"one of {', '.join(SOURCES)}", family.source)
    if family.size < 1:
        raise expected(file, f"{where}: size", "a sample at least", family.size)
    if family.source == "items" and not family.tasks:
        raise expected(file, f"{where}: tasks", "a task at least", "none")
    check_numbers(family, file, where)
    if family.source == "items" and not has_weight(family.tasks.values()):
        raise expected(file, f"{where}: tasks", "weights from 0, one above 0", family.tasks)
    for name in family.tasks:
        task, _, kind = name.partition(KIND)
        if task not in items.TASKS:
            raise expected(file, f"{where}: tasks", f"one of {', '.join(items.TASKS)}", task)
        if kind and kind not in items.KINDS[task]:
            raise expected(file, f"{where}: tasks: {task}", f"one of {'; '.join(items.KINDS[task])}", kind)
        if family.lengths:
            check_lengths(family, task, kind or None, file, f"{where}: lengths")


def has_weight(weights) -> bool:
    """Numbers from 0, of which one is above."""
    known = [is_number(weight) and weight >= 0 for weight in weights]
    return all(known) and any(weight > 0 for weight in weights)


def is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_numbers(family: Family, file, where: str) -> None:
    """Lengths and growth; texts of no length cannot be packed or denoised."""
    lengths, growth, text = family.lengths, family.growth, family.source in ("packed", "denoise")
    rising = len(lengths) == 2 and all(type(one) is int for one in lengths) and int(text) <= lengths[0] <= lengths[1]
    if not rising and (lengths or text):
        raise expected(file, f"{where}: lengths", f"{'' if text else 'none, or '}shortest and longest", lengths)
    if len(growth) != 2 or not all(map(is_number, growth)) or not (growth == [0, 0] or 0 <= growth[0] < growth[1] <= 1):
        raise expected(file, f"{where}: growth", "where in the stage it begins and ends, from 0 to 1", growth)


def check_lengths(family: Family, task: str, kind: str | None, file, where: str) -> None:
    """Items have a length in retrieval alone, and there all needles of the kind fit into the shortest."""
    if task != "retrieval":
        raise expected(file, where, f"none for {task}", family.lengths)
    shortest, longest = family.lengths
    if shortest == 0 < longest:
        raise expected(file, where, "0 as the longest, too", longest)
    if not retrieval.fits(kind, shortest):
        raise expected(file, where, retrieval.lengths_of(kind), shortest)
