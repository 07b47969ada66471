"""The programs run on every x86-64 processor: instructions beyond SSE2 stand in the kernels of their instruction set alone."""
import platform
import re
import shutil
import subprocess

import pytest
from running import PROGRAMS

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
PAIRS = re.compile(r"\tv(dpbf16ps|cvtne2?ps2bf16)\b")  # which processors with AVX-512 need not have
TILES = re.compile(r"\tt(dpbf16ps|ileloadd|ilestored|ilezero)\b")
WIDE = re.compile(r"%[yz]mm\d|\tv[a-z0-9]+[ps][sd] ")  # registers of AVX and AVX-512, and VEX forms of SSE's


def functions_with(*instructions: re.Pattern) -> list[set[str]]:
    """For each kind of instruction, the functions of the programs in which it stands."""
    done = subprocess.run(["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", PROGRAMS / "t5gemma2"],
                          check=True, capture_output=True, text=True)
    functions, function = [set() for _ in instructions], ""
    for line in done.stdout.splitlines():
        if found := FUNCTION.match(line):
            function = found[1]
        else:
            for kind, names in zip(instructions, functions, strict=True):
                if kind.search(line):
                    names.add(function)
    return functions


@pytest.mark.skipif(platform.machine() != "x86_64" or not shutil.which("objdump"), reason="x86-64's objdump")
def test_instructions_are_used_by_kernels_of_their_instruction_set_alone():
    functions, pairs, tiles = functions_with(WIDE, PAIRS, TILES)
    assert pairs and all("Bf16Pairs" in name for name in pairs)
    assert tiles and all("AmxTiles" in name for name in tiles)
    kernels = {name for name in functions if re.search(r"\bkernel::avx(2|512)::", name)}
    assert any("kernel::avx2::" in name for name in kernels) and any("kernel::avx512::" in name for name in kernels)
    assert functions == kernels
