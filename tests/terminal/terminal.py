"""A terminal in which a program runs, and its content.

T5GEMMA2_PROGRAMS is the folder of the programs (build/bin).
"""
import functools
import os
import re
import signal
import time
from pathlib import Path

import pexpect
import pyte

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(os.environ.get("T5GEMMA2_PROGRAMS", ROOT / "build/bin")).resolve()
ROWS = 140
PATIENCE = 120  # seconds, for a busy machine
WAITING = "from the terminal; Ctrl-D ends it"


def rows(screen: pyte.Screen, first: int = 0) -> list[str]:
    """The lines down to the cursor's, as wide as the screen. (The second cell of a wide character holds "".)"""
    return ["".join(screen.buffer[y][x].data for x in range(screen.columns)) for y in range(first, screen.cursor.y + 1)]


def text_of(screen: pyte.Screen) -> str:
    """The lines without blanks at their ends, and without blank lines below them."""
    return "\n".join(row.rstrip() for row in rows(screen)).rstrip("\n")


class Terminal:
    """A terminal in which a program runs, then the shell command `then`."""

    def __init__(self, name: str, *arguments, columns: int = 160, redirect: str = "", term: str = "xterm", then: str = ""):
        environment = {**os.environ, "TERM": term}
        command = ["-c", f'"$@" {redirect}; {then}' if then else f'exec "$@" {redirect}', "bash", PROGRAMS / f"t5gemma2-{name}", *arguments]
        self.columns, self.raw = columns, ""
        default = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a background process of a script ignores it
        self.child = pexpect.spawn("bash", list(map(str, command)), preexec_fn=default, dimensions=(ROWS, columns), env=environment,
                                   encoding="utf-8", timeout=PATIENCE)
        self.child.delayafterread, self.child.ptyproc.delayafterclose = None, 0

    def until(self, pattern: str) -> None:
        self.child.expect(pattern)
        self.raw += self.child.before + self.child.after

    def press(self, keys: str) -> None:
        self.child.send(keys)

    def interrupt(self) -> None:
        self.child.sendintr()

    def has_interrupt(self, signals: str) -> bool:
        """Whether the program catches SIGINT (SigCgt), or SIGINT is pending (ShdPnd)."""
        process = Path(f"/proc/{self.child.pid}")
        found = re.search(rf"^Name:\s*t5gemma2.*^{signals}:\s*(\w+)", (process / "status").read_text(), re.DOTALL | re.M)
        return found is not None and int(found[1], 16) & 1 << signal.SIGINT - 1 != 0

    def end(self) -> int:
        """The exit status."""
        self.child.expect(pexpect.EOF)
        self.raw += self.child.before
        self.child.wait()
        return self.child.exitstatus if self.child.signalstatus is None else -self.child.signalstatus

    def screen(self, raw: str | None = None) -> pyte.Screen:
        screen = pyte.Screen(self.columns, ROWS)
        pyte.Stream(screen).feed(self.raw if raw is None else raw)
        return screen

    def shown(self) -> str:
        return text_of(self.screen())

    def draws(self) -> list[str]:
        """The text of the screen before each carriage return, and at the end."""
        screen = pyte.Screen(self.columns, ROWS)
        stream, shown = pyte.Stream(screen), []
        for part in re.split("(?=\r[^\n])", self.raw):
            stream.feed(part)
            shown.append(text_of(screen))
        return shown


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def show(name: str, *arguments, **options) -> Terminal:
    """The terminal of a program that succeeded."""
    terminal = Terminal(name, *arguments, **options)
    status = terminal.end()
    assert status == 0, terminal.raw
    return terminal
