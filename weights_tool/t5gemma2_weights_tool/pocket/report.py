"""`weights_tool report`: plots and the model card, from a training folder and what `evaluate` wrote."""
from pathlib import Path
from random import Random

from .. import markdown
from ..config import read_json
from ..console import say
from ..errors import UserError, expected
from . import items, plots, retrieval
from .files import read_losses, write_file
from .recipe import STAGES
from .results import below_aim, by_length, by_task, percent, read_evaluation

CARD, PAGE = (Path(__file__).parent / name for name in ("card.md", "report.md"))


def read_stages(training: Path) -> dict[str, list[dict]]:
    stages = {name: read_losses(training / name / "loss.jsonl") for name in STAGES}
    for name, losses in stages.items():
        if not losses:
            raise expected(training / name / "loss.jsonl", "losses", "a line for each step", "none")
    return stages


def write_page(result: dict, stages: dict[str, list[dict]], folder: Path) -> None:
    """The plots, and README.md that shows them."""
    folder.mkdir(parents=True, exist_ok=True)
    plots.loss_curves(stages, folder / "loss.svg")
    plots.accuracy_bars(*zip(*by_task(result)), folder / "accuracy.svg")
    lengths = by_length(result)
    plots.accuracy_by_length(lengths, folder / "length.svg")
    page = PAGE.read_text(encoding="utf-8").format(
        steps=f"{sum(map(len, stages.values())):,}", items=result["items"], agreement=agreement(result),
        missed=missed(result), accuracy=accuracy_table(result), lengths=length_table(lengths))
    write_file(folder / "README.md", page.encode())
    say(f"{folder}: README.md, loss.svg, accuracy.svg, length.svg")


def length_table(kinds: dict[str, list[tuple[int, float]]]) -> str:
    """A row for each kind of retrieval, a column for each length."""
    lengths = [length for length, _ in next(iter(kinds.values()))]
    rows = [[kind, *(f"{right:.1f} %" for _, right in points)] for kind, points in kinds.items()]
    return markdown.table(["retrieval", *(f"{length} tokens" for length in lengths)], rows)


def accuracy_table(result: dict) -> str:
    rows = [[group["task"], group["kind"], group["length"] or "", group["items"], f"{percent(group):.1f} %"]
            for group in result["groups"]]
    return markdown.table(["task", "kind", "input tokens", "items", "exactly right"], rows)


def missed(result: dict) -> str:
    """A sentence on what the model does not do as well as it was meant to."""
    parts = [f"{name} {right:.1f} % ({aim} %)" for name, right, aim in below_aim(result)]
    if not parts:
        return "Nothing is below what was aimed at."
    hops = " The text of a hop holds two chains: a guess between their codes is right half of the time."
    return f"Below what was aimed at (in brackets): {', '.join(parts)}.{hops if 'hop' in str(parts) else ''}"


def examples() -> str:
    """A held-out item of each kind; the codes of retrieval without the text that they are hidden in."""
    rows = []
    for task, kinds in items.KINDS.items():
        for kind in kinds:
            item = items.draw(task, Random(f"{task} {kind}"), True, kind, 0 if task == "retrieval" else None)
            rows.append([task, kind, f"`{item.prompt}`", f"`{item.answer}`"])
    return markdown.table(["task", "kind", "prompt", "answer"], rows)


def agreement(result: dict) -> str:
    """Whether engine and transformers made the same tokens, and how near the others were."""
    different = [one for group in result["groups"] for one in group["different"]]
    count = sum(group["items"] for group in result["groups"])
    if not different:
        return f"The tokens are those of transformers on all {count:,} items."
    widest = max(one["margin"] for one in different)
    return (f"The tokens are those of transformers on {count - len(different):,} of {count:,} items; where they part, "
            f"its logits of the two tokens differ by {widest:.2g} at most.")


def write_card(result: dict, stages: dict[str, list[dict]], recipe: dict, model: Path) -> None:
    """README.md of the model's folder."""
    text = recipe["sizes"]["text"]
    seconds = {name: sum(line["seconds"] for line in losses) for name, losses in stages.items()}
    rows = [f"| {name} | {len(losses):,} | {sum(line['samples'] for line in losses):,} | {seconds[name] / 60:.0f} |"
            for name, losses in stages.items()]
    card = CARD.read_text(encoding="utf-8").format(
        recipe=recipe["name"], seed=recipe["seed"], hidden=text["hidden_size"], layers=text["num_hidden_layers"],
        window=text["sliding_window"], image_size=recipe["sizes"]["vision"]["image_size"],
        image_tokens=recipe["sizes"]["image_tokens"], stages="\n".join(rows),
        minutes=f"{sum(seconds.values()) / 60:.0f}", accuracy=accuracy_table(result), agreement=agreement(result),
        missed=missed(result), examples=examples(),
        through="the C++ engine" if result["through"] == "engine" else "transformers")
    write_file(model / "README.md", card.encode())
    say(f"{model / 'README.md'}: written")


def report(training: Path, evaluation: Path, *, output: Path | None, model: Path | None) -> None:
    result, stages = read_evaluation(evaluation), read_stages(training)
    if not any(group["length"] == retrieval.TRAINED for group in result["groups"]):
        raise expected(evaluation, "groups", f"retrieval from {retrieval.TRAINED} tokens, too", "none")
    if output and model and output.resolve() == model.resolve():
        raise UserError(f"report: -o and --model: expected two folders, found {output} twice")
    if output:
        write_page(result, stages, output)
    if model:
        write_card(result, stages, read_json(training / "recipe.json"), model)
