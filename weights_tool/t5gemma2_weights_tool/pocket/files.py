"""Files that are whole or not there, and the log of losses."""
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError


def write_file(file: Path, content: bytes) -> None:
    """Whole or not at all."""
    unfinished = file.with_name(file.name + ".unfinished")
    try:
        with open(unfinished, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(unfinished, file)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise UserError(f"{file}: cannot write: {error.strerror}") from None


def write_json(file: Path, value: object) -> None:
    """Whole or not at all, fields in their order."""
    write_file(file, (json.dumps(value, indent=1) + "\n").encode())


LOCK = "lock"


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """The folder, made where there is none, for this process alone; `what` another one is doing there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / LOCK, "w")
    except OSError as error:
        raise UserError(f"{folder}: cannot write: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another run is {what} there") from None
        yield


class LossLog:
    """One JSON object a step, one file a stage."""

    def __init__(self, file: Path, start: int):
        """Keep what was logged before step `start`."""
        self.file, self.lines = file, []
        kept = [line for line in read_lines(file) if json.loads(line)["step"] < start]
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, "".join(kept).encode())

    def add(self, **values) -> None:
        self.lines.append(json.dumps(values) + "\n")

    def flush(self) -> None:
        try:
            with open(self.file, "a", encoding="utf-8") as stream:
                stream.writelines(self.lines)
        except OSError as error:
            raise UserError(f"{self.file}: cannot write: {error.strerror}") from None
        self.lines = []


def read_lines(file: Path) -> list[str]:
    """The whole lines of a file that may not be there, or end in the middle of one."""
    if not file.exists():
        return []
    return [line for line in file.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def read_losses(file: Path) -> list[dict]:
    return [json.loads(line) for line in read_lines(file)]
