"""Speed and memory: what is computed from sizes, and bounds that every run of docs/make measures again."""
import re

from repository import run
from sizes import PUBLISHED, counts
from tables import table

BANDWIDTH = 20e9  # bytes a second, of a plain laptop's memory
LEAST_TOKENS = 40  # a second, decoded by pocket on a busy machine
MOST_MEGABYTES = 40


def bytes_per_token() -> str:
    """What one decoding step reads of the weights, and how many steps a second that allows."""
    rows = []
    for name in PUBLISHED:
        count = counts(name)
        read = 2 * (count["decoder"] + count["embedding"])
        rows.append([name, f"{read / 1e6:.0f} MB", f"{BANDWIDTH / read:.1f}"])
    return table(["model", "weights read for a token", "tokens a second, at most"], rows, numbers=True)


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
