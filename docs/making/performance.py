"""Speed and memory: what is computed from sizes, and bounds that every run of docs/make measures again."""
import re

from repository import ROOT, run
from sizes import PUBLISHED, counts
from t5gemma2_weights_tool.markdown import table

BANDWIDTH = 20e9  # bytes a second, of a plain laptop's memory
PEAK = 200e9  # products and sums a second, of two laptop cores with AVX2
LEAST_TOKENS = 40  # a second, decoded by pocket on a busy machine
MOST_MEGABYTES = 40
SIMD = ROOT / "t5gemma2/kernels/simd.hpp"
TILES = ROOT / "t5gemma2/kernels/simd/tiles.inl"


def bytes_per_token() -> str:
    """What one decoding step reads of the weights, and how many steps a second that allows."""
    rows = []
    for name in PUBLISHED:
        count = counts(name)
        read = 2 * (count["decoder"] + count["embedding"])
        rows.append([name, f"{read / 1e6:.0f} MB", f"{BANDWIDTH / read:.1f}"])
    return table(["model", "weights read for a token", "tokens a second, at most"], rows, numbers=True)


def flops_per_token() -> str:
    """What one token of the input takes in the encoder's matrices, and how many tokens a second that allows."""
    rows = []
    for name in PUBLISHED:
        operations = 2 * counts(name)["encoder"]
        rows.append([name, f"{operations / 1e9:.2f} billion", f"{PEAK / operations:.0f}"])
    return (f"At {PEAK / 1e9:.0f} billion operations a second, which two laptop cores with AVX2 do:\n\n"
            + table(["model", "operations for a token", "tokens a second, at most"], rows, numbers=True))


def instruction_sets() -> str:
    """The registers of each instruction set, and the tile of sums that they hold, from the code."""
    tile = re.search(r"tile_rows = registers == 32 \? (\d+) : (\d+), panel_cols = 2 \* lanes;", TILES.read_text())
    rows = []
    for name, text in re.findall(r"^namespace t5gemma2::kernel::(\w+) \{\n(.*?)^#include", SIMD.read_text(), re.M | re.S):
        found = re.findall(r"register_bytes = (\d+), registers = (\d+);", text)
        processors = ["aarch64", "x86-64"] if "__aarch64__" in text else ["x86-64"]
        for processor, (size, count) in zip(processors, found, strict=True):
            lanes = int(size) // 4
            rows.append([f"`{name}`", processor, lanes, count, f"{tile[1 if count == '32' else 2]} x {2 * lanes}"])
    head = ["instruction set", "processor", "float32 numbers in a register", "registers", "tile of sums"]
    return table(head, rows, numbers=True)


def pocket_bounds() -> str:
    """Generates with pocket, three times; the best run must keep the bounds."""
    tokens, speeds, memories = "", [], []
    for _ in range(3):
        told = run("build/bin/t5gemma2-generate --ignore-eos -n 200 -f examples/inputs/long.txt 2>&1 >/dev/null")
        found = re.search(r"encode (\d+) tokens.* decode \d+ tokens, ([\d.]+) tok/s \| peak memory (\d+) MB", told)
        assert found, told
        tokens = found[1]
        speeds.append(float(found[2]))
        memories.append(int(found[3]))
    assert max(speeds) >= LEAST_TOKENS, f"pocket decodes {speeds} tokens a second"
    assert min(memories) <= MOST_MEGABYTES, f"pocket takes {memories} MB"
    return (f"`pocket` writes 200 tokens, with {tokens} tokens at the encoder:\n\n"
            f"- more than {LEAST_TOKENS} tokens a second are decoded;\n"
            f"- peak memory, the mapped file included, is below {MOST_MEGABYTES} MB.")
