"""Every header compiles alone: it includes all that it uses. One that includes a header of BASES is given that one
precompiled: it then sees no more than it would see anyway, and Eigen and JSON are parsed a few times, not eighty.

Run: python3 tests/project/headers_alone.py CLANG FLAG...
"""
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from include_graph import ROOT, includes

# The largest first: a header gets the first of them that it includes.
BASES = [ROOT / "t5gemma2" / name
         for name in ("generate.hpp", "vision/vision.hpp", "weights.hpp", "io/json_fields.hpp", "tensor.hpp")]


def reached(header: Path) -> set[Path]:
    """The headers of ours that `header` includes, itself or through others."""
    found: set[Path] = set()
    todo = [header]
    while todo:
        new = set(includes(todo.pop(), [ROOT])) - found
        found |= new
        todo += new
    return found


def main(compiler: list[str]) -> int:
    headers = sorted([*(ROOT / "t5gemma2").rglob("*.hpp"), *(ROOT / "examples").rglob("*.hpp")])
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        precompiled = {base: f"{folder}/{number}.pch" for number, base in enumerate(BASES)}

        def run(*arguments) -> bool:
            return subprocess.run([*compiler, *map(str, arguments)], cwd=ROOT, stdin=subprocess.DEVNULL).returncode == 0

        def precompile(base: Path) -> bool:
            return run("-fpch-instantiate-templates", "-x", "c++-header", base, "-o", precompiled[base])

        def compile_alone(header: Path) -> bool:
            base = next((base for base in BASES if base in reached(header)), None)
            given = ["-include-pch", precompiled[base]] if base else []
            return run(*given, "-fsyntax-only", "-include", header, "-x", "c++", os.devnull)

        if not all(pool.map(precompile, BASES)):
            return 1
        others = [header for header in headers if header not in BASES]
        return 0 if all(list(pool.map(compile_alone, others))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
