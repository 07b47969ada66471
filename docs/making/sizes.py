"""What t5gemma2-inspect says of sizes alone."""
import re

from repository import run

PRESETS = "weights_tool/t5gemma2_weights_tool/presets"
SIZES = {
    "270M-270M": f"{PRESETS}/270m-270m.json",
    "1B-1B": f"{PRESETS}/1b-1b.json",
    "4B-4B": f"{PRESETS}/4b-4b.json",
    "Gemma 2 2B": "docs/making/gemma2-2b.json",
}
PARTS = {
    "embedding": "embedding (counted once)",
    "encoder": "encoder layers and norm",
    "decoder": "decoder layers and norm",
    "text": "text model",
    "vision": "vision encoder and projector",
    "all": "all",
    "baseline": "baseline",
    "cross": "no cross-attention",
}


def counts(file: str) -> dict[str, int]:
    """Numbers of parameters that t5gemma2-inspect prints, by part."""
    text = run(f"build/bin/t5gemma2-inspect -q {file}")
    found = {part: int(re.search(rf"^  {re.escape(row)} +(\d+)", text, re.M)[1]) for part, row in PARTS.items()}
    assert found["baseline"] == found["encoder"] + found["decoder"] + 2 * found["embedding"] + found["cross"]
    return found


def millions(count: int) -> str:
    """A count in millions, 4 digits."""
    return f"{count / 1e6:.1f} M" if count < 1e9 else f"{count / 1e6:.0f} M"
