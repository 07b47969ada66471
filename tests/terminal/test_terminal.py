"""The programs on a terminal: text, bars, notes and timings on lines of their own, at any width; Ctrl-C.

Needs pexpect, pyte and the built programs. The model is pocket.
Run: pytest tests/terminal
"""
import contextlib
import json
import os
import re
import signal
import struct
import subprocess
from pathlib import Path

import pytest
from terminal import PROGRAMS, ROOT, ROWS, WAITING, Terminal, rows, show, text_of, wait_for

LONG = (ROOT / "examples/inputs/long.txt").read_text()
TIMINGS = re.compile(r"load \d+\.\d\d s( \| (encode|read|decode) [1-9]\d* tokens?, \d+\.\d tok/s)* \| peak memory \d+ MB")


def printed(name: str, *arguments) -> str:
    return subprocess.run([PROGRAMS / f"t5gemma2-{name}", "-q", *arguments], capture_output=True, text=True,
                          check=True).stdout


def with_timings(terminal: Terminal, text: str) -> None:
    """Asserts that the terminal shows the text, then the timings from the beginning of a line, and nothing else."""
    text = text.replace("\n", "\r\n")
    above = terminal.screen(text if text.endswith("\n") or not text else text + "\r\n")
    screen = terminal.screen()
    assert rows(screen)[:above.cursor.y] == rows(above)[:-1], terminal.shown()
    assert TIMINGS.fullmatch("".join(rows(screen, above.cursor.y)).rstrip()), terminal.shown()
    assert screen.cursor.x == 0


# ---- text, bars and timings ----

@pytest.mark.parametrize("columns", [20, 120])
@pytest.mark.parametrize("words", ["date: the 5th of march 2024", "a line\nand another", "its own line\n", "\n\n",
                                   "日本語の文章、とても長い文章です。" * 9, "many words " * 40])
def test_echo_and_text_and_timings_have_lines_of_their_own(words, columns):
    arguments = ("-m", "pocket", "--echo", "-n", "9", "--decoder-prompt", words)
    text = printed("generate", *arguments)
    assert text.startswith(words)
    with_timings(show("generate", *arguments, columns=columns), text)


def test_echo_comes_with_the_text():
    raw = show("generate", "-m", "pocket", "-p", "sort: ox cat", "--echo", "--decoder-prompt", "cat").raw
    assert "\x1b[K" in raw.partition("cat")[0] and "\x1b[K" not in raw.partition("cat")[2]


@pytest.mark.parametrize("arguments", [("-p", "sort: ox cat"), ("-p", "sort: ox cat", "-n", "0"),
                                       ("--echo", "--decoder-prompt", "a\n", "-n", "0")])
def test_no_blank_lines(arguments, tmp_path):
    arguments = ("-m", "pocket", *arguments)
    text = printed("generate", *arguments)
    with_timings(show("generate", *arguments), text)
    with_timings(show("generate", *arguments, redirect=f">{tmp_path}/out"), "")
    assert (tmp_path / "out").read_text() == text
    alone = show("generate", *arguments, redirect=f"2>{tmp_path}/err").screen()
    assert text_of(alone) == text.rstrip("\n") and alone.cursor.x == 0
    assert TIMINGS.fullmatch((tmp_path / "err").read_text().rstrip("\n"))


def test_notes_have_lines_of_their_own():
    said = show("generate", "-p", "sort: ox cat").shown().split("\n")
    text = said.index("cat ox")
    assert said[0].startswith("note: no model was named") and TIMINGS.fullmatch(said[text + 1])


