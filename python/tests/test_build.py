"""What a build says where something is missing, and what the README shows."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_missing_packages_are_named(tmp_path):
    """pkg-config finds nothing, so all that it looks for is missing."""
    done = subprocess.run(["cmake", "-S", ROOT / "python", "-B", tmp_path], capture_output=True, text=True,
                          env={**os.environ, "PKG_CONFIG_LIBDIR": str(tmp_path), "PKG_CONFIG_PATH": ""})
    assert done.returncode != 0
    command = re.search(r"sudo apt-get install (.*)", done.stderr)
    assert command and command[1].split() == ["libeigen3-dev", "libxxhash-dev", "libstb-dev", "libjpeg-dev",
                                              "nlohmann-json3-dev"], done.stderr


def test_the_readme_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "python/README.md").read_text(), re.M | re.S)
    assert len(blocks) == 4
    scope: dict = {}
    for block in blocks:
        exec(block, scope)  # one after the other: each goes on with what the one before made
    assert scope["report"].passed and scope["logits"].shape == (2, 1235) and scope["vectors"].shape == (2, 128)
    assert "thirty-nine thousand six hundred twenty-nine" in capsys.readouterr().out
