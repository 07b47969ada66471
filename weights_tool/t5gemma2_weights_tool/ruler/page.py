"""The folder's page: README.md, ruler.svg and, for programs, ruler.json."""
from itertools import cycle
from pathlib import Path

from ..console import say
from ..pocket.files import write_file, write_json
from .results import MEAN, lengths, page_table, percent, results, rows, seconds
from .running import Run

TEMPLATE = Path(__file__).with_name("page.md")
MARKERS = "os^vD*PXh"  # hollow: curves that lie on each other are seen to
NOTE = """
The pocket model was trained on `single`, on `multi-key` and, in vain, on `two hops` (the text has two chains: a guess is right
half of the time), to 240 tokens; `multi-value` and `multi-query` ask for what it has never seen. Its wording has no families
for variables and for counting words.
"""


def write_page(run: Run) -> None:
    result = results(run)
    write_json(run.folder / "ruler.json", result)
    plot(result, run.folder / "ruler.svg")
    page = TEMPLATE.read_text(encoding="utf-8").format(
        **{name: result[name] for name in ("items", "wording", "form", "shots", "seed", "dtype")},
        model=run.model.resolve().name, note=NOTE if result["wording"] == "pocket" else "",
        scores=page_table(result, "score", percent), copied=page_table(result, "copied", percent),
        seconds=page_table(result, "seconds", seconds), examples="\n\n".join(examples(run)))
    write_file(run.folder / "README.md", page.encode())
    say(f"{run.folder}: README.md, ruler.svg, ruler.json")


def examples(run: Run) -> list[str]:
    """One of each family."""
    found = {}
    for group in run.groups:
        if group.family.name not in found:
            fitted = run.fitter.least(group, 0)
            parts = {"encoder": fitted.prompt.encoder, "decoder": fitted.prompt.decoder}
            shown = "\n\n".join(f"{name}:\n{text}" for name, text in parts.items() if text)
            found[group.family.name] = f"**{group.family.name}**, {fitted.item.wanted()}\n\n```text\n{shown}\n```"
    return list(found.values())


def plot(result: dict, file: Path) -> None:
    """A curve for each family, and a thick one for their mean."""
    from ..pocket.plots import LINES, pyplot, save
    figure, panel = pyplot.subplots(figsize=(6.5, 3.4))
    for line, marker, (name, values) in zip(cycle(LINES), cycle(MARKERS), rows(result, "score").items()):
        style = {"color": "black", "linewidth": 2} if name == MEAN else line
        panel.plot(lengths(result), values, marker=marker, markersize=5, markerfacecolor="none", label=name, **style)
    panel.set(xscale="log", xlabel="tokens", ylabel="score, %", ylim=(-3, 103))
    panel.set_xticks(lengths(result), [f"{length:,}" for length in lengths(result)])
    panel.minorticks_off()
    panel.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, file)
