"""Speed against length, as a small SVG file."""
from itertools import cycle
from pathlib import Path

from ..pocket.plots import COLOURS, pyplot, save
from .engines import OURS
from .tables import Figures, threads_text

STYLES = ("--", ":", "-.")


def lines(engines: list[str]) -> dict[str, dict]:
    """A colour for each program, a style for each of its precisions; ours is thick."""
    colours, styles, found = cycle(COLOURS), {}, {}
    for engine in engines:
        name = engine.split()[0]
        if name not in styles:
            styles[name] = (next(colours), cycle(("-", *STYLES) if name == OURS else STYLES))
        colour, own = styles[name]
        found[engine] = {"color": colour, "linestyle": next(own), "linewidth": 2 if name == OURS else 1}
    return found


def write_plot(figures: Figures, file: Path) -> None:
    """A panel for encoding and one for decoding, with the most threads."""
    lengths, threads = figures.known["lengths"], max(figures.known["threads"])
    drawn, panels = pyplot.subplots(1, 2, figsize=(8, 3.4))
    for panel, what in zip(panels, ("encode", "decode")):
        for engine, line in lines(figures.engines("encode")).items():
            panel.plot(lengths, [figures.rates[engine, what, length, threads] for length in lengths], marker="o",
                       markersize=3, label=engine, **line)
        panel.set(title=f"{what}, {threads_text(threads)}", xscale="log", xlabel="tokens of the input", ylabel="tok/s")
        panel.set_ylim(bottom=0)
        panel.set_xticks(lengths, [str(length) for length in lengths])
        panel.minorticks_off()
    drawn.legend(*panels[0].get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=3)
    save(drawn, file)
