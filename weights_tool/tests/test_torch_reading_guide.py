"""The symbols of transformers and torch that docs/reading_guide.md names exist in the pinned versions."""

import importlib
import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "reading_guide.md"
MODULES = ["transformers.models.t5gemma2.modeling_t5gemma2", "transformers"]

pytestmark = pytest.mark.torch


def symbols() -> list[str]:
    rows = [line.split(" | ") for line in GUIDE.read_text().splitlines() if line.startswith("| §")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[-1])]


def exists(name: str) -> bool:
    if "." in name:
        module, attribute = name.rsplit(".", 1)
        return hasattr(importlib.import_module(module), attribute)
    return any(hasattr(importlib.import_module(module), name) for module in MODULES)


def test_every_symbol_exists():
    names = symbols()
    assert len(names) >= 18
    assert [name for name in names if not exists(name)] == []
