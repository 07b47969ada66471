"""Checkpoints of one stage: weights and the optimizer's state after some step.

A file is written under another name and renamed when it is whole. The two newest are kept: when the newest one cannot
be read, it is put aside and the one before it used, and that is said aloud.
"""
import io
import json
from pathlib import Path

import torch

from ..console import say
from ..errors import UserError, expected
from .files import write_file
from .recipe import with_defaults

KEPT = 2
ENDING = ".pt"


class Checkpoints:
    """Of one stage, in a folder of its own; `made_by` is what the recipe says up to this stage."""

    def __init__(self, folder: Path, made_by: dict):
        self.folder, self.made_by = folder, made_by

    def steps(self) -> list[int]:
        """Of the files that are there, whole or not, newest first."""
        return sorted((int(file.stem) for file in self.folder.glob(f"*{ENDING}") if file.stem.isdigit()), reverse=True)

    def file(self, step: int) -> Path:
        return self.folder / f"{step:06}{ENDING}"

    def save(self, step: int, state: dict) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save({"step": step, "made_by": json.dumps(self.made_by), "state": state}, buffer)
        write_file(self.file(step), buffer.getvalue())
        for old in self.steps()[KEPT:]:
            self.file(old).unlink()

    def load(self, step: int) -> dict:
        file = self.file(step)
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
            made_by, state = json.loads(content["made_by"]), content["state"]
        except OSError as error:
            raise UserError(f"{file}: cannot read: {error.strerror}") from None
        except Exception as error:  # the library raises whatever the bytes lead it to
            raise UserError(f"{file}: truncated or damaged: {str(error).splitlines()[0][:80]}") from None
        check_same(file, "recipe", self.made_by, with_defaults(made_by))
        return state

    def newest(self) -> int:
        """The step of the newest checkpoint that can be read, 0 if there is none at all."""
        steps = self.steps()
        for step in steps:
            try:
                self.load(step)
                return step
            except UserError as error:
                if "truncated or damaged" not in str(error) or step == steps[-1]:
                    raise
                say(f"note: {error}; going on from the checkpoint before it")
                self.file(step).rename(self.file(step).with_suffix(".damaged"))
        return 0


def check_same(file: Path, where: str, wanted, found) -> None:
    """A checkpoint of another recipe is not gone on with; the first difference is named."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name in sorted({*wanted, *found}):
            check_same(file, f"{where}.{name}", wanted.get(name), found.get(name))
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for i, (one, other) in enumerate(zip(wanted, found)):
            check_same(file, f"{where}[{i}]", one, other)
    elif wanted != found:
        raise expected(file, where, f"{wanted} (or another output folder)", found)