@pytest.mark.parametrize("arguments, parts", [
    (("-p", "sort: ox cat"), ["encode", "read", "decode"]),
    (("-p", "sort: ox cat", "-n", "1"), ["encode", "read"]),
    (("-p", "sort: ox cat", "-n", "0"), ["encode"]),
    (("--decoder-prompt", "sort: ox cat", "-n", "1"), ["read"]),
    (("--jsonl",), []),
])
def test_no_rates_for_nothing(arguments, parts):
    done = subprocess.run([PROGRAMS / "t5gemma2-generate", "-m", "pocket", *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=True)
    assert TIMINGS.fullmatch(done.stderr.rstrip("\n")), done.stderr
    assert re.findall("encode|read|decode", done.stderr) == parts


# ---- bars ----

@pytest.mark.parametrize("columns", [*range(1, 21), 30, 40, 50, 60, 80])
def test_bars_fit_any_width(columns):
    terminal = show("generate", "-m", "pocket", "-p", "sort: ox cat", "-n", "9", columns=columns)
    with_timings(terminal, "cat ox")
    for bar in terminal.draws()[:-1]:
        assert "\n" not in bar and len(bar) <= max(0, columns - 3), bar


@pytest.mark.parametrize("columns, bars", [
    (80, ["encoding 5 tokens [>                              ] 0/5",
          "encoding 5 tokens [==================>            ] 3/5"]),
    (40, ["encoding 5 tokens [>            ] 0/5", "encoding 5 tokens [=======>     ] 3/5"]),
    (24, ["encoding 5 tokens 0/5"]),
    (23, ["encoding 0/5"]),
    (14, ["0/5"]),
    (5, [""]),
])
def test_bars_shrink_before_their_titles(columns, bars):
    terminal = show("generate", "-m", "pocket", "-p", "sort: ox cat", "-n", "9", columns=columns)
    assert set(bars) <= set(terminal.draws())


def test_a_bar_knows_that_the_terminal_has_become_narrow():
    terminal = Terminal("generate", "-m", "pocket", "--jsonl", columns=120)
    terminal.until(WAITING)
    terminal.columns = 24
    terminal.child.setwinsize(ROWS, 24)
    terminal.raw = ""
    terminal.press(json.dumps({"prompt": "sort: ox cat"}) + "\n")
    terminal.until('"text"')
    drawn = "\n".join(terminal.draws())
    assert re.findall("^encoding.*", drawn, re.M)[0] == "encoding 5 tokens 0/5", drawn
    terminal.press("\x04")
    assert terminal.end() == 0


@pytest.mark.parametrize("term", ["dumb", ""])
def test_no_bars_on_a_dumb_terminal(term):
    terminal = show("generate", "-m", "pocket", "-p", "sort: ox cat", term=term)
    assert "\x1b" not in terminal.raw and len(terminal.draws()) == 1
    with_timings(terminal, "cat ox")


# ---- Ctrl-C ----

TOO_LONG = (LONG * 40)[:120000]  # encoding it takes minutes
ENDLESS = ("-m", "pocket", "-p", "sort: ox cat", "--ignore-eos", "--special", "-n", "1000000")  # cat ox<eos><eos> ...


def interrupted(terminal: Terminal, shown: str = "") -> None:
    """Asserts that Ctrl-C ended the program, that the terminal shows these lines, and that the next output begins a line."""
    assert terminal.end() == 130, terminal.raw
    assert re.fullmatch(shown, terminal.shown()) and terminal.screen().cursor.x == 0, terminal.raw


def interrupted_in_text(terminal: Terminal, after: str) -> None:
    """The same for text that fills many lines."""
    assert terminal.end() == 130, terminal.raw
    last = terminal.raw.partition("^C")[2].replace("\r\n", "\n")
    assert re.fullmatch("(<eos>)*" + after, last), terminal.raw


@pytest.fixture
def full_pipe(tmp_path):
    """A full pipe: writing to it blocks."""
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, bytes(4096))
    yield tmp_path / "pipe"
    os.close(pipe)


@pytest.mark.parametrize("name, arguments, redirect", [("look", ("-p", "x", "-o"), ""), ("trace", ("-p", "x", "-o"), ""),
                                                       ("inspect", (), ">")])
