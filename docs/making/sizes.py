"""The sizes of the published models, and what t5gemma2-inspect says of sizes alone."""
import re
from functools import cache
from typing import Any

from repository import ROOT, run
from t5gemma2_weights_tool.config import PRESETS, read_json

PUBLISHED = {f"{side}-{side}": PRESETS / f"{side}-{side}.json".lower() for side in ("270M", "1B", "4B")}
CONFIGS = PUBLISHED | {"Gemma 2 2B": ROOT / "docs/making/gemma2-2b.json"}
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


def config_of(name: str) -> dict[str, Any]:
    """The config.json of a model, by its name in CONFIGS."""
    return read_json(CONFIGS[name])


@cache
def counts(name: str) -> dict[str, int]:
    """Numbers of parameters that t5gemma2-inspect prints of a model, by part."""
    text = run(f"build/bin/t5gemma2-inspect -q {CONFIGS[name]}")
    found = {part: int(re.search(rf"^  {re.escape(row)} +(\d+)", text, re.M)[1]) for part, row in PARTS.items()}
    assert found["baseline"] == found["encoder"] + found["decoder"] + 2 * found["embedding"] + found["cross"]
    return found


def millions(count: int) -> str:
    """A count in millions, 4 digits."""
    return f"{count / 1e6:.1f} M" if count < 1e9 else f"{count / 1e6:.0f} M"
