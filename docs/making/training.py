"""How the models were trained: UL2's denoisers at work, and the pocket model's recipe."""
import ast
from functools import cache
from pathlib import Path
from random import Random
from statistics import mode

import numpy as np

from repository import ROOT
from t5gemma2_weights_tool.markdown import table

IDS = 1000  # the length of the text whose spans the table counts
LINES = 3
SEED = 103  # of the sentences: short ones, of which every denoiser hides something to look at
TOLERANCE = 0.03


def parts_of_text() -> list[tuple[str, object]]:
    """The four denoisers with sentinels, and the one without (None), with names for the page."""
    from t5gemma2_weights_tool.pocket import ul2
    names = [f"mean span {one.mean_span}, {one.hidden:.0%} hidden" for one in ul2.SPANS]
    return [*zip(names, ul2.SPANS), (f"the last {ul2.PREFIX_HIDDEN:.0%}", None)]


def mean_spans(denoiser) -> float:
    """How many spans it hides in a text of IDS ids; the code is asked often enough to be sure of the mean."""
    from t5gemma2_weights_tool.pocket import ul2
    rng, ids, sentinels = np.random.default_rng(SEED), np.arange(IDS), -1 - np.arange(IDS)
    targets = [ul2.spans(ids, rng, sentinels, denoiser)[1] for _ in range(400)]
    expected = IDS * denoiser.hidden / denoiser.mean_span
    assert abs(np.mean([(target < 0).sum() for target in targets]) / expected - 1) < TOLERANCE
    assert abs(np.mean([(target >= 0).sum() for target in targets]) / IDS - denoiser.hidden) < TOLERANCE
    return expected


def denoisers() -> str:
    """Span, hidden part, number of spans and weight of each denoiser."""
    from t5gemma2_weights_tool.pocket import ul2
    rows = [[number, one.mean_span, f"{one.hidden:.0%}", f"{mean_spans(one):.1f}", 1]
            for number, one in enumerate(ul2.SPANS, 1)]
    rng, ids, sentinels = np.random.default_rng(SEED), np.arange(IDS), -1 - np.arange(IDS)
    alone = [ul2.denoise(ids, rng, sentinels)[1].min() >= 0 for _ in range(4000)]
    share = ul2.PREFIX_WEIGHT / (len(ul2.SPANS) + ul2.PREFIX_WEIGHT)
    assert abs(np.mean(alone) - share) < TOLERANCE
    kept, hidden = ul2.prefix(ids)
    assert len(hidden) == IDS * ul2.PREFIX_HIDDEN and np.array_equal(np.concatenate([kept, hidden]), ids)
    rows.append([len(rows) + 1, f"{ul2.PREFIX_HIDDEN:g} L", f"{ul2.PREFIX_HIDDEN:.0%}", "1, the end of the text",
                 ul2.PREFIX_WEIGHT])
    return table(["", "mean span", "hidden", "spans in 1,000 ids", "weight"], rows)


@cache
def tokenizer():
    """The pocket model's, by Hugging Face's library."""
    from tokenizers import Tokenizer
    return Tokenizer.from_file(str(ROOT / "examples/pocket/tokenizer.json"))


def example_text() -> str:
    """Some sentences of the pocket model's training texts."""
    from t5gemma2_weights_tool.pocket.items import plain_sentence
    rng = Random(SEED)
    return "\n".join(plain_sentence(rng) for _ in range(LINES))


def shown(ids: np.ndarray, between: str = "") -> str:
    """Text of ids behind a margin, sentinels as they are called; `between` stands before every sentinel but the first."""
    pieces = "".join(tokenizer().id_to_token(int(one)) for one in ids).replace("▁", " ")
    first, *others = pieces.split("<unused")
    lines = f"{first}{'<unused' if others else ''}{f'{between}<unused'.join(others)}".splitlines()
    assert max(map(len, lines)) < 70
    return "\n".join(f"  {line}" for line in lines)


def whole(source: np.ndarray, target: np.ndarray, sentinels: np.ndarray) -> list[int]:
    """The text: each sentinel of the input replaced by what follows it in the target."""
    places = np.flatnonzero(np.isin(target, sentinels))
    if not len(places):
        return [*source, *target]
    spans = {int(span[0]): span[1:] for span in np.split(target, places[1:])}
    return [int(one) for place in source for one in spans.get(int(place), [place])]


def examples() -> str:
    """A text, and what each denoiser makes of it; asserts that input and target together are the text."""
    from t5gemma2_weights_tool.pocket import ul2
    from t5gemma2_weights_tool.pocket.infilling import SENTINELS
    ids = np.array(tokenizer().encode(example_text()).ids[1:])
    sentinels = np.array([tokenizer().token_to_id(name) for name in SENTINELS])
    parts = [f"the text, {len(ids)} ids\n{shown(ids)}"]
    for number, (name, denoiser) in enumerate(parts_of_text(), 1):
        rng = np.random.default_rng(SEED + number)
        source, target = ul2.spans(ids, rng, sentinels, denoiser) if denoiser else ul2.prefix(ids)
        assert whole(source, target, sentinels) == ids.tolist()
        parts.append(f"{number}, {name}: input\n{shown(source)}\n{number}, target\n{shown(target, between=chr(10))}")
    return "\n".join(["```text", *parts, "```"])


def recipe():
    from t5gemma2_weights_tool.pocket.recipe import read_recipe
    return read_recipe("pocket")


def what_stages_do() -> dict[str, str]:
    """Stage -> what it does, from the opening comment of pipeline.py."""
    from t5gemma2_weights_tool.pocket import ul2
    text = ast.get_docstring(ast.parse(Path(ul2.__file__).with_name("pipeline.py").read_text()))
    return dict(line.split(maxsplit=1) for line in text.splitlines()[2:9])


def stages() -> str:
    """Steps and learning rate of each stage."""
    made = {stage.name: stage for stage in recipe().stages}
    rows = []
    for name, does in what_stages_do().items():
        stage = made.pop(name, None)
        steps = f"{stage.steps:,}" + (f" of {stage.schedule:,}" if stage.schedule else "") if stage else ""
        rows.append([name, steps, f"{stage.learning_rate:g}" if stage else "", does])
    assert not made
    return table(["stage", "steps", "learning rate", "what it does"], rows)


def families() -> str:
    """The families of batches of each stage: how often each comes, and of how many samples."""
    rows = []
    for stage in recipe().stages:
        total = sum(family.weight for family in stage.families)
        shares = [f"{family.name}: {family.weight / total:.0%}, {family.size}" for family in stage.families]
        rows.append([stage.name, "; ".join(shares)])
    return table(["stage", "batches: share, samples in each"], rows)


def settings() -> str:
    """What all stages share, in a sentence."""
    made = recipe()
    warmup = mode(stage.warmup for stage in made.stages)
    others = "".join(f" ({stage.warmup} in `{stage.name}`)" for stage in made.stages if stage.warmup != warmup)
    vision, = {stage.vision_rate for stage in made.stages if any(family.tasks for family in stage.families)}
    return (f"AdamW with betas {made.betas[0]} and {made.betas[1]}, weight decay {made.weight_decay} (of matrices alone), "
            f"gradients clipped at\nnorm {made.clip:g}. The learning rate rises for {warmup} steps{others}, "
            f"then falls\nalong half a cosine to {made.last_rate:.0%}; the vision tower has {vision} of it once it is "
            f"trained with the rest.\nInitial weights: standard deviation {made.sizes.initializer_range}.")
