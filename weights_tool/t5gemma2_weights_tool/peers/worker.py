"""An engine in a process of its own, so that its threads and memory are its own. A call is a line of JSON each way."""
import importlib
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Self

from ..errors import UserError
from .engines import Engine, Files, Loaded

PACKAGE = __package__
SETTLED = 5  # seconds that a process has to end by itself


class Worker:
    """The side that calls."""

    def __init__(self, engine: Engine, files: Files) -> None:
        self.engine = engine
        self.log = files.work / f"{engine.key.replace(' ', '-')}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", f"{PACKAGE}.worker"], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            self.version = self.ask({"module": engine.module, "precision": engine.precision,
                                     "files": {name: str(path) for name, path in asdict(files).items()}})
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def ask(self, question: dict):
        """The answer; fails with the engine's own words."""
        try:
            print(json.dumps(question), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # it has ended: there is no answer either
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "its process has ended"}
        if "error" in answer:
            raise UserError(f"{self.engine.key}: {answer['error']}; {self.log} says more")
        return answer["value"]

    def call(self, method: str, *arguments):
        """A method of Loaded."""
        return self.ask({"method": method, "arguments": arguments})

    def close(self) -> None:
        with suppress(BrokenPipeError):  # it has ended, with a question unread
            self.process.stdin.close()
        try:
            self.process.wait(SETTLED)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def load(question: dict) -> Loaded:
    module = importlib.import_module(f"{PACKAGE}.{question['module']}")
    return module.load(Files(**{name: Path(path) for name, path in question["files"].items()}), question["precision"])


def answers(questions, out) -> None:
    """The side that is called: loads, then calls methods until no question is left."""
    loaded = None
    for line in questions:
        question = json.loads(line)
        try:
            if loaded is None:
                loaded = load(question)
                value = loaded.version
            else:
                value = getattr(loaded, question["method"])(*question["arguments"])
            print(json.dumps({"value": value}), file=out, flush=True)
        except Exception as error:  # engines raise whatever they like
            print(json.dumps({"error": f"{type(error).__name__}: {error}".splitlines()[0]}), file=out, flush=True)
            raise


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what engines print goes to the log
    try:
        answers(sys.stdin, out)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
