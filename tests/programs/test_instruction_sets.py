"""The programs run on every x86-64 processor: instructions beyond SSE2 stand in the kernels of their instruction set alone."""
import platform
import re
import shutil
import subprocess

import pytest
from running import PROGRAMS

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
WIDE = re.compile(r"%[yz]mm\d|\tv[a-z0-9]+[ps][sd] ")  # registers of AVX and AVX-512, and VEX forms of SSE's


@pytest.mark.skipif(platform.machine() != "x86_64" or not shutil.which("objdump"), reason="x86-64's objdump")
def test_wide_registers_are_used_by_kernels_of_their_instruction_set_alone():
    done = subprocess.run(["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", PROGRAMS / "t5gemma2"],
                          check=True, capture_output=True, text=True)
    functions, function = set(), ""
    for line in done.stdout.splitlines():
        if found := FUNCTION.match(line):
            function = found[1]
        elif WIDE.search(line):
            functions.add(function)
    kernels = {name for name in functions if re.search(r"\bkernel::avx(2|512)::", name)}
    assert any("kernel::avx2::" in name for name in kernels) and any("kernel::avx512::" in name for name in kernels)
    assert functions == kernels
