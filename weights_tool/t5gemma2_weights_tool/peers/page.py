"""docs/benchmarks.md and its picture, from the figures of a run."""
from pathlib import Path

from ..errors import UserError
from . import measure
from .plot import write_plot
from .tables import Figures, threads_text

PAGE = Path(__file__).parent / "page.md"


def tables_by_threads(figures: Figures) -> str:
    return "\n\n".join(f"### {threads_text(threads).capitalize()}\n\n{figures.speeds(threads)}\n\n{figures.ratios(threads)}"
                       for threads in figures.known["threads"])


def page(figures: Figures, picture: str) -> str:
    """The text."""
    known = figures.known
    return PAGE.read_text(encoding="utf-8").format(
        processor=known["processor"], isa=known["isa"], busy=known["busy"], model=known["model"], steps=known["steps"],
        threads=" and ".join(map(threads_text, known["threads"])), most_threads=threads_text(max(known["threads"])),
        limits=figures.limits(), versions=figures.versions(), repeats=figures.repeats, picture=picture,
        speeds=tables_by_threads(figures), agreement=figures.agreement(alone=False), alone=figures.alone(),
        agreement_alone=figures.agreement(alone=True), images=figures.images(), process=figures.process(),
        long=figures.long_inputs(), long_out=measure.LONG_OUT,
        texts=figures.texts(), shortest=measure.TEXT_IDS[0], longest=measure.TEXT_IDS[1], rounds=measure.TEXT_ROUNDS,
        forced=measure.FORCED, encoded=measure.ENCODED, prompt=measure.PROMPT, last_alone=measure.LAST_ALONE,
        before_alone=measure.FORCED_ALONE - measure.LAST_ALONE, first=measure.FIRST, memory_out=measure.MEMORY_OUT,
        slow=measure.SLOW, tokenizer="with a tokenizer" if known["tokenizer"] else "without a tokenizer")


def write_page(known: dict, file: Path) -> None:
    """The page, and the picture beside it."""
    figures, picture = Figures(known), file.with_suffix(".svg")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_plot(figures, picture)
        file.write_text(page(figures, picture.name), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file}: cannot write: {error.strerror}") from None
