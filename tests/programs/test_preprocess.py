"""t5gemma2-preprocess: images as the model sees them, as PNG or as float32 for weights_tool record --pixel-values."""
import numpy as np
import pytest
from PIL import Image
from running import SHAPES, output, refused, run


@pytest.mark.parametrize("size", [1, 16, 97])
def test_npy_holds_the_pixels_of_the_png(tmp_path, size):
    halves = np.random.default_rng(size).integers(0, 256, (40, 60, 3), np.uint8)
    halves[:20, :20], halves[20:, 40:] = 0, 255
    Image.fromarray(halves).save(tmp_path / "halves.png")
    for name in ("x.png", "x.npy"):
        output("preprocess", tmp_path / "halves.png", "--image-size", size, "-o", tmp_path / name)
    with Image.open(tmp_path / "x.png") as image:
        bytes_ = np.asarray(image.convert("RGB"), np.float32)
    pixels = np.load(tmp_path / "x.npy")
    assert pixels.dtype == np.dtype("<f4") and pixels.shape == (1, 3, size, size) and pixels.flags.c_contiguous
    expected = (bytes_ - np.float32(127.5)) / np.float32(127.5)
    assert np.array_equal(pixels[0], expected.transpose(2, 0, 1))
    assert size == 1 or (pixels.min(), pixels.max()) == (-1, 1)


def test_npy_is_aligned_as_numpy_writes_it(tmp_path):
    output("preprocess", SHAPES, "--image-size", 8, "-o", tmp_path / "x.npy")
    data = (tmp_path / "x.npy").read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00" and (len(data) - 4 * 3 * 8 * 8) % 64 == 0


@pytest.mark.parametrize("name", ["X.PNG", "X.Npy"])
def test_endings_in_capitals(tmp_path, name):
    output("preprocess", SHAPES, "--image-size", 8, "-o", tmp_path / name)
    assert (tmp_path / name).read_bytes()[1:4] == (b"PNG" if name == "X.PNG" else b"NUM")


@pytest.mark.parametrize("name", ["x.jpg", "x", "png", ".npy", "x.npz", "x.png.gz"])
def test_other_endings_are_wrong_usage(tmp_path, name):
    refused(run("preprocess", "/no/such/image.png", "-o", tmp_path / name), 2, "expected a .png or .npy file, found")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "x.npy").mkdir()
    refused(run("preprocess", SHAPES, "--image-size", 8, "-o", tmp_path / "x.npy"), 1, "x.npy")
    refused(run("preprocess", SHAPES, "--image-size", 8, "-o", tmp_path / "no/x.npy"), 1, "make it first")
