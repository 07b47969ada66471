"""The report of `weights_tool ablate`: README.md with its plots, from all results under the output folder."""
from itertools import cycle
from pathlib import Path
from statistics import mean

from ..config import read_json
from ..console import say
from ..pocket.files import write_file
from ..pocket.plots import COLUMNS, LINES, pyplot, save
from ..pocket.recipe import STAGES
from . import results
from .variants import VARIANTS

PAGE = Path(__file__).parent / "report.md"
BASE = "base"
PAPER = {"untied": "tying: 10.5 % fewer parameters, 0.1 points lost", "split": "merging: 6.5 % fewer, 0.3 points lost",
         "global-cross": "1.3 points worse than base", "decoder-only": "RULER at 128K: 4.4 against 25.5"}
WITHOUT_FIGURE = "not measured there"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def scores(found: dict[str, list[dict]]) -> str:
    base = found.get(BASE, [])
    rows = []
    for name, runs in found.items():
        more = runs[0]["parameters"] / base[0]["parameters"] - 1 if base else 0
        change = results.differences(runs, base)
        rows.append([name, VARIANTS[name].what, f"{runs[0]['parameters']:,}", f"{100 * more:+.1f} %" if more else "",
                     results.spread([results.score(one) for one in runs]),
                     f"{mean(change):+.1f}" if change and name != BASE else "",
                     results.verdict(change) if name != BASE else "", PAPER.get(name, WITHOUT_FIGURE) if name != BASE else ""])
    return table(["variant", "what", "parameters", "against base", "score", "points from base", "", "in the paper"], rows)


def by_task(found: dict[str, list[dict]]) -> str:
    tasks = list(results.by_task(next(iter(found.values()))[0]))
    return table(["variant", *tasks], [[name, *(results.accuracy(runs, task) for task in tasks)]
                                       for name, runs in found.items()])


def by_length(found: dict[str, list[dict]]) -> str:
    lengths = sorted(results.retrieval(next(iter(found.values()))[0]))
    rows = [[name, *(results.spread([results.retrieval(one)[length] for one in runs]) for length in lengths)]
            for name, runs in found.items()]
    return table(["variant", *(f"{length} tokens" for length in lengths)], rows)


def training(found: dict[str, list[dict]]) -> str:
    rows = []
    for name, runs in found.items():
        stages = [{stage: one["training"].get(stage) for stage in STAGES} for one in runs]
        cells = [f"{mean(one[stage]['seconds_per_step'] for one in stages):.2f}" if stages[0][stage] else ""
                 for stage in STAGES]
        minutes = mean(sum(part["steps"] * part["seconds_per_step"] for part in one["training"].values()) for one in runs) / 60
        rows.append([name, *cells, f"{minutes:.1f}"])
    return table(["seconds a step", *STAGES, "minutes"], rows)


def extra_norms(found: dict[str, list[dict]]) -> str:
    parts = [f"The paper's arithmetic, as `t5gemma2-inspect` has it, leaves out the {runs[0]['extra_norms']:,} parameters of "
             f"{name}'s own norms; they are counted here." for name, runs in found.items() if runs[0]["extra_norms"]]
    missing = [name for name in VARIANTS if name not in found]
    if missing:
        parts.append(f"Not measured yet: {', '.join(missing)}.")
    return " ".join(parts)


def plot_tasks(found: dict[str, list[dict]], file: Path) -> None:
    """A group of bars for each task, a bar for each variant, its seeds as points."""
    tasks = list(results.by_task(next(iter(found.values()))[0]))
    figure, panel = pyplot.subplots(figsize=(9, 3.4))
    width = 0.8 / len(found)
    for i, ((name, runs), line) in enumerate(zip(found.items(), cycle(LINES))):
        places = [at + (i - (len(found) - 1) / 2) * width for at in range(len(tasks))]
        each = [[results.by_task(one)[task] for one in runs] for task in tasks]
        panel.bar(places, [mean(values) for values in each], width=0.9 * width, label=name, color=line["color"], alpha=0.6,
                  hatch="" if line["linestyle"] == "-" else "////", edgecolor="white", linewidth=0, zorder=2)
        for place, values in zip(places, each):
            panel.plot([place] * len(values), values, "k.", markersize=2, zorder=3)
    panel.set(ylabel="exactly right, %", ylim=(0, 103))
    panel.set_xticks(range(len(tasks)), tasks)
    panel.legend(frameon=False, fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.1))
    save(figure, file)


def plot_lengths(found: dict[str, list[dict]], file: Path) -> None:
    figure, panel = pyplot.subplots(figsize=(6, 3.4))
    for (name, runs), line in zip(found.items(), cycle(LINES)):
        each = [results.retrieval(one) for one in runs]
        lengths = sorted(each[0])
        means = [mean(one[length] for one in each) for length in lengths]
        panel.plot(lengths, means, marker="o", markersize=3, label=name, **line)
        panel.fill_between(lengths, [min(one[length] for one in each) for length in lengths],
                           [max(one[length] for one in each) for length in lengths], color=line["color"], alpha=0.12)
    panel.set(xscale="log", xlabel="tokens of the input (the first length is the longest trained on)",
              ylabel="exactly right, %", ylim=(-3, 103))
    panel.set_xticks(lengths, [str(length) for length in lengths])
    panel.minorticks_off()
    panel.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, file)


def plot_losses(found: dict[str, list[dict]], file: Path) -> None:
    """A panel a stage; a curve is the mean over the seeds."""
    rows = -(-len(STAGES) // COLUMNS)
    figure, panels = pyplot.subplots(rows, COLUMNS, figsize=(4.6 * COLUMNS, 2.6 * rows), squeeze=False)
    for panel, stage in zip(panels.flat, STAGES):
        for (name, runs), line in zip(found.items(), cycle(LINES)):
            curves = [curve for one in runs if stage in one["training"] for curve in [one["training"][stage]["losses"]]]
            if curves:
                panel.plot(curves[0]["step"], [mean(values) for values in zip(*(one["loss"] for one in curves))],
                           label=name, **line)
        panel.set(title=stage, xlabel="step", ylabel="loss", yscale="log")
    figure.legend(*panels.flat[-1].get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center",
                  ncols=len(found))
    save(figure, file)


def write_report(folder: Path) -> None:
    """ablation.json, README.md and its plots; of what is measured so far."""
    found, plan = results.collected(folder), read_json(folder / "plan.json")
    if not found:
        return
    write_file(folder / "ablation.json", results.as_json(folder))
    plot_tasks(found, folder / "tasks.svg")
    plot_lengths(found, folder / "length.svg")
    plot_losses(found, folder / "loss.svg")
    asked, seeds = plan["asked"], max(map(len, found.values()))
    page = PAGE.read_text(encoding="utf-8").format(
        recipe=plan["recipe"]["name"], steps=f"{sum(stage['steps'] for stage in plan['recipe']['stages']):,}",
        scaled=f"as many as fit into {asked['minutes']:g} minutes" if asked["minutes"] else "as the recipe says",
        seeds="one seed" if seeds == 1 else f"up to {seeds} seeds, mean ± standard deviation",
        items=next(iter(found.values()))[0]["items"], scores=scores(found), missing=extra_norms(found), tasks=by_task(found),
        lengths=by_length(found), training=training(found))
    write_file(folder / "README.md", page.encode())
    say(f"{folder}: README.md, ablation.json, tasks.svg, length.svg, loss.svg")
