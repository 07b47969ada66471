"""Ours, through its programs: each measurement is a run of t5gemma2-generate, and the time that it tells."""
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path

from ..errors import UserError, expected
from ..storage import Checkpoint
from .engines import Files
from .logits import log_probabilities


def run(program: Path, *arguments, given: str = "") -> subprocess.CompletedProcess:
    """Of the program with `given` on standard input."""
    command = [str(program), *map(str, arguments)]
    try:
        done = subprocess.run(command, check=False, input=given, capture_output=True, text=True)
    except OSError as error:
        raise UserError(f"{program}: {error.strerror}; --programs FOLDER says where the programs are") from None
    if done.returncode:
        raise UserError(f"{program.name}: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    return done


def joined(ids: list[int]) -> str:
    return ",".join(map(str, ids))


def input_flags(encoder_ids: list[int], decoder_ids: list[int]) -> list[str]:
    encoder = ["--input-ids", joined(encoder_ids)] if encoder_ids else []
    return [*encoder, "--decoder-input-ids", joined(decoder_ids)]


def told(line: str, what: str, unit: str) -> float:
    """A number of the line of timings that a run ends with."""
    match = re.search(rf"\b{what}(?: \d+ tokens?,)? ([\d.]+) {unit}", line)
    if match is None:
        raise expected("t5gemma2-generate", "timings", f"{what}, in {unit}", line)
    return float(match[1])


class Programs:
    def __init__(self, files: Files, precision: str) -> None:
        self.files, self.precision, self.threads = files, precision, 1
        self.folder = without_tokenizer(files.model, files.work / f"ours-{precision}")
        self.version = run(files.programs / "t5gemma2-generate", "--version").stdout.split(maxsplit=1)[1].strip()

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def flags(self, folder: Path) -> list:
        return ["-m", folder, "--dtype", self.precision, "-t", self.threads]

    def generate(self, folder: Path, encoder_ids: list[int], decoder_ids: list[int], tokens: int) -> str:
        """The line of timings."""
        done = run(self.files.programs / "t5gemma2-generate", *self.flags(folder), "--ignore-eos", "-n", tokens,
                   *input_flags(encoder_ids, decoder_ids))
        return done.stderr.strip().splitlines()[-1]

    def seconds(self, encoder_ids: list[int], decoder_ids: list[int], steps: int) -> tuple[float, float]:
        line = self.generate(self.folder, encoder_ids, decoder_ids, steps + 1)
        what, count = ("encode", len(encoder_ids)) if encoder_ids else ("read", len(decoder_ids))
        return count / told(line, what, "tok/s"), steps / told(line, "decode", "tok/s")

    def long_input(self, encoder_ids: list[int], decoder_ids: list[int], tokens: int) -> dict[str, float]:
        """Of a whole process, whose ids would be too long for flags."""
        request = {"input_ids": encoder_ids, "decoder_input_ids": decoder_ids, "n_predict": tokens, "ignore_eos": True}
        start = time.perf_counter()
        done = run(self.files.programs / "t5gemma2-generate", *self.flags(self.folder), "--jsonl", given=json.dumps(request))
        seconds, line = time.perf_counter() - start, done.stderr.strip().splitlines()[-1]
        return {"length": len(encoder_ids), "seconds": seconds, "encode": told(line, "encode", "tok/s"),
                "decode": told(line, "decode", "tok/s"), "memory": told(line, "peak memory", "MB")}

    def text_seconds(self, texts: list[list[int]], _batch: int) -> float:
        """Of the embeddings of all texts; how many at once is the program's own choice."""
        given = "".join(json.dumps({"input_ids": ids}) + "\n" for ids in texts)
        with tempfile.TemporaryDirectory(dir=self.files.work) as folder:
            done = run(self.files.programs / "t5gemma2-embed", *self.flags(self.folder), "--jsonl", "-o",
                       Path(folder) / "embeddings.npy", given=given)
        return sum(map(len, texts)) / told(done.stderr.strip().splitlines()[-1], "encode", "tok/s")

    def log_probabilities(self, encoder_ids: list[int], decoder_ids: list[int], last: int) -> list[float]:
        with tempfile.TemporaryDirectory(dir=self.files.work) as folder:
            file = Path(folder) / "trace.safetensors"
            run(self.files.programs / "t5gemma2-trace", *self.flags(self.folder), "-q", "-o", file,
                *input_flags(encoder_ids, decoder_ids))
            return log_probabilities(Checkpoint(file).read("logits")[0, -last - 1:-1], decoder_ids[-last:])

    def image_seconds(self) -> float:
        return self.bench("image", "--long")["rows"][0]["seconds"]

    def bench(self, only: str, *more: str) -> dict:
        """What t5gemma2-bench writes."""
        with tempfile.TemporaryDirectory(dir=self.files.work) as folder:
            file = Path(folder) / "bench.json"
            run(self.files.programs / "t5gemma2-bench", *self.flags(self.folder), "-q", "--only", only,
                "--repeats", 1, "--json", file, *more)
            return json.loads(file.read_text())

    def machine(self) -> dict:
        """Processor, instruction set, and what the machine could do at most."""
        known = self.bench("encode/128")
        return {name: known[name] for name in ("processor", "isa", "limits")}

    def first_token(self, encoder_ids: list[int], decoder_ids: list[int]) -> float:
        """Seconds of a whole process that writes one token, tokenizer loaded where the folder has one."""
        start = time.perf_counter()
        self.generate(self.files.model, encoder_ids, decoder_ids, 1)
        return time.perf_counter() - start

    def peak_memory(self, encoder_ids: list[int], decoder_ids: list[int], tokens: int) -> float:
        """MB of a whole process."""
        return told(self.generate(self.files.model, encoder_ids, decoder_ids, tokens), "peak memory", "MB")


def without_tokenizer(model: Path, folder: Path) -> Path:
    """Links to a checkpoint's files but the tokenizer's, which takes time to load and is not needed for ids."""
    folder.mkdir()
    for file in model.iterdir():
        if not file.name.startswith("tokenizer"):
            (folder / file.name).symlink_to(file.resolve())
    return folder


def load(files: Files, precision: str) -> Programs:
    return Programs(files, precision)
