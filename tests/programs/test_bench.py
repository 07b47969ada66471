"""bench on pocket: the table, the JSON file, which rows are measured, refused flags. And the instruction set, which every
program says and T5GEMMA2_ISA caps.

Run: pytest tests/programs
"""
import json
import os
import re
import subprocess

import pytest
from running import PROGRAMS, ROOT, SHAPES, output, refused, run

QUICK = ("-m", "pocket", "--repeats", "1")
LINEAR = [f"linear/{name}_proj/{rows}" for name in ("q", "k", "o", "gate", "down") for rows in (1, 16, 128, 512, 2048)]
STEPS = [*(f"encode/{n}" for n in (128, 512, 2048)), *(f"decode/{n}" for n in (512, 2048))]
ATTENTION = [f"attention/{kind}/{n}" for n in (512, 2048) for kind in ("global", "local", "merged_step", "merged_prompt")]
ELEMENTWISE = [f"{name}/2048" for name in ("rms_norm", "gelu", "rope", "layer_norm")]
NAMES = [*LINEAR, "linear/lm_head/1", *ATTENTION, *ELEMENTWISE, "siglip_layer", *STEPS]
RUNS = {  # each program with arguments that it takes
    "generate": ("-p", "x"),
    "look": ("-p", "x", "-o", "x.html"),
    "inspect": ("pocket",),
    "tokenize": ("x",),
    "preprocess": (SHAPES, "-o", "x.png"),
    "trace": ("-p", "x", "-o", "x.safetensors"),
    "compare": (ROOT / "tests/data/basic", ROOT / "tests/data/basic/reference.safetensors"),
    "bench": QUICK,
}


def rows_of(table: str) -> list[str]:
    """The names in a table."""
    return [line.split()[0] for line in table.partition("of limit\n")[2].splitlines()]


def with_isa(name: str, *arguments, isa: str, **options) -> subprocess.CompletedProcess:
    """Runs a program with T5GEMMA2_ISA."""
    return run(name, *arguments, env={**os.environ, "T5GEMMA2_ISA": isa}, **options)


# ---- rows ----

def test_all_rows(tmp_path):
    file = tmp_path / "bench.json"
    table = output("bench", *QUICK, "--json", file)
    report = json.loads(file.read_text())
    assert rows_of(table) == [row["name"] for row in report["rows"]] == NAMES
    assert all(len(line) <= 80 for line in table.splitlines()), table
    isa = re.search(r"\((\w+)\)$", output("bench", "--version"))[1]
    assert (report["model"], report["repeats"], report["isa"]) == ("pocket", 1, isa)
    threads = re.fullmatch(r"(\d+) threads?", table.splitlines()[0].split(", ")[-2])[1]
    assert int(threads) == report["threads"]
    assert table.startswith(f"{report['processor']}, ") and f", {isa}; pocket\nproducts in float32, medians of 1\n\nlimits " in table
    for row in report["rows"]:
        assert row["seconds"] > 0 and row.get("flops", 0) + row.get("bytes", 0) > 0, row
        assert row.get("of_limit", 1) > 0 and ("of_limit" in row) == (row["name"] not in ELEMENTWISE), row
        assert ("tokens" in row) == (row["name"] in STEPS), row
        assert row.get("limit") in (None, "flops" in row and "products" or "reading"), row
    for limit in report["limits"]:
        assert limit["flops_per_second"] > 0 and limit["bytes_per_second"] > 0


@pytest.mark.parametrize("pattern, names", [
    ("linear/q_proj/16", ["linear/q_proj/16"]),
    ("attention/local/*", ["attention/local/512", "attention/local/2048"]),
    ("*code/512", ["encode/512", "decode/512"]),
    ("*/1", [name for name in NAMES if name.endswith("/1")]),
])
def test_only_some_rows(pattern, names):
    assert rows_of(output("bench", *QUICK, "--only", pattern)) == names


def test_long_rows():
    assert rows_of(output("bench", *QUICK, "--long", "--only", "[ae]*/global/8192")) == ["attention/global/8192"]
    assert rows_of(output("bench", *QUICK, "--long", "--only", "image")) == ["image"]


