"""The figures of a run as tables of Markdown."""
from functools import partial
from statistics import median

from .. import markdown
from .engines import OURS, REFERENCE
from .measure import PROMPT

NONE = ""
OFF = "off by"


table = partial(markdown.table, numbers=True)


def rate(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def threads_text(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"


class Figures:
    """What `measure` gives."""

    def __init__(self, known: dict) -> None:
        self.known = known
        self.rates = {(row["engine"], row["what"], row["length"], row["threads"]): row["tokens"] / median(row["seconds"])
                      for row in known["times"]}
        self.off = {(row["engine"], row["alone"]): f"{row['mean']:.1g}" for row in known["agreement"]}
        self.off[REFERENCE, False] = "0"
        self.repeats = max(len(row["seconds"]) for row in known["times"])

    def engines(self, *whats: str) -> list[str]:
        return list(dict.fromkeys(row["engine"] for row in self.known["times"] if row["what"] in whats))

    def pairs(self, *whats: str) -> list[tuple[str, str]]:
        """Ours, and another; of two that are ours, the later beside the earlier."""
        engines = self.engines(*whats)
        ours = [engine for engine in engines if engine.split()[0] == OURS]
        return [(one, other) for i, one in enumerate(ours) for other in engines if other not in ours[i:]]

    def columns(self) -> list[tuple[str, int]]:
        return [(what, length) for what in ("encode", "decode") for length in self.known["lengths"]]

    def ratio(self, ours: str, other: str, *place) -> float | None:
        a, b = self.rates.get((ours, *place)), self.rates.get((other, *place))
        return a / b if a and b else None

    def speeds(self, threads: int) -> str:
        head = ["tok/s", *(f"{what} {'after ' if what == 'decode' else ''}{length}" for what, length in self.columns()), OFF]
        return table(head, ([engine, *(rate(self.rates.get((engine, *column, threads))) for column in self.columns()),
                             self.off.get((engine, False), NONE)] for engine in self.engines("encode")))

    def ratios(self, threads: int) -> str:
        head = ["ours / other", *(f"{what} {length}" for what, length in self.columns())]
        return table(head, ([f"{ours} / {other}", *(ratio_text(self.ratio(ours, other, *column, threads))
                                                    for column in self.columns())]
                            for ours, other in self.pairs("encode")))

    def alone_columns(self) -> list[tuple[str, int, int]]:
        return [(what, PROMPT, threads) for threads in self.known["threads"] for what in ("read alone", "decode alone")]

    def alone(self) -> str:
        columns = self.alone_columns()
        head = [f"{what.split()[0]}, {threads_text(threads)}" for what, _, threads in columns]
        speeds = ([engine, *(rate(self.rates.get((engine, *column))) for column in columns),
                   self.off.get((engine, True), NONE)]
                  for engine in self.engines("read alone"))
        ratios = ([f"{ours} / {other}", *(ratio_text(self.ratio(ours, other, *column)) for column in columns)]
                  for ours, other in self.pairs("read alone"))
        return f"{table(['tok/s', *head, OFF], speeds)}\n\n{table(['ours / other', *head], ratios)}"

    def images(self) -> str:
        place = ("image", 1, max(self.known["threads"]))
        rows = [[engine, f"{1 / self.rates[(engine, *place)]:.1f}"] for engine in self.engines("image")]
        rows += [[f"{ours} / {other}, as speeds", ratio_text(self.ratio(ours, other, *place))]
                 for ours, other in self.pairs("image")]
        return table(["", "seconds"], rows) if rows else "Not measured in this run."

    def agreement(self, alone: bool) -> str:
        return table(["nats", "mean", "at most"], ([row["engine"], f"{row['mean']:.2g}", f"{row['max']:.2g}"]
                                                   for row in self.known["agreement"] if row["alone"] == alone))

    def process(self) -> str:
        return table(["", "first token, s", "peak memory, MB"],
                     ([engine, f"{seconds:.2f}", f"{self.known['peak_memory'][engine]:,.0f}"]
                      for engine, seconds in self.known["first_token"].items()))

    def long_inputs(self) -> str:
        rows = [[f"{row['length']:,}", threads_text(row["threads"]), rate(row["encode"]), rate(row["decode"]),
                 f"{row['seconds']:,.0f}", f"{row['memory']:,.0f}"] for row in self.known.get("long", [])]
        head = ["tokens in", "", "encode, tok/s", "decode, tok/s", "the whole, s", "peak memory, MB"]
        return table(head, rows) if rows else "Not measured in this run."

    def texts(self) -> str:
        """How fast each engine embeds many texts; of transformers every number of texts at once."""
        known = self.known.get("many_texts")
        if not known:
            return "Not measured in this run."
        rates = {(row["engine"], row["batch"]): known["tokens"] / median(row["seconds"]) for row in known["rows"]}
        ours = next(value for (engine, _), value in rates.items() if engine.split()[0] == OURS)
        rows = [[engine, f"{batch} at once, sorted by length, padded" if batch else "no padding", rate(value),
                 NONE if value == ours else f"{ours / value:.2f}"] for (engine, batch), value in rates.items()]
        return (f"{known['texts']:,} texts, {known['tokens']:,} tokens, {threads_text(known['threads'])}:\n\n" +
                table(["", "texts", "tok/s", "ours / other"], rows))

    def limits(self) -> str:
        return table(["at most", "GFLOP/s in registers", "GB/s read"],
                     ([threads_text(row["threads"]), f"{row['flops_per_second'] / 1e9:.0f}",
                       f"{row['bytes_per_second'] / 1e9:.1f}"] for row in self.known["limits"]))

    def versions(self) -> str:
        return "\n".join(f"- {name}: {version}" for name, version in self.known["versions"].items())


def ratio_text(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"
