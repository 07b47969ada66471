"""Commands in a pseudo-terminal, and what it shows."""
import functools
import os
import re
import signal
import sys
from pathlib import Path

import pexpect
import pyte

ROOT = Path(__file__).parents[2]
ROWS = 60


class Terminal:
    """One in which a command runs."""

    def __init__(self, *arguments, columns: int = 100, redirect: str = "", environment: dict | None = None):
        command = ["-c", f'"$@" {redirect}', "bash", sys.executable, "-m", "t5gemma2_weights_tool", *arguments]
        self.columns, self.raw = columns, ""
        variables = {"TERM": "xterm", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "weights_tool")}
        default = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a script's background ignores it
        self.child = pexpect.spawn("bash", list(map(str, command)), preexec_fn=default, dimensions=(ROWS, columns), cwd=str(ROOT), timeout=120,
                                   encoding="utf-8", env={**os.environ, **variables, **(environment or {})})

    def until(self, pattern: str) -> None:
        self.child.expect(pattern)
        self.raw += self.child.before + self.child.after

    def end(self) -> int:
        """The exit status."""
        self.child.expect(pexpect.EOF)
        self.raw += self.child.before
        self.child.wait()
        return self.child.exitstatus

    def draws(self) -> list[str]:
        """What the cursor's row showed before each return to its beginning, and at the end all rows."""
        screen = pyte.Screen(self.columns, ROWS)
        stream, shown = pyte.Stream(screen), []
        for part in re.split("(?=\r[^\n])", self.raw):
            stream.feed(part)
            shown.append(screen.display[screen.cursor.y].rstrip())
        return [*shown, "\n".join(row.rstrip() for row in screen.display).rstrip("\n")]


def show(*arguments, **options) -> list[str]:
    terminal = Terminal(*arguments, **options)
    status = terminal.end()
    assert status == 0, terminal.raw
    return terminal.draws()


def bars(draws: list[str]) -> dict[str, list[str]]:
    """Those of each kind, by the word in front."""
    found = {}
    for line in draws[:-1]:
        if match := re.match(r"([a-z0-9 ]+): +\d+%", line):
            found.setdefault(match[1], []).append(line)
    return found


def has_time_left(lines: list[str], count: str) -> bool:
    return any(re.search(rf"\b{count} \[[\d:]+<\d\d:\d\d, .*\]", line) for line in lines)
