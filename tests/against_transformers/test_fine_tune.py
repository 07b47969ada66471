"""The worked example of docs/fine_tune.md: trained by peft, run by the engine."""

import re
import subprocess
import sys

from programs import PROGRAMS, ROOT, run


def test_the_example_raises_the_accuracy(tmp_path):
    done = subprocess.run([sys.executable, ROOT / "examples/fine_tune.py", "-o", tmp_path / "adapter", "--engine",
                           PROGRAMS / "t5gemma2-generate"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    before, after = map(float, re.findall(r"([\d.]+) %(?: before|  with| with)", done.stdout.splitlines()[-1]))
    assert before < 10 and after > 90, done.stdout
    answer = run("t5gemma2-generate", "-q", "-m", ROOT / "examples/pocket", "--lora", tmp_path / "adapter", "reverse: ox cat")
    assert answer.returncode == 0 and answer.stdout == "cat ox"