def test_interrupt_without_a_bar(full_pipe, name, arguments, redirect):
    redirect, out = (f">{full_pipe}", ()) if redirect else ("", (full_pipe,))
    terminal = Terminal(name, *arguments, *out, redirect=redirect)
    terminal.until("note: no model was named")
    terminal.interrupt()
    interrupted(terminal, r"note: [^^]*shapes(\n\^C)?")


def test_quiet_interrupt(tmp_path):
    (tmp_path / "prompt").write_text(LONG * 10)  # seconds
    terminal = Terminal("generate", "-q", "-m", "pocket", "-f", tmp_path / "prompt")
    wait_for(lambda: terminal.has_interrupt("SigCgt"))
    terminal.interrupt()
    interrupted(terminal, r"\^C")


def test_interrupt_takes_the_bar_away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ids = [5] * 25000
    header = json.dumps({f"inputs.{name}": {"dtype": "I64", "shape": [1, end - begin], "data_offsets": [8 * begin, 8 * end]}
                         for name, begin, end in (("input_ids", 0, 24999), ("decoder_input_ids", 24999, 25000))}).encode()
    Path("ids.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<25000q", *ids))
    for name, *arguments in (("look", "-m", "pocket", "-p", TOO_LONG, "-o", "page.html"),
                             ("compare", "pocket", "ids.safetensors")):
        terminal = Terminal(name, *arguments)
        terminal.until("encoding .* 0/")
        terminal.interrupt()
        interrupted(terminal)
    assert os.listdir() == ["ids.safetensors"]


def test_interrupt_leaves_no_part_of_a_file(tmp_path):
    (tmp_path / "out.png").write_text("as before")
    terminal = Terminal("preprocess", ROOT / "examples/inputs/shapes.png", "--image-size", "5000", "-o",
                        tmp_path / "out.png")
    wait_for(lambda: len(os.listdir(tmp_path)) > 1)
    terminal.interrupt()
    interrupted(terminal, r"\^C")
    assert os.listdir(tmp_path) == ["out.png"] and (tmp_path / "out.png").read_text() == "as before"


@pytest.mark.parametrize("name, arguments", [("generate", ("-f", "-")), ("generate", ("--jsonl",)), ("tokenize", ())])
def test_interrupt_while_waiting_for_the_terminal(name, arguments):
    terminal = Terminal(name, "-m", "pocket", *arguments)
    terminal.until(WAITING)
    terminal.press("half a line")
    terminal.until("half a line")
    terminal.interrupt()
    interrupted(terminal, r"note: reading .* from the terminal; Ctrl-D ends it\nhalf a line\^C")


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_interrupt_keeps_the_text_so_far(quiet):
    terminal = Terminal("generate", *ENDLESS, *quiet)
    terminal.until("<eos>")
    terminal.interrupt()
    interrupted_in_text(terminal, "\n" if quiet else f"\n{TIMINGS.pattern}\n")


def test_interrupt_while_the_text_goes_elsewhere(tmp_path):
    text = tmp_path / "text"
    terminal = Terminal("generate", *ENDLESS, redirect=f">{text}")
    wait_for(lambda: text.exists() and "<eos>" in text.read_text())
    terminal.interrupt()
    interrupted(terminal, rf"\^C\n{TIMINGS.pattern}")


def test_interrupt_between_answers():
    terminal = Terminal("generate", "-m", "pocket", "--jsonl", "--ignore-eos", "-n", "1000000")
    terminal.until(WAITING)
    terminal.press(json.dumps({"prompt": "sort: ox cat"}) + "\n")
    terminal.until(r"reading .*\r\x1b\[K")  # the bar was removed
    terminal.interrupt()
    interrupted_in_text(terminal, r'\n\{"text":.*,"finish_reason":"interrupted","ids":.*\}\n' + TIMINGS.pattern + "\n")


