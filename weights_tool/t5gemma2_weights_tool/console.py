"""What is told on standard error, so that standard output stays free: notes and bars, which quiet silences, and errors."""
import os
import sys

from tqdm import tqdm

_quiet = False


def set_quiet(quiet: bool) -> None:
    global _quiet
    _quiet = quiet


def complain(message: str) -> None:
    """Above the bars."""
    tqdm.write(message, file=sys.stderr)
    sys.stderr.flush()


def say(message: str) -> None:
    """A note."""
    if not _quiet:
        complain(message)


class Bar(tqdm):
    """Leaves two columns for the ^C of an interrupt, which would begin another line."""

    @property
    def format_dict(self) -> dict:
        known = super().format_dict
        return {**known, "ncols": known["ncols"] and max(1, known["ncols"] - 2)}


def redraws() -> bool:
    """Whether standard error is a terminal that shows bars."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def clear_line() -> None:
    """What an interrupt leaves: its echo, and a bar that was just being made."""
    if redraws():
        print(end="\r\x1b[K", file=sys.stderr, flush=True)


def bar(total: int, what: str, unit: str, *, initial: int = 0, beside_text: bool = False) -> Bar:
    """Of `total` units, with the time left; gone when closed. Only a terminal shows it, and not one on which standard
    output appears meanwhile (`beside_text`)."""
    return Bar(total=total, desc=what, unit=unit, initial=initial, leave=False, dynamic_ncols=True,
               disable=_quiet or not redraws() or beside_text and sys.stdout.isatty())