def test_sides_of_different_sizes():
    assert rows_of(output("bench", "-m", ROOT / "tests/data/unequal", "--repeats", "1", "--only", "*/*/1*"))
    assert rows_of(output("bench", "-m", ROOT / "tests/data/unequal", "--repeats", "1", "--only", "*code/512"))


def test_work_is_counted_by_hand(tmp_path):
    """Linear layers: 2 rows*in*out. Attention: 4 dh for each visible pair and query head."""
    config = json.loads((ROOT / "examples/pocket/config.json").read_text())["encoder"]["text_config"]
    d, q = config["hidden_size"], config["num_attention_heads"] * config["head_dim"]
    layers, n, w = 2 * config["num_hidden_layers"], 512, config["sliding_window"]
    near = sum(1 for query in range(n) for key in range(n)
               if (query - key < (w + 1) // 2 if key <= query else key - query < w // 2 + 1))
    expected = {"linear/q_proj/16": 2 * 16 * d * q * layers, "attention/global/512": 4 * q * n * n,
                "attention/local/512": 4 * q * near}
    for name, flops in expected.items():
        output("bench", *QUICK, "--only", name, "--json", tmp_path / "out.json")
        assert json.loads((tmp_path / "out.json").read_text())["rows"][0]["flops"] == flops, name


def test_threads(tmp_path):
    for threads, measured in ((1, [1]), (2, [1, 2])):
        table = output("bench", *QUICK, "-t", threads, "--only", "gelu/*", "--json", tmp_path / "out.json")
        report = json.loads((tmp_path / "out.json").read_text())
        assert report["threads"] == threads and [limit["threads"] for limit in report["limits"]] == measured
        assert f", {threads} thread{'s' if threads > 1 else ''}, " in table.splitlines()[0]


# ---- what is refused ----

@pytest.mark.parametrize("words, message", [
    (["--only", "nothing/*"], "--only: expected a pattern of names from linear/q_proj/1 to decode/2048, found nothing/*"),
    (["--only", "image"], "found image"),  # with --long only
    (["--repeats", "0"], "--repeats: expected a whole number from 1 to 1000, found 0"),
    (["-t", "0"], "--threads: expected a whole number from 1 to 1024, found 0"),
    (["pocket"], "pocket: one word too many"),
    (["--onyl", "x"], "--onyl: no such flag; did you mean --only?"),
])
def test_wrong_usage(words, message):
    refused(run("bench", "-m", "pocket", *words), 2, message)


def test_failures(tmp_path):
    refused(run("bench", "-m", tmp_path / "none"), 1, "none: expected a model folder or a hub id")
    refused(run("bench", "-m", "pocket", "--json", tmp_path / "none/x.json"), 1, "no folder")
    assert not list(tmp_path.iterdir())


# ---- the instruction set ----

@pytest.mark.parametrize("name, arguments", RUNS.items())
def test_a_wrong_instruction_set_is_refused(name, arguments, tmp_path):
    for isa in ("sse9", "AVX2"):
        for words in (arguments, ("--version",)):
            refused(with_isa(name, *words, isa=isa, cwd=tmp_path), 1, "environment: T5GEMMA2_ISA: expected baseline")
    assert not list(tmp_path.iterdir())
    assert with_isa(name, "--help", isa="sse9").stdout == run(name, "--help").stdout


def test_a_wrong_instruction_set_without_a_program():
    done = subprocess.run([PROGRAMS / "t5gemma2", "--version"], capture_output=True, text=True,
                          env={**os.environ, "T5GEMMA2_ISA": "sse9"})
    refused(done, 1, "t5gemma2: error: environment: T5GEMMA2_ISA: expected baseline")


def test_the_instruction_set_is_capped():
    assert with_isa("bench", "--version", isa="baseline").stdout.endswith(" (baseline)\n")
    assert with_isa("bench", "--version", isa="").stdout == run("bench", "--version").stdout
    done = with_isa("bench", "-q", *QUICK, "--only", "linear/lm_head/1", isa="baseline")
    assert done.returncode == 0 and ", baseline; pocket\n" in done.stdout
    text = with_isa("generate", "-q", "-p", "date: the 5th of march 2024", isa="baseline")
    assert (text.stdout, text.stderr) == ("2024-03-05", "")
