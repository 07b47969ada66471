"""Progress bars: the remaining time, counts without a known end, weights that are still on the disk.

Needs pexpect, pyte, weights_tool and the built programs.
Run: pytest tests/terminal
"""
import ctypes
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import PROGRAMS, ROOT, Terminal, show

POCKET = ROOT / "examples/pocket"
SHAPES = ROOT / "examples/inputs/shapes.png"
MANY = 60000
MANY_IDS = ",".join(["5"] * MANY)  # reading them takes many steps and minutes
LEFT = r"(\d+:\d\d|\d+:\d\d:\d\d)"


def bars(terminal: Terminal) -> list[str]:
    """The bars in the order of drawing."""
    return [re.sub("\x1b.*", "", part) for part in re.findall("\r([^\r\n]+)\x1b\\[K", terminal.raw)]


def until_interrupted(pattern: str, name: str, *arguments, **options) -> list[str]:
    """The bars up to the first that matches; then Ctrl-C ends the program at once."""
    terminal = Terminal(name, *arguments, **options)
    terminal.until(r"\r" + pattern)
    terminal.interrupt()
    assert terminal.end() == 130 and terminal.screen().cursor.x == 0
    return bars(terminal)


# ---- the remaining time ----

@pytest.mark.parametrize("columns, pattern", [
    (80, rf"reading \[=*> +\] \d+/{MANY} {LEFT}"),
    (50, rf"reading \[=*> +\] \d+/{MANY} {LEFT}"),
    (20, rf"\d+/{MANY} {LEFT}"),
])
def test_the_time_left(columns, pattern):
    drawn = until_interrupted(pattern, "generate", "-m", "pocket", "--decoder-input-ids", MANY_IDS, columns=columns)
    assert drawn[-1:] and all(len(bar) <= columns - 3 for bar in drawn)
    first = next(i for i, bar in enumerate(drawn) if bar.endswith(f"0/{MANY}"))
    assert not re.search(LEFT, drawn[first + 1])  # not known yet


def test_short_work_has_no_time():
    assert not re.search(LEFT, show("generate", "-m", "pocket", "-p", "sort: ox cat").raw)


@pytest.mark.parametrize("flags", [("--num-beams", "2"), ("--num-return-sequences", "2", "--temp", "1")])
@pytest.mark.parametrize("columns", [80, 30])
def test_nobody_knows_how_many_there_will_be(flags, columns):
    drawn = until_interrupted(r"writing \d+, [\d.]+/s", "generate", "-m", "pocket", "-p", "sort: ox cat", "--ignore-eos", "-n",
                              "-1", *flags, columns=columns)
    assert any(re.fullmatch(r"writing \d+", bar) for bar in drawn) and "/1000000000" not in "".join(drawn)


def test_look_counts_what_it_writes(tmp_path):
    drawn = bars(show("look", "-m", "pocket", "-p", "sort: ox cat", "-n", "40", "-o", tmp_path / "page.html"))
    assert "writing 3" in drawn and not any("/40" in bar for bar in drawn)
    parts = [bar.split()[0] for bar in drawn]
    assert [part for i, part in enumerate(parts) if parts[i - 1:i] != [part]] == ["encoding", "reading", "writing", "reading"]


def test_look_reads_before_it_writes(tmp_path):
    drawn = until_interrupted(rf"reading \[=*> +\] [1-9]\d*/{MANY}", "look", "-m", "pocket", "--decoder-input-ids", MANY_IDS, "-n", "2",
                              "-o", tmp_path / "page.html")
    assert not any(bar.startswith("writing") for bar in drawn)


# ---- encoder and decoder ----

def test_trace_and_compare_show_both_halves(tmp_path):
    shown = {}
    shown["trace"] = bars(show("trace", "-m", "pocket", "-p", "sort: ox cat", "--image", SHAPES, "--decoder-prompt", "cat",
                               "-o", tmp_path / "ours.safetensors"))
    shown["compare"] = bars(show("compare", "pocket", tmp_path / "ours.safetensors"))
    for name, drawn in shown.items():
        parts = [bar.split()[0] for bar in drawn]
        assert list(dict.fromkeys(parts)) == ["looking", "encoding", "decoding"], name
        assert {"6/6", "0/6"} <= {bar.split()[-1] for bar in drawn if bar.startswith("decoding")}


