"""generate -i: prompts line by line, edited on a terminal or piped in.

Needs pexpect, pyte and the built programs. The model is pocket.
Run: pytest tests/terminal
"""
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from terminal import PROGRAMS, ROOT, Terminal, wait_for

SHAPES = ROOT / "examples/inputs/shapes.png"
DATE, DAY = "date: the 5th of march 2024", "2024-03-05"
SORT, SORTED = "sort: ox cat", "cat ox"
UP, LEFT, HOME, DELETE = "\x1b[A", "\x1b[D", "\x1b[H", "\x1b[3~"
ENDLESS = ("--ignore-eos", "--special", "-n", "1000000")  # cat ox<eos><eos> ...


class Dialogue(Terminal):
    """A conversation with generate -i."""

    def __init__(self, *arguments, **options):
        super().__init__("generate", "-q", "-i", "-m", "pocket", *arguments, **options)
        self.until("> ")

    def ask(self, keys: str, end: str = "\r") -> None:
        """Waits until the program waits for the next prompt."""
        self.press(keys + end)
        self.until(r"\n(\x1b\[[0-9;]*[A-Za-z]|\r)*> ")

    def program(self) -> int:
        """The process id of the program, where a shell runs it."""
        shell = self.child.pid
        return int(Path(f"/proc/{shell}/task/{shell}/children").read_text())

    def sleeps(self) -> bool:
        """Whether the program waits, for a key or a timer."""
        return Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(") ")[2].startswith("S")

    def lines(self) -> list[str]:
        return [row.rstrip() for row in self.shown().split("\n")]

    def finish(self) -> list[str]:
        """Ends the program by Ctrl-D. Returns the lines shown before."""
        shown = self.lines()
        self.press("\x04")
        assert self.end() == 0 and self.screen().cursor.x == 0, self.raw
        assert shown.pop() == ">"
        return shown


def wrapped(line: str, columns: int) -> list[str]:
    return [line[at:at + columns].rstrip() for at in range(0, len(line), columns)]


