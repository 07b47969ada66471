"""Every pixel of random JPEG and BMP files against transformers."""

import io
import random
import shutil

import numpy as np
import pytest
from PIL import Image, ImageOps
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

import random_images
from programs import ROOT, check, run
from t5gemma2_weights_tool.cli import main


def saved(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def jpeg_files():
    """Of every width from 1 to 40: what Pillow writes, and samplings that it does not write."""
    rng = random.Random(6)
    for width in range(1, 41):
        noise = Image.frombytes("RGB", (width, width), rng.randbytes(3 * width * width))
        for sampling in ("4:4:4", "4:2:2", "4:2:0"):
            yield saved(noise, subsampling=sampling, progressive=rng.random() < 0.3, quality=rng.randint(20, 100))
        for height in (width, rng.randint(1, 40)):
            yield random_images.jpeg(rng, width, height)
    for mode, options in ("L", {}), ("CMYK", {}), ("RGB", {"keep_rgb": True}), ("RGB", {"restart_marker_rows": 1}):
        yield saved(noise.convert(mode), **options)


def bmp_files():
    rng = random.Random(7)
    for width in range(1, 41):
        for height in (width, width, rng.randint(1, 40)):
            yield random_images.bmp(rng, width, height)


@pytest.mark.parametrize("files", [jpeg_files, bmp_files])
def test_pixels(files, tmp_path):
    """A square picture in its own size, so that nothing is hidden by resizing; any other in 40 x 40."""
    for i, content in enumerate(files()):
        image = Image.open(io.BytesIO(content))
        size = image.width if image.width == image.height else 40
        processor = Gemma3ImageProcessorPil(size={"height": size, "width": size})
        values = processor(images=ImageOps.exif_transpose(image), return_tensors="np")["pixel_values"][0]
        file = tmp_path / f"{i}.{image.format.lower()}"
        file.write_bytes(content)
        result = run("t5gemma2-preprocess", file, "--image-size", size, "-o", tmp_path / "ours.png")
        assert result.returncode == 0, result.stderr
        ours = np.asarray(Image.open(tmp_path / "ours.png")).transpose(2, 0, 1)
        assert np.array_equal(ours, np.rint(values * 127.5 + 127.5)), file


def test_pixels_as_record_reads_them(tmp_path):
    """What preprocess writes as .npy is what transformers is given, and every tensor of it is ours."""
    model = shutil.copytree(ROOT / "tests/data/images", tmp_path / "model")
    result = run("t5gemma2-preprocess", ROOT / "examples/inputs/shapes.png", "-m", model, "-o", tmp_path / "x.npy")
    assert result.returncode == 0, result.stderr
    assert main(["record", str(model), "--pixel-values", str(tmp_path / "x.npy"), "--input-ids",
                 "2,9,61,63,63,63,63,62,17", "--generate", "8", "-o", str(model / "reference.safetensors")]) == 0
    check(model)
