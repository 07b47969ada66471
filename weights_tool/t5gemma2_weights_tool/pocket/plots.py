"""Plots of a training run and its evaluation, as small SVG files that come out the same each time."""
from itertools import cycle
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "pocket", "svg.fonttype": "none", "font.size": 9, "axes.grid": True,
                            "grid.color": "#dddddd", "axes.spines.top": False, "axes.spines.right": False,
                            "figure.constrained_layout.use": True})

from matplotlib import pyplot  # noqa: E402

from ..errors import UserError  # noqa: E402

POINTS = 100  # of a curve: means over as many stretches of the stage
COLOURS = ("#2962d6", "#d63031", "#2e9e4f", "#863eac", "#f08c20", "#17a2b8")
LINES = tuple({"color": colour, "linestyle": style, "linewidth": 1} for style in ("-", "--", ":") for colour in COLOURS)
COLUMNS = 2  # of panels


def save(figure, file: Path) -> None:
    try:
        figure.savefig(file, metadata={"Date": None})
    except OSError as error:
        raise UserError(f"{file}: cannot write: {error.strerror}") from None
    finally:
        pyplot.close(figure)


def curve(losses: list[dict], steps: int) -> tuple[list[float], list[float]]:
    """Mean step and mean loss of every stretch that has any."""
    stretches: dict[int, list[dict]] = {}
    for line in losses:
        stretches.setdefault(line["step"] * POINTS // steps, []).append(line)
    return tuple([sum(line[name] for line in part) / len(part) for part in stretches.values()]
                 for name in ("step", "loss"))


def loss_curves(stages: dict[str, list[dict]], file: Path) -> None:
    """One panel a stage, one curve for each family of batches."""
    rows = -(-len(stages) // COLUMNS)
    figure, panels = pyplot.subplots(rows, COLUMNS, figsize=(5.2 * COLUMNS, 2.8 * rows), squeeze=False)
    for panel, (stage, losses) in zip(panels.flat, stages.items()):
        steps = losses[-1]["step"] + 1
        for line, family in zip(cycle(LINES), sorted({line["family"] for line in losses})):
            panel.plot(*curve([one for one in losses if one["family"] == family], steps), label=family, **line)
        panel.set(title=stage, xlabel="step", ylabel="loss", yscale="log")
        panel.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    for panel in panels.flat[len(stages):]:
        panel.remove()
    save(figure, file)


def accuracy_bars(names: list[str], percents: list[float], file: Path) -> None:
    figure, panel = pyplot.subplots(figsize=(6, 0.6 + 0.19 * len(names)))
    bars = panel.barh(names[::-1], percents[::-1], color=COLOURS[0], height=0.7)
    panel.bar_label(bars, fmt="%.1f", padding=2, fontsize=7)
    panel.set(xlim=(0, 106), xlabel="held-out items answered exactly right, %")
    panel.grid(axis="y", visible=False)
    panel.tick_params(axis="y", labelsize=7)
    panel.margins(y=0.01)
    save(figure, file)


def accuracy_by_length(kinds: dict[str, list[tuple[int, float]]], file: Path) -> None:
    """A curve for each kind of retrieval; the first length is the longest that was trained."""
    figure, panel = pyplot.subplots(figsize=(5, 3))
    for line, (kind, points) in zip(cycle(LINES), kinds.items()):
        panel.plot(*zip(*points), marker="o", markersize=4, label=kind, **line)
    against_length(panel, sorted({length for points in kinds.values() for length, _ in points}))
    panel.legend(frameon=False)
    save(figure, file)


def against_length(panel, lengths: list[int]) -> None:
    """The axes of accuracy against the length of the input."""
    panel.set(xscale="log", xlabel="tokens of the input (the first length is the longest trained on)",
              ylabel="exactly right, %", ylim=(-3, 103))
    panel.set_xticks(lengths, [str(length) for length in lengths])
    panel.minorticks_off()