def generate(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run([PROGRAMS / "t5gemma2-generate", *map(str, arguments)], capture_output=True, encoding="utf-8",
                          timeout=120, **options)


def piped(*lines: str, flags=()) -> subprocess.CompletedProcess:
    return generate("-q", "-i", "-m", "pocket", *flags, input="\n".join(lines))


# ---- on a terminal ----

@pytest.mark.parametrize("columns", [80, 50, 20])
def test_a_prompt_a_line(columns):
    dialogue = Dialogue(columns=columns)
    dialogue.ask(DATE)
    dialogue.ask("")
    dialogue.ask(SORT)
    assert dialogue.finish() == [*wrapped("> " + DATE, columns), DAY, ">", "> " + SORT, SORTED]


@pytest.mark.parametrize("columns", [80, 50, 20])
def test_it_says_what_it_is(columns):
    terminal = Terminal("generate", "-i", "-m", ROOT / "examples/pocket", columns=columns)
    terminal.until("ends\r\n> ")
    assert terminal.shown().split("\n") == [*wrapped("note: pocket: each line is a prompt; /help lists commands; Ctrl-D ends", columns), ">"]
    terminal.press("\x04")
    assert terminal.end() == 0 and re.search(r"load \d.*MB", terminal.shown().replace("\n", ""))


def test_flags_hold_for_each_prompt():
    flags = ("--image", SHAPES, "--decoder-prompt", "cat", "--echo", "-n", "3", "--special")
    dialogue = Dialogue(*flags, columns=100)
    dialogue.ask(SORT)
    dialogue.ask(SORT)
    answer = generate("-q", *flags, "-p", SORT).stdout.rstrip("\n")
    assert dialogue.finish() == ["> " + SORT, answer] * 2


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("columns", [80, 20])
@pytest.mark.parametrize("keys, line", [
    ("größer日本語\x7f\x7f" + LEFT + DELETE + "Ö", "größerÖ"),
    ("日本" + LEFT + "語", "日語本"),
    ("t cat" + HOME + "sor", "sort cat"),
    ("one two\x17three", "one three"),  # Ctrl-W
    ("one two\x01\x0bthree", "three"),  # Ctrl-A Ctrl-K
    ("one two\x15three", "three"),      # Ctrl-U
    ("a\tb", "a\tb"),
])
def test_a_line_is_edited(keys, line, columns, locale, tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", locale)
    dialogue = Dialogue("--special", "-n", "4", columns=columns, redirect=f">{tmp_path}/answer")
    dialogue.ask(keys)
    assert dialogue.finish() == [f"> {line}".expandtabs()]
    assert (tmp_path / "answer").read_text() == piped(line, flags=["--special", "-n", "4"]).stdout


def test_history():
    dialogue = Dialogue()
    for keys in (SORT, DATE, UP + UP):
        dialogue.ask(keys)
    dialogue.press("\x12date\r")  # Ctrl-R
    dialogue.until(f"{DAY}\r\n> ")
    assert [line for line in dialogue.finish() if line in (SORTED, DAY)] == [SORTED, DAY, SORTED, DAY]


def test_blank_lines_are_not_in_the_history():
    dialogue = Dialogue()
    for keys in (SORT, "", "  ", "\u00a0", UP):
        dialogue.ask(keys)
    assert dialogue.finish() == ["> " + SORT, SORTED, ">", ">", ">", "> " + SORT, SORTED]


def test_history_where_stderr_goes_elsewhere(tmp_path):
    dialogue = Dialogue(redirect=f"2>{tmp_path}/err")
    dialogue.ask(SORT)
    dialogue.ask(UP)
    assert dialogue.finish() == ["> " + SORT, SORTED] * 2
    assert (tmp_path / "err").read_text() == ""


@pytest.mark.parametrize("columns", [80, 50, 20])
def test_a_long_line(columns):
    line = "sort: " + "ox cat " * 40 + "hen"
    dialogue = Dialogue(columns=columns)
    dialogue.ask(line)
    rows = wrapped("> " + line, columns)
    assert dialogue.finish()[:len(rows)] == rows


@pytest.mark.parametrize("columns", [80, 20])
def test_interrupt_clears_the_line(columns):
    dialogue = Dialogue(columns=columns)
    cleared = []
    for line in ("half a line", "half of a long line, " * 9 + "end"):
        dialogue.ask(line + LEFT * 30, "\x03")
        cleared += wrapped(f"> {line}^C", columns)
    dialogue.ask(SORT)
    assert dialogue.finish() == [*cleared, "> " + SORT, SORTED]


@pytest.mark.parametrize("options", [{"term": "dumb"}, {"redirect": "2>err"}, {"term": "dumb", "redirect": ">out 2>err"}])
def test_interrupt_clears_the_line_of_any_terminal(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dialogue = Dialogue(**options)
    for _ in range(2):
        dialogue.press("ab")
        dialogue.until("ab")
        dialogue.ask("", "\x03")
    dialogue.ask(SORT)
    shown = ["> ab^C"] * 2 + ["> " + SORT] + [SORTED] * (">out" not in options.get("redirect", ""))
    assert dialogue.finish() == shown


def test_a_signal_clears_the_line():
    dialogue = Dialogue()
    dialogue.press("ab")
    dialogue.until("ab")
    wait_for(dialogue.sleeps)  # in read(): a signal just before it would leave the program waiting there
    os.kill(dialogue.child.pid, signal.SIGINT)
    dialogue.ask("", "")
    dialogue.ask(SORT)
    assert dialogue.finish() == ["> ab", "> " + SORT, SORTED]


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_the_end_behind_an_interrupted_answer(term):
    dialogue = Dialogue(*ENDLESS, term=term)
    dialogue.press(SORT + "\r")
    dialogue.until(SORTED + "<eos><eos>")
    dialogue.interrupt()
    dialogue.until("\n> ")
    dialogue.finish()


def test_interrupt_stops_the_answer_and_not_the_program():
    dialogue = Dialogue(*ENDLESS)
    for _ in range(2):
        dialogue.press(SORT + "\r")
        dialogue.until(SORTED + "<eos><eos>")
        dialogue.interrupt()
        dialogue.until("\n> ")
    lines = dialogue.finish()
    assert [line for line in lines if line.startswith("> ")] == ["> " + SORT] * 2
    part = r"> sort: ox catcat ox(<eos>)*\^C(<eos>)*"  # a long answer may be wrapped anywhere
    assert re.fullmatch(part * 2, "".join(lines))


def test_interrupt_before_the_first_word():
    terminal = Terminal("generate", "-i", "-m", "pocket", "--decoder-input-ids", ",".join(["5"] * 60000))
    terminal.until("ends\r\n> ")
    terminal.press(SORT + "\r")
    terminal.until("reading .*/60000")
    terminal.interrupt()
    terminal.until("\x1b\\[K> ")
    terminal.press("\x04")
    assert terminal.end() == 0
    shown = terminal.shown().split("\n")
    assert shown[1] == "> " + SORT and shown[-2] == "> ^D" and len(shown) <= 6, shown


def test_errors_of_one_prompt():
    dialogue = Dialogue()
    dialogue.ask("<start_of_image>describe")
    dialogue.ask(SORT)
    shown = dialogue.finish()
    assert shown[1].startswith("error: ") and shown[-2:] == ["> " + SORT, SORTED]


def test_images():
    dialogue = Dialogue()
    dialogue.ask("/image " + str(ROOT / "shapes.pgn"))
    assert dialogue.lines()[-2].startswith("error: ") and "shapes.pgn" in "".join(dialogue.lines())
    dialogue.ask(f"/image {SHAPES}")
    dialogue.ask("what colour is the square?")
    dialogue.ask(SORT)
    assert dialogue.finish()[-4:] == ["> what colour is the square?", "purple", "> " + SORT, SORTED]


def test_no_note_where_images_go():
    terminal = Terminal("generate", "-i", "-m", "pocket")
    terminal.until("ends\r\n> ")
    for keys in (f"/image {SHAPES}", "what colour is the square?"):
        terminal.press(keys + "\r")
        terminal.until("(prompt|purple)\r\n> ")
    assert "come first" not in terminal.shown()
    terminal.press("\x04")
    assert terminal.end() == 0


def test_notes_follow_the_answer():
    terminal = Terminal("generate", "-i", "-m", "pocket", "--temp", "1", "-n", "3")
    terminal.until("ends\r\n> ")
    terminal.press(SORT + "\r")
    terminal.until("sampled with --seed \\d+\r\n> ")
    shown = terminal.shown().split("\n")
    assert shown[1] == "> " + SORT and shown[3].startswith("note: sampled with --seed") and shown[4] == ">"
    terminal.press("\x04")
    assert terminal.end() == 0


def test_gaps_are_filled():
    dialogue = Dialogue("--fill")
    dialogue.ask("monday tuesday ___ friday")
    assert dialogue.finish()[1].startswith("monday tuesday ") and "___" not in dialogue.lines()[1]


def test_commands():
    dialogue = Dialogue()
    dialogue.ask("/help")
    assert [word for word in ("/image FILE", "/help", "/exit", "/quit", "//", "Ctrl-C") if word not in dialogue.shown()] == []
    dialogue.ask("/nope")
    assert dialogue.lines()[-2] == ("error: expected /image FILE, /help, /exit or /quit (// for a prompt that begins with /), "
                                    "found /nope")
    dialogue.press("/exit\r")
    assert dialogue.end() == 0


@pytest.mark.parametrize("columns", [80, 50])
def test_help_fits(columns):
    dialogue = Dialogue(columns=columns)
    dialogue.ask("/help")
    wide = Dialogue(columns=160)
    wide.ask("/help")
    assert dialogue.finish() == wide.finish()


def test_where_the_answers_go(tmp_path):
    for redirect, shown in ((f">{tmp_path}/out", ["> " + SORT]), (f"2>{tmp_path}/err", ["> " + SORT, SORTED])):
        dialogue = Dialogue(redirect=redirect)
        dialogue.ask(SORT)
        assert dialogue.finish() == shown
    assert (tmp_path / "out").read_text() == SORTED + "\n" and (tmp_path / "err").read_text() == ""


def test_a_dumb_terminal():
    dialogue = Dialogue(term="dumb")
    dialogue.ask(SORT)
    assert dialogue.finish() == ["> " + SORT, SORTED] and "\x1b" not in dialogue.raw


def test_the_terminal_is_as_it_was(tmp_path):
    for ends in (lambda dialogue: dialogue.press("\x04"), lambda dialogue: os.kill(dialogue.program(), signal.SIGTERM)):
        dialogue = Dialogue(then=f"stty -a >{tmp_path}/after")
        ends(dialogue)
        dialogue.end()
        assert re.search(r"(?<!-)isig (?<!-)icanon .*(?<!-)\becho\b", (tmp_path / "after").read_text().replace("\n", " "))


def test_a_terminal_that_cannot_be_opened():
    """Stdin is a terminal, but not the program's controlling one (/dev/tty), and stderr is closed."""
    keyboard, terminal = os.openpty()
    done = subprocess.run([PROGRAMS / "t5gemma2-generate", "-q", "-i", "-m", "pocket"], stdin=terminal,
                          start_new_session=True, timeout=120, preexec_fn=lambda: os.close(2))
    os.close(keyboard)
    os.close(terminal)
    assert done.returncode == 1


# ---- piped ----

def test_piped():
    done = piped(SORT, "", DATE)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{SORTED}\n{DAY}\n", "")


def test_piped_commands_and_errors():
    done = piped(SORT, "/image shapes.pgn", f"/image '{SHAPES}'", "what colour is the square?", "/nope", f"/image {SHAPES}", "",
                 "//", SORT, "/quit", SORT)
    alone = generate("-q", "--image", SHAPES).stdout
    slash = generate("-q", "-p", "/").stdout
    assert done.stdout.split("\n") == [SORTED, "purple", alone, slash, SORTED, ""] and done.returncode == 1
    assert [line[:6] for line in done.stderr.splitlines()] == ["error:"] * 2


def test_lines_of_a_file_from_windows():
    done = piped(DATE + "\r", "/exit\r", SORT)
    assert (done.returncode, done.stdout, done.stderr) == (0, DAY + "\n", "")


@pytest.mark.parametrize("command", ["/exit", "/quit", "/bye"])
def test_commands_that_end(command):
    done = piped(DATE, command, SORT)
    assert (done.returncode, done.stdout, done.stderr) == (0, DAY + "\n", "")


def test_an_answer_ends_its_line_once():
    assert piped(SORT, SORT, flags=["-n", "0"]).stdout == "\n\n"
    echoed = piped(SORT, SORT, flags=["-n", "0", "--echo", "--decoder-prompt", "a\n"])
    assert echoed.stdout == "a\na\n"


def test_an_error_ends_the_line_of_its_answer():
    too_cold = ("--temp", "5e-38", "--ignore-eos")  # for the logits after the answer
    done = piped(DATE, DATE, flags=too_cold)
    assert done.stdout == f"{DAY}\n" * 2 and done.stderr.count("found NaN or infinity\n") == 2


def test_a_slash_in_front():
    assert piped("//x", flags=["-n", "5"]).stdout == generate("-q", "-n", "5", "-p", "/x").stdout.rstrip("\n") + "\n"


@pytest.mark.parametrize("flags", [("-p", SORT), (SORT,), ("-f", SHAPES), ("--jsonl",), ("--input-ids", "2,5")])
def test_prompts_come_from_lines_only(flags):
    done = generate("-i", *flags)
    assert done.returncode == 2 and "-i: prompts come line by line" in done.stderr and done.stderr.count("\n") == 1


def test_without_a_prompt_i_is_the_next_step():
    terminal = Terminal("generate")
    assert terminal.end() == 2 and "expected a prompt (-p TEXT), --image or --decoder-prompt, found none; -i answers" in terminal.shown().replace("\n", " ")
