"""What `weights_tool record --image` makes of a picture and a prompt, against the engine."""

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from programs import ROOT, run
from t5gemma2_weights_tool.cli import main

POCKET, SHAPES = ROOT / "examples/pocket", ROOT / "examples/inputs/shapes.png"


@pytest.fixture
def turned(tmp_path):
    """A JPEG with an orientation, wider than high."""
    exif = Image.Exif()
    exif[0x0112] = 8
    with Image.open(SHAPES) as image:
        image.convert("RGB").resize((301, 200)).save(tmp_path / "turned.jpg", exif=exif)
    return tmp_path / "turned.jpg"


@pytest.fixture
def clear(tmp_path):
    with Image.open(SHAPES) as image:
        image = image.convert("RGBA")
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        image.save(tmp_path / "clear.png")
    return tmp_path / "clear.png"


def test_pictures(turned, clear, tmp_path):
    """The engine's inputs and, on them, its numbers and words."""
    for images, prompt, theirs in (
            ([SHAPES], "<start_of_image>describe", "describe"),
            ([turned, clear], "<start_of_image> <start_of_image>in which image is the red circle?",
             "in which image is the red circle?"),
            ([clear, SHAPES], "first <start_of_image>, then\n<start_of_image>\n", None),
            ([turned], "", None)):
        flags = [flag for image in images for flag in ("--image", str(image))]
        traced, recorded = tmp_path / "trace.safetensors", tmp_path / "record.safetensors"
        result = run("t5gemma2-trace", POCKET, "-p", prompt, "--decoder-prompt", "one", *flags, "-o", traced)
        assert result.returncode == 0, result.stderr
        assert main(["record", str(POCKET), "--input-text", theirs or prompt, "--decoder-input-text", "one", *flags,
                     "--generate", "12", "-o", str(recorded)]) == 0
        ours, found = load_file(traced), load_file(recorded)
        for name in ("input_ids", "decoder_input_ids"):
            assert np.array_equal(ours[f"inputs.{name}"], found[f"inputs.{name}"]), (prompt, name)
        np.testing.assert_allclose(ours["inputs.pixel_values"], found["inputs.pixel_values"], atol=1e-6)
        result = run("t5gemma2-compare", POCKET, recorded)
        assert result.returncode == 0 and ", 0 over tolerance, 0 missing" in result.stdout, result.stdout + result.stderr
