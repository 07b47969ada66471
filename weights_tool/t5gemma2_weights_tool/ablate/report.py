"""The report of `weights_tool ablate`: README.md with its plots, from all results under the output folder."""
from itertools import cycle
from pathlib import Path
from statistics import mean

from ..config import read_json
from ..console import say
from ..markdown import table
from ..pocket.files import write_file, write_json
from ..pocket.plots import COLUMNS, LINES, against_length, pyplot, save
from ..pocket.recipe import STAGES
from . import results
from .plan import FILE as PLAN
from .variants import VARIANTS

PAGE = Path(__file__).parent / "report.md"
BASE = "base"
PAPER = {"untied": "+0.1", "split": "+0.3", "global-cross": "-1.3"}  # points from base, of models of 2B a side
Found = dict[str, list[dict]]  # by variant, one of each seed


def score_table(found: Found) -> str:
    """Parameters and score of each variant, and how far it is from base."""
    base, rows = found.get(BASE, []), []
    for name, runs in found.items():
        row = [name, VARIANTS[name].what, f"{runs[0]['parameters']:,}", "",
               results.spread([results.score(one) for one in runs]), "", "", PAPER.get(name, "")]
        if base and name != BASE:
            row[3] = f"{100 * (runs[0]['parameters'] / base[0]['parameters'] - 1):+.1f} %"
            row[5:7] = from_base(results.differences(runs, base))
        rows.append(row)
    return table(["variant", "what", "parameters", "from base", "score", "points from base", "more than noise?", "in the paper"],
                 rows)


def task_table(found: Found) -> str:
    tasks = list(results.by_task(next(iter(found.values()))[0]))
    return table(["variant", *tasks], [[name, *(results.spread([results.by_task(one)[task] for one in runs]) for task in tasks)]
                                       for name, runs in found.items()])


def length_table(found: Found) -> str:
    """Retrieval, its kinds together; at the longest length with the distance from base."""
    lengths, base = sorted(results.retrieval(next(iter(found.values()))[0])), found.get(BASE, [])
    rows = []
    for name, runs in found.items():
        row = [name, *(results.spread([results.retrieval(one)[length] for one in runs]) for length in lengths), "", ""]
        if base and name != BASE:
            row[-2:] = from_base(results.differences(runs, base, lambda one: results.retrieval(one)[lengths[-1]]))
        rows.append(row)
    return table(["variant", *(f"{length} tokens" for length in lengths), "points from base", "more than noise?"], rows)


def from_base(change: list[float]) -> list[str]:
    return [f"{mean(change):+.1f}" if change else "", results.verdict(change)]


def seconds_table(found: Found) -> str:
    """Seconds a step of each stage, and minutes of all."""
    rows = []
    for name, runs in found.items():
        trained = [one["training"] for one in runs]
        cells = [f"{mean(one[stage]['seconds_per_step'] for one in trained):.2f}" if stage in trained[0] else ""
                 for stage in STAGES]
        minutes = mean(sum(part["steps"] * part["seconds_per_step"] for part in one.values()) for one in trained) / 60
        rows.append([name, *cells, f"{minutes:.1f}"])
    return table(["seconds a step", *STAGES, "minutes"], rows, numbers=True)


def remarks(found: Found) -> str:
    """On what is counted, and what is missing."""
    parts = [f"`{name}` has norms of its own around its cross-attention, {runs[0]['extra_norms']:,} parameters, which the paper's "
             "arithmetic and `t5gemma2-inspect` leave out." for name, runs in found.items() if runs[0]["extra_norms"]]
    missing = [name for name in VARIANTS if name not in found]
    if missing:
        parts.append(f"Not measured yet: {', '.join(missing)}.")
    return " ".join(parts)


def items_text(found: Found) -> str:
    counts = sorted({one["items"] for runs in found.values() for one in runs})
    if len(counts) == 1:
        return f"{counts[0]} held-out items of each kind, the same for all"
    return f"{' or '.join(map(str, counts))} held-out items of each kind (not as many for all: the same `-n` measures all again)"


def plot_tasks(found: Found, file: Path) -> None:
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


def plot_lengths(found: Found, file: Path) -> None:
    figure, panel = pyplot.subplots(figsize=(6, 3.4))
    for (name, runs), line in zip(found.items(), cycle(LINES)):
        each = [results.retrieval(one) for one in runs]
        lengths = sorted(each[0])
        means = [mean(one[length] for one in each) for length in lengths]
        panel.plot(lengths, means, marker="o", markersize=3, label=name, **line)
        panel.fill_between(lengths, [min(one[length] for one in each) for length in lengths],
                           [max(one[length] for one in each) for length in lengths], color=line["color"], alpha=0.12)
    against_length(panel, lengths)
    panel.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, file)


def plot_losses(found: Found, file: Path) -> None:
    """A panel a stage; a curve is the mean over the seeds."""
    rows = -(-len(STAGES) // COLUMNS)
    figure, panels = pyplot.subplots(rows, COLUMNS, figsize=(4.6 * COLUMNS, 2.6 * rows), squeeze=False)
    for panel, stage in zip(panels.flat, STAGES):
        for (name, runs), line in zip(found.items(), cycle(LINES)):
            curves = [one["training"][stage]["losses"] for one in runs if stage in one["training"]]
            if curves:
                panel.plot(curves[0]["step"], [mean(values) for values in zip(*(one["loss"] for one in curves))],
                           label=name, **line)
        panel.set(title=stage, xlabel="step", ylabel="loss", yscale="log")
    figure.legend(*panels.flat[-1].get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center",
                  ncols=len(found))
    save(figure, file)


def write_report(folder: Path) -> None:
    """ablation.json, README.md and its plots; of what is measured so far."""
    found, plan = results.collected(folder), read_json(folder / PLAN)
    if not found:
        return
    write_json(folder / "ablation.json", {"plan": plan, "variants": found})
    plot_tasks(found, folder / "tasks.svg")
    plot_lengths(found, folder / "length.svg")
    plot_losses(found, folder / "loss.svg")
    minutes, seeds = plan["asked"].get("minutes"), sorted({one["seed"] for runs in found.values() for one in runs})
    page = PAGE.read_text(encoding="utf-8").format(
        recipe=plan["recipe"]["name"], steps=f"{sum(stage['steps'] for stage in plan['recipe']['stages']):,}",
        scaled=f"as many as were to fit into {minutes:g} minutes" if minutes else "as the recipe says",
        seeds=f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}: mean ± standard deviation",
        items=items_text(found), scores=score_table(found), remarks=remarks(found), tasks=task_table(found),
        lengths=length_table(found), training=seconds_table(found))
    write_file(folder / "README.md", page.encode())
    say(f"{folder}: README.md, ablation.json, tasks.svg, length.svg, loss.svg")