@pytest.mark.parametrize("name, arguments", [("trace", ("-o", "out")), ("look", ("-n", "0", "-o", "out"))])
def test_interrupt_while_the_decoder_reads(name, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    part = {"trace": "decoding", "look": "reading"}[name]
    until_interrupted(part + " .*0/6", name, "-m", "pocket", "--decoder-input-ids", ",".join(["5"] * 8000), *arguments)
    assert os.listdir() == []


# ---- weights on the disk ----

@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A random model: encoder and decoder of 100 MB each, vision of 34 MB, with matrices larger than a disk's read-ahead."""
    folder = tmp_path_factory.mktemp("large")
    config = json.loads((POCKET / "config.json").read_text())
    text, vision = (config["encoder"][key] for key in ("text_config", "vision_config"))
    for side in (text, config["decoder"]):
        side |= {"intermediate_size": 32768, "num_hidden_layers": 2, "layer_types": side["layer_types"][-2:]}
    vision |= {"intermediate_size": 32768, "num_hidden_layers": 1}
    (folder / "config.json").write_text(json.dumps(config))
    subprocess.run([sys.executable, "-m", "t5gemma2_weights_tool", "random", folder / "config.json", "--dtype", "float32", "-o",
                    folder / "model"], check=True, capture_output=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(POCKET / name, folder / "model")
    return folder / "model"


def drop(model: Path) -> None:
    """Drops the weights from the page cache."""
    file = os.open(model / "model.safetensors", os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def on_disk(model: Path) -> bool:
    """Whether the system drops pages and reports it."""
    with open(model / "model.safetensors", "r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        in_memory = (ctypes.c_ubyte * (len(pages) // mmap.PAGESIZE))()
        start = ctypes.c_char.from_buffer(pages)
        ctypes.CDLL(None).mincore(ctypes.byref(start), ctypes.c_size_t(len(in_memory) * mmap.PAGESIZE), in_memory)
        del start
        return not any(in_memory)


def loaded(name: str, model: Path, *arguments) -> int:
    """The megabytes in the loading bar at the end; 0 without a bar."""
    found = re.findall(r"loading (\d+) MB \[[=> ]*\] (\d+)/(\d+)(?: \d+:\d\d)?$", "\n".join(bars(show(name, "-m", model, *arguments))),
                       re.M)
    assert len({(said, all_) for said, _, all_ in found}) <= 1 and all(said == all_ for said, _, all_ in found)
    assert not found or found[0][1] == "0" and found[-1][1] == found[-1][2]
    return int(found[0][0]) if found else 0


def test_cold_weights_are_loaded_with_a_bar(model, tmp_path):
    drop(model)
    if not on_disk(model):
        pytest.skip("this system does not drop pages, or does not say which are in memory")
    parts = {}
    for name, arguments in {"encoder": ("-n", "0", "-p", "sort"), "decoder": ("-n", "1", "--decoder-prompt", "cat"),
                            "both": ("-n", "1", "-p", "sort"), "all": ("-n", "1", "-p", "sort", "--image", SHAPES)}.items():
        drop(model)
        parts[name] = loaded("generate", model, *arguments)
        assert loaded("generate", model, *arguments) == 0
    assert 40 < parts["encoder"] < 102 and 40 < parts["decoder"] < 102, parts
    assert parts["both"] > max(parts["encoder"], parts["decoder"]) + 30 and parts["all"] > parts["both"] + 10, parts
    for name, arguments in (("trace", ("-p", "sort", "--decoder-prompt", "cat", "-o", tmp_path / "out")),
                            ("look", ("-p", "sort", "-n", "2", "-o", tmp_path / "page"))):
        drop(model)
        assert loaded(name, model, *arguments) > 80
    drop(model)
    assert loaded("compare", model, tmp_path / "out") > 80


def test_cold_weights_are_loaded_in_silence_where_asked(model):
    drop(model)
    done = subprocess.run([PROGRAMS / "t5gemma2-generate", "-q", "-m", model, "-n", "1", "-p", "sort"], capture_output=True)
    assert done.returncode == 0 and done.stderr == b""
