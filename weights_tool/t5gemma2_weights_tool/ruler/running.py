"""A run: requests go to one process of the engine, one after the other, and each answer is a line of answers.jsonl as
soon as it is there. Whatever stops a run costs at most the item being answered; the same command goes on."""
import json
import subprocess
import tempfile
import time
from pathlib import Path

from ..config import read_json
from ..console import bar, say
from ..digests import digest, model_digest
from ..errors import UserError, expected
from ..pocket.files import LOCK, read_lines, write_file, write_json
from .fitting import Fitted, Fitter
from .item import Group, score

RUN, ANSWERS = "run.json", "answers.jsonl"
ANSWER = {("length", int), ("family", str), ("number", int), ("answers", list), ("any_of", bool), ("found", str),
          ("copied", float), ("seconds", float)}  # what a line has at least
Key = tuple[int, str, int]  # length, family, number


class Engine:
    """t5gemma2-generate --jsonl."""

    def __init__(self, program: Path, model: Path, dtype: str):
        self.program = program
        self.trouble = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        command = [program, "-m", model, "--dtype", dtype, "--jsonl", "-q"]
        try:
            self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, text=True,
                                            encoding="utf-8", errors="replace", stdout=subprocess.PIPE,
                                            stderr=self.trouble)
        except OSError as error:
            raise UserError(f"{program}: cannot run: {error.strerror}") from None

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_) -> None:
        """It has nothing left to say, or is not wanted any more."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except OSError:
            pass  # a request was on its way
        self.trouble.close()

    def answer(self, request: dict) -> dict:
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended, and says why below
        line = self.process.stdout.readline()
        if not line.endswith("\n"):
            raise UserError(f"{self.program}: ended without an answer: {self.last_words()}")
        try:
            answer = dict(json.loads(line))
        except (ValueError, TypeError):
            raise expected(self.program, "answer", "JSON", line.strip()[:80]) from None
        if "error" in answer:
            raise UserError(f"{self.program}: {answer['error']}")
        if not isinstance(answer.get("text"), str):
            raise expected(self.program, "answer", "a text", line.strip()[:80])
        return answer

    def last_words(self) -> str:
        status = self.process.wait()
        self.trouble.seek(0)
        return (self.trouble.read().strip().splitlines() or [f"status {status}"])[-1]


def check_folder(folder: Path) -> None:
    """Before anything is written there."""
    others = folder.is_dir() and any(file.name != LOCK for file in folder.iterdir())
    if others and not (folder / RUN).exists():
        raise expected(folder, "-o", "a new folder, or one that ruler has begun", "another's files")


class Run:
    """Answers to `count` items of each group, in a folder or only in memory."""

    def __init__(self, fitter: Fitter, groups: list[Group], count: int, *, model: Path, engine: Path, dtype: str,
                 folder: Path | None):
        self.fitter, self.groups, self.count, self.folder = fitter, groups, count, folder
        self.model, self.engine, self.dtype = model, engine, dtype
        self.head = {"form": fitter.form, "shots": fitter.shots, "wording": fitter.wording.name, "seed": fitter.seed,
                     "dtype": dtype, "model": model_digest(model), "program": digest(engine)}
        self.answers: dict[Key, dict] = {}
        if folder:
            self.resume(folder)

    def resume(self, folder: Path) -> None:
        """What is there of the same run; lengths, families and items may be others than they were."""
        if (folder / RUN).exists():
            was = read_json(folder / RUN)
            for field, value in self.head.items():
                if was.get(field) != value:
                    raise expected(folder / RUN, field, f"{value}, as in this run (or another -o)", was.get(field))
        write_json(folder / RUN, self.head)
        lines = read_lines(folder / ANSWERS)
        write_file(folder / ANSWERS, "".join(lines).encode())  # without a last line that is not whole
        for number, line in enumerate(lines, 1):
            try:
                answer = json.loads(line)
                if not ANSWER <= {(name, type(value)) for name, value in answer.items()}:
                    raise ValueError
                self.answers[answer["length"], answer["family"], answer["number"]] = answer
            except (ValueError, AttributeError, TypeError):
                raise expected(folder / ANSWERS, f"line {number}", "an answer", line.strip()[:80]) from None

    def wanted(self) -> list[tuple[Group, int]]:
        return [(group, number) for group in self.groups for number in range(self.count)]

    def answer_all(self) -> None:
        """Those that have no answer yet, with the tokens that are left in the bar."""
        missing = [(group, number) for group, number in self.wanted() if key_of(group, number) not in self.answers]
        total = sum(group.length for group, _ in self.wanted())
        done = total - sum(group.length for group, _ in missing)
        if done:
            say(f"{self.folder}: going on after {len(self.wanted()) - len(missing)} of {len(self.wanted())} items")
        if not missing:
            return
        with bar(total, "answering", "token", initial=done) as answering, \
                Engine(self.engine, self.model, self.dtype) as engine:
            for group, number in missing:
                answering.set_postfix_str(f"{group.length}, {group.family.name}")
                fitted = self.fitter.fitted(group, number)
                copied = score(fitted.item.answers, fitted.item.any_of, self.fitter.beginning(fitted))
                self.keep(answered(engine, fitted, self.fitter.wording.stop) | {"copied": copied}, key_of(group, number))
                answering.update(group.length)

    def keep(self, answer: dict, key: Key) -> None:
        answer = {"length": key[0], "family": key[1], "number": key[2], **answer}
        self.answers[key] = answer
        if self.folder:
            file = self.folder / ANSWERS
            try:
                with open(file, "a", encoding="utf-8") as stream:
                    stream.write(json.dumps(answer) + "\n")
            except OSError as error:
                raise UserError(f"{file}: cannot write: {error.strerror}") from None


def key_of(group: Group, number: int) -> Key:
    return group.length, group.family.name, number


def answered(engine: Engine, fitted: Fitted, stop: tuple[str, ...]) -> dict:
    begun = time.monotonic()
    request = fitted.prompt.request() | {"n_predict": fitted.new_tokens} | ({"stop": list(stop)} if stop else {})
    answer = engine.answer(request)
    item = fitted.item
    return {"tokens": fitted.tokens, "question": item.question, "answers": list(item.answers), "any_of": item.any_of,
            "found": answer["text"], "seconds": round(time.monotonic() - begun, 3)}