def test_a_second_interrupt_ends_at_once(tmp_path):
    (tmp_path / "prompt").write_text(TOO_LONG)
    terminal = Terminal("generate", "-m", "pocket", "-f", tmp_path / "prompt")
    terminal.until("encoding .* 0/")
    terminal.interrupt()
    terminal.until(r"\^C")
    wait_for(lambda: not terminal.has_interrupt("ShdPnd"))
    terminal.interrupt()
    interrupted(terminal, "note: prompt of .*")


def test_a_script_in_the_background_is_not_interrupted():
    """A background process of a script ignores SIGINT, and so do its programs."""
    with subprocess.Popen(["bash", "-c", 'trap "" INT; exec "$@"', "bash", PROGRAMS / "t5gemma2-generate", "-f", "-"],
                          text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        wait_for(lambda: Path(f"/proc/{running.pid}/comm").read_text().startswith("t5gemma2"))
        running.send_signal(signal.SIGINT)
        assert running.communicate("sort: ox cat")[0] == "cat ox" and running.returncode == 0


# ---- waiting for the terminal ----

@pytest.mark.parametrize("name, arguments, what, typed", [
    ("generate", ("-f", "-"), "the prompt", "sort: ox cat"),
    ("generate", ("--jsonl",), "JSON requests, one a line,", '{"prompt": "sort: ox cat"}'),
    ("tokenize", (), "text", "sort: ox cat"),
    ("tokenize", ("--jsonl",), "JSON strings, one a line,", '"sort: ox cat"'),
    ("tokenize", ("--decode",), "token ids", "420 422"),
    ("tokenize", ("--decode", "--jsonl"), "JSON arrays of token ids, one a line,", "[420, 422]"),
])
def test_what_waits_for_the_terminal_says_so(name, arguments, what, typed, tmp_path):
    arguments = ("-m", "pocket", *arguments)
    note = f"note: reading {what} {WAITING}"
    (tmp_path / "typed").write_text(typed)
    piped = show(name, *arguments, "-q", redirect=f"<{tmp_path}/typed")
    terminal = Terminal(name, *arguments)
    terminal.until(WAITING)
    terminal.press(typed + "\x04\x04")  # twice: in the middle of a line the first only sends the line
    assert terminal.end() == 0
    shown = terminal.shown().split("\n")
    assert shown[:3] == [note, typed, piped.shown()] and terminal.screen().cursor.x == piped.screen().cursor.x == 0
    assert [bool(TIMINGS.fullmatch(line)) for line in shown[3:]] == [True] * (name == "generate")
    quiet = Terminal(name, "-q", *arguments)
    quiet.press(typed + "\n\x04")
    assert quiet.end() == 0
    assert "note:" not in quiet.raw + show(name, *arguments, redirect=f"<{tmp_path}/typed").raw


def test_an_error_begins_a_line():
    terminal = Terminal("tokenize", "-m", "pocket", "--decode")
    terminal.until(WAITING)
    terminal.press("x\x04\x04")
    assert terminal.end() == 1
    assert terminal.shown().split("\n")[1:] == [
        "x", 't5gemma2-tokenize: error: ids: byte 0: expected a token id, found "x"']


def test_text_and_timings_in_one_file_have_lines_of_their_own():
    def into_one(*arguments):
        return subprocess.run([PROGRAMS / "t5gemma2-generate", *arguments, "-p", "sort: ox cat"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

    lines = into_one("-m", "pocket").split("\n")
    assert lines[0] == "cat ox" and TIMINGS.fullmatch(lines[1]) and lines[2:] == [""]
    assert into_one("-q") == "cat ox"


def test_echo_without_a_token():
    done = subprocess.run([PROGRAMS / "t5gemma2-generate", "-q", "--echo", "--decoder-prompt", "cat", "-n", "0"],
                          text=True, capture_output=True)
    assert done.stdout == "cat" and done.returncode == 0
