"""How equal the engine is to transformers: every reference file of the tests, more strictly than compare does by default."""
import re

from repository import ROOT, run
from t5gemma2_weights_tool.markdown import table

TOLERANCE = "2e-5"
FARTHEST = 2  # from what float64 gives, over transformers' own distance


def equality() -> str:
    """A row for each reference file; t5gemma2-compare fails where a tensor is over the tolerance, this where one is too far
    from float64."""
    rows = []
    for reference in sorted((ROOT / "tests/data").glob("*/reference.safetensors")):
        folder = reference.parent.relative_to(ROOT)
        shown = run(f"build/bin/t5gemma2-compare -q --tolerance {TOLERANCE} {folder} {folder / reference.name}")
        compared = re.search(r"^PASSED: (\d+) compared, 0 over tolerance, 0 missing$", shown, re.M)
        tokens = re.search(r"^generated: all (\d+) tokens equal$", shown, re.M)
        truth = re.search(r"^root-mean-square distance .* largest\s+([\d.]+)\s", shown, re.M)
        assert compared and tokens and truth and float(truth[1]) <= FARTHEST, shown
        rows.append([reference.parent.name, compared[1], tokens[1]])
    return table(["reference file", f"tensors, each below {TOLERANCE}", "greedy tokens, all equal"], rows, numbers=True)
