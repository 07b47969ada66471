"""The symbols of transformers and torch that docs/reading_guide.md and the headers name exist in the pinned versions."""

import importlib
import re
from pathlib import Path

import pytest
import transformers

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "reading_guide.md"
TRANSFORMERS = Path(transformers.__file__).parent
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


def references(header: Path) -> list[tuple[str, str]]:
    """(file, symbol) of "Reference: transformers FILE SYMBOL, SYMBOL; FILE SYMBOL" in the header's opening comment."""
    lines = header.read_text().split("#pragma once")[0].splitlines()
    paragraphs = "\n".join(line.removeprefix("//").strip() for line in lines).split("\n\n")
    found = []
    for paragraph in paragraphs:
        if match := re.match(r"Reference: transformers (.*)", paragraph.replace("\n", " ")):
            for one in match[1].rstrip(".").split("; "):
                file, _, names = one.partition(" ")
                found += [(file, name) for name in names.split(", ")]
    return found


def defines(file: str, symbol: str) -> bool:
    path = TRANSFORMERS / file
    names = symbol.split(".")
    return path.is_file() and all(re.search(rf"^\s*(class|def) {name}\b", path.read_text(), re.M) for name in names)


def test_every_reference_of_a_header_exists():
    named = {header: references(header) for header in sorted((ROOT / "t5gemma2").rglob("*.hpp"))}
    assert sum(map(bool, named.values())) >= 13
    wrong = [(str(h.relative_to(ROOT)), *r) for h, rs in named.items() for r in rs if not defines(*r)]
    assert wrong == []
    unread = [str(h.relative_to(ROOT)) for h, rs in named.items() if not rs and "Reference: transformers" in h.read_text()]
    assert unread == []
