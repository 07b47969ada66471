"""`weights_tool precision`: what each --dtype of the engine costs on texts, against its own float32.

A text is cut into pieces of ids, each read on its own. The decoder is given a piece without encoder input, or the
encoder its first half and the decoder the second; <bos> stands in front of either side's ids. Compared are the
distributions of the next token that t5gemma2-trace writes.
"""
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open

from .console import bar
from .errors import UserError, expected
from .flags import add_command, add_model, positive

PRECISIONS = ("float32", "bfloat16", "int8")  # the first is what the others are held against
ROWS = 16  # of logits in memory at a time: 33 MB of float64 where the vocabulary has 262,144 pieces


@dataclass
class Cost:
    """What a precision costs over some tokens of a text."""
    tokens: int = 0
    kl: float = 0        # sum of KL divergences from float32, in nats
    same: int = 0        # tokens whose most likely one is float32's
    largest: float = 0   # |difference| of two log-probabilities, over the whole vocabulary
    surprise: float = 0  # sum of -log p of the text's own tokens

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.tokens + other.tokens, self.kl + other.kl, self.same + other.same,
                    max(self.largest, other.largest), self.surprise + other.surprise)

    def means(self) -> dict[str, float]:
        return {"tokens": self.tokens, "kl": self.kl / self.tokens, "same": self.same / self.tokens,
                "largest": self.largest, "perplexity": float(np.exp(self.surprise / self.tokens))}


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Of each row, in float64."""
    x = logits.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def cost_of_rows(exact: np.ndarray, rounded: np.ndarray, targets: np.ndarray) -> Cost:
    """Of `rounded` against `exact`, both logits [rows, vocab]; row i is followed by targets[i]."""
    p, q = log_probabilities(exact), log_probabilities(rounded)
    difference = p - q
    return Cost(len(targets), float((np.exp(p) * difference).sum()), int((p.argmax(-1) == q.argmax(-1)).sum()),
                float(np.abs(difference).max()), float(-q[np.arange(len(targets)), targets].sum()))


def cost_of_files(exact: Path, rounded: Path, targets: np.ndarray) -> Cost:
    """The same of two files of t5gemma2-trace."""
    total = Cost()
    with safe_open(exact, "numpy") as one, safe_open(rounded, "numpy") as other:
        first, second = one.get_slice("logits"), other.get_slice("logits")
        for row in range(0, len(targets), ROWS):
            rows = slice(row, min(row + ROWS, len(targets)))
            total += cost_of_rows(first[0, rows], second[0, rows], targets[rows])
    return total


class Programs:
    """The engine's programs, with a model."""

    def __init__(self, folder: Path, model: Path):
        self.folder, self.model = folder, model

    def run(self, name: str, *arguments, text: str | None = None) -> str:
        program = self.folder / name
        command = [str(part) for part in (program, "-q", "-m", self.model, *arguments)]
        try:
            done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{program}: cannot run: {error.strerror}; --programs names the folder") from None
        if done.returncode:
            raise UserError(f"{program}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    def ids(self, text: str) -> list[int]:
        """Of a text, <bos> first."""
        return json.loads(self.run("t5gemma2-tokenize", "--jsonl", text=json.dumps(text) + "\n"))

    def trace(self, inputs: Sequence, dtype: str, output: Path) -> Path:
        self.run("t5gemma2-trace", *inputs, "--dtype", dtype, "-o", output)
        return output


def listed(ids: Sequence[int]) -> str:
    return ",".join(map(str, ids))


def passes(ids: list[int], piece: int, decoder_only: bool) -> list[tuple[list[str], np.ndarray]]:
    """Flags of t5gemma2-trace for each piece of a text, and the tokens that its rows of logits are followed by."""
    bos, *text = ids
    found = []
    for start in range(0, len(text), piece):
        whole = text[start:start + piece]
        cut = 0 if decoder_only else len(whole) // 2
        read, written = whole[:cut], whole[cut:]
        flags = ["--decoder-input-ids", listed([bos, *written[:-1]])]
        if not decoder_only:
            flags += ["--input-ids", listed([bos, *read])]
        found.append((flags, np.array(written)))
    return found


def measure(programs: Programs, files: list[Path], *, piece: int, decoder_only: bool) -> list[dict]:
    """A row for each text and precision."""
    texts = {file: passes(read_ids(programs, file), piece, decoder_only) for file in files}
    rows = []
    with bar(len(PRECISIONS) * sum(map(len, texts.values())), "tracing", "pass") as tracing:
        for file, todo in texts.items():
            costs = {dtype: Cost() for dtype in PRECISIONS}
            for flags, targets in todo:
                for dtype, cost in costs_of_pass(programs, flags, targets, tracing.update).items():
                    costs[dtype] += cost
            rows += [{"text": file.name, "dtype": dtype, **cost.means()} for dtype, cost in costs.items()]
    return rows


def costs_of_pass(programs: Programs, flags: list[str], targets: np.ndarray, done) -> dict[str, Cost]:
    """Of each precision; `done` is called after each. At most two traces lie on the disk."""
    costs = {}
    with tempfile.TemporaryDirectory() as folder:
        exact = programs.trace(flags, PRECISIONS[0], Path(folder) / "exact.safetensors")
        for dtype in PRECISIONS:
            rounded = exact if dtype == PRECISIONS[0] else programs.trace(flags, dtype, Path(folder) / "rounded.safetensors")
            costs[dtype] = cost_of_files(exact, rounded, targets)
            done()
    return costs


def read_ids(programs: Programs, file: Path) -> list[int]:
    try:
        ids = programs.ids(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise expected(file, "text", "UTF-8", "other bytes") from None
    if len(ids) < 2:
        raise expected(file, "text", "a token or more", "none")
    return ids


def table(rows: list[dict]) -> str:
    """A line for each row, for people."""
    width = max(len(row["text"]) for row in rows)
    lines = [f"{'text':<{width}} {'dtype':<8} {'tokens':>7} {'KL, nats':>10} {'same top-1':>10} {'largest':>9} {'perplexity':>11}"]
    lines += [f"{row['text']:<{width}} {row['dtype']:<8} {row['tokens']:>7} {row['kl']:>10.3g} {row['same']:>10.2%} "
              f"{row['largest']:>9.3g} {row['perplexity']:>11.3f}" for row in rows]
    return "\n".join(lines)


def add_precision(commands) -> None:
    parser = add_command(commands, "precision", "what --dtype bfloat16 and int8 cost on texts, against float32",
                         "examples/pocket --text examples/inputs/long.txt",
                         "adapted --text a.txt b.txt --decoder-only --json precision.json")
    add_model(parser)
    parser.add_argument("--text", type=Path, nargs="+", required=True, metavar="FILE", help="UTF-8 texts")
    parser.add_argument("--decoder-only", action="store_true",
                        help="no encoder input (default: the encoder reads the first half of each piece)")
    parser.add_argument("--piece", type=positive, default=256, metavar="N",
                        help="cut the texts into pieces of N ids (default 256)")
    parser.add_argument("--programs", type=Path, default=Path("build/bin"), metavar="FOLDER",
                        help="of the engine's programs (default build/bin)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the same for programs")
    parser.set_defaults(run=run_precision)


def run_precision(args) -> None:
    rows = measure(Programs(args.programs, Path(args.model)), args.text, piece=args.piece,
                   decoder_only=args.decoder_only)
    print(table(rows))
    if args.json:
        result = {"decoder_only": args.decoder_only, "piece": args.piece, "rows": rows}
        args.json.write_text(json.dumps(result, indent=1) + "\n")
