"""Where the committed fixtures lie."""
from pathlib import Path

DATA = Path(__file__).parents[2] / "tests" / "data"
