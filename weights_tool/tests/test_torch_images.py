"""record --image: the prompt and the pixels are those of the engine; what does not fit is one clear line."""
import io
import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("transformers")

from PIL import Image  # noqa: E402
from safetensors.numpy import load_file, save_file  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

from t5gemma2_weights_tool.cli import main  # noqa: E402
from t5gemma2_weights_tool.config import read_json, read_preset, write_json  # noqa: E402
from t5gemma2_weights_tool.images import read_images  # noqa: E402
from t5gemma2_weights_tool.model import load_config  # noqa: E402
from t5gemma2_weights_tool.prompt import encode_prompt  # noqa: E402
from t5gemma2_weights_tool.random_checkpoint import write_random  # noqa: E402

ROOT = Path(__file__).parents[2]
POCKET, SHAPES = ROOT / "examples/pocket", ROOT / "examples/inputs/shapes.png"
BREAK, BOI, EOI, IMAGE = 41, 5, 6, 7  # "\n\n" and config.json's ids
PICTURE = [BREAK, BOI, *[IMAGE] * 16, EOI, BREAK]
WHITE, BLACK = [255] * 3, [0] * 3


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_file(str(POCKET / "tokenizer.json"))


@pytest.fixture
def record(tmp_path):
    """Runs the command on a checkpoint; the reference file as {name: array}."""
    def run(*arguments, model=POCKET) -> dict:
        output = tmp_path / "reference.safetensors"
        command = ["record", model, "-o", output, "--decoder-length", "2", "--light", *arguments]
        assert main([str(argument) for argument in command]) == 0
        return load_file(output)
    return run


@pytest.fixture
def refused(tmp_path, capsys):
    """Runs the command on a checkpoint that does not like it; the one line it says."""
    def run(*arguments, model=POCKET) -> str:
        assert main(["record", str(model), "-o", str(tmp_path / "r.safetensors"), *map(str, arguments)]) == 1
        line = capsys.readouterr().err
        assert line.count("\n") == 1 and line.startswith("weights_tool: ") and not (tmp_path / "r.safetensors").exists()
        return line
    return run


def expand(tokenizer, prompt: str, images: int, capsys) -> tuple[list[int], str]:
    """The ids of a prompt, and what is said about it."""
    ids = encode_prompt(tokenizer, load_config(POCKET), prompt, images).tolist()[0]
    return ids, capsys.readouterr().err


def test_prompts(tokenizer, capsys):
    def text(words):
        return tokenizer.encode(words, add_special_tokens=False).ids
    a, b = "<start_of_image>", "describe"
    assert expand(tokenizer, f"{a}{b}", 1, capsys) == ([2, *PICTURE, *text(b)], "")
    assert expand(tokenizer, f"x {a} y {a}", 2, capsys) == (
        [2, *text("x \n\n"), *PICTURE[1:-1], *text("\n\n y \n\n"), *PICTURE[1:]], "")
    assert expand(tokenizer, "", 2, capsys) == ([2, *PICTURE[:-1], *text("\n\n \n\n"), *PICTURE[1:]], "")
    assert expand(tokenizer, b, 0, capsys) == ([2, *text(b)], "")


@pytest.mark.parametrize("images, note", [(1, "the image comes first"), (2, "the images come first")])
def test_a_prompt_without_placeholder(tokenizer, capsys, images, note):
    with_them = " ".join(["<start_of_image>"] * images) + "describe"
    ids, said = expand(tokenizer, "describe", images, capsys)
    assert (ids, "") == expand(tokenizer, with_them, images, capsys)
    assert said == f"note: the prompt has no <start_of_image>, so {note}\n"


def test_ids_of_pictures_are_the_configs(tmp_path, record):
    """Also where the tokenizer has other texts for them."""
    for file in POCKET.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    change = {"boi_token_index": 21, "eoi_token_index": 22, "image_token_index": 23}
    config = read_json(tmp_path / "config.json")
    write_json(tmp_path / "config.json", {**config, **change, "encoder": {**config["encoder"], **change}})
    ids = record("--image", SHAPES, model=tmp_path)["inputs.input_ids"]
    assert ids.tolist() == [[2, BREAK, 21, *[23] * 16, 22, BREAK]]


def test_inputs_of_pictures(tmp_path, record):
    """From a file, from the same pixels, with ids that hold the image tokens, at random."""
    first = record("--image", SHAPES, "--input-text", "<start_of_image>describe")
    ids, pixels = first["inputs.input_ids"], first["inputs.pixel_values"]
    np.save(tmp_path / "x.npy", pixels)
    save_file({"pixel_values": pixels}, tmp_path / "x.safetensors")
    id_list = ",".join(map(str, ids[0]))
    for arguments in (("--image", SHAPES, "--input-text", "describe"), ("--image", SHAPES, "--input-ids", id_list),
                      ("--pixel-values", tmp_path / "x.npy", "--input-text", "describe"),
                      ("--pixel-values", tmp_path / "x.safetensors", "--input-ids", id_list)):
        other = record(*arguments)
        assert other.keys() == first.keys() and all(np.array_equal(first[name], other[name]) for name in first)
    two = record("--image", SHAPES, "--image", SHAPES, "--input-length", "50")
    assert two["inputs.pixel_values"].shape == (2, 3, 64, 64)
    assert two["inputs.input_ids"].tolist()[0].count(IMAGE) == 32 and two["inputs.input_ids"].shape == (1, 50)
    alone = record("--pixel-values", tmp_path / "x.npy")
    assert alone["inputs.input_ids"].tolist() == [[2, *PICTURE]]


def pixels_of(file, tmp_path, size: int = 64) -> np.ndarray:
    """What is read, as bytes [size, size, 3]."""
    config = load_config(POCKET)
    config["encoder"]["vision_config"]["image_size"] = size
    values, = read_images([file], config)
    assert values.dtype == np.float32 and np.abs(values).max() <= 1
    return np.rint(values * 127.5 + 127.5).transpose(1, 2, 0)


def test_pixels(tmp_path):
    """What is left of a picture of two pixels: its own colours, on white, turned as EXIF says, 16 bits as 8."""
    def read(image: Image.Image, name="x.png", **options):
        image.save(tmp_path / name, **options)
        return pixels_of(tmp_path / name, tmp_path, 2).tolist()
    clear = Image.new("RGBA", (2, 2), (9, 8, 7, 0))
    clear.putpixel((1, 0), (9, 8, 7, 255))
    assert read(clear) == [[WHITE, [9, 8, 7]], [WHITE, WHITE]]
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 9, 8, 7])
    palette.putpixel((0, 0), 0)
    assert read(palette, "x.gif", transparency=0) == [[WHITE, [9, 8, 7]], [[9, 8, 7], [9, 8, 7]]]
    corner = Image.new("RGB", (2, 2), "white")
    corner.putpixel((0, 0), (0, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read(corner, exif=exif) == [[WHITE, BLACK], [WHITE, WHITE]]
    grey = Image.fromarray(np.array([[0, 255], [256, 65535]], np.uint16))
    assert read(grey) == [[BLACK, BLACK], [[1] * 3, WHITE]]


def test_resizing_is_antialiased(tmp_path):
    """Lines of one pixel become grey, not a pattern; the aspect ratio is not kept."""
    lines = np.zeros((64, 512, 3), np.uint8)
    lines[:, ::2] = 255
    Image.fromarray(lines).save(tmp_path / "x.png")
    assert set(pixels_of(tmp_path / "x.png", tmp_path)[:, 1:-1].ravel()) <= {127, 128}


def half(file: Path) -> bytes:
    content = file.read_bytes()
    return content[:len(content) // 2]


def pgm(width: int, height: int) -> bytes:
    return b"P5 %d %d 255\n" % (width, height)


@pytest.mark.parametrize("content, message", [
    (b"a photo of a cat", "expected an image (JPEG, PNG, BMP, GIF, PNM or TGA), found something else"),
    (b"", "expected an image (JPEG, PNG, BMP, GIF, PNM or TGA), found something else"),
    (half(SHAPES), "cannot read: "),
    (pgm(20000, 20000), "expected an image of at most 100000000 pixels, found more"),
    (pgm(10001, 10000), "expected an image of at most 100000000 pixels, found more"),
    (None, "cannot read: No such file or directory"),
])
def test_no_image(content, message, tmp_path, refused):
    if content is not None:
        (tmp_path / "x.png").write_bytes(content)
    assert f"{tmp_path}/x.png: {message}" in refused("--image", tmp_path / "x.png", "--input-text", "<start_of_image>")


def test_an_image_of_another_kind(tmp_path, refused):
    """Pillow would read it; the engine does not."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "TIFF")
    (tmp_path / "x.png").write_bytes(file.getvalue())
    assert "expected an image (JPEG, " in refused("--image", tmp_path / "x.png")


@pytest.mark.parametrize("arguments, message", [
    (("--input-text", "<start_of_image> and <start_of_image>"), "prompt: <start_of_image>: expected one for each of 1 images, found 2"),
    (("--image", SHAPES, "--input-text", "<start_of_image>"), "prompt: <start_of_image>: expected one for each of 2 images, found 1"),
    (("--input-ids", "2,5,7,7,6"), "inputs: input_ids: expected 16 image tokens for 1 images, found 2"),
    (("--no-encoder-input",), "inputs: input_ids: expected 16 image tokens for 1 images, found 0"),
    (("--input-length", "18"), "--input-length: 18 is too short for 1 images, which need 19 tokens"),
])
def test_pictures_that_do_not_fit(arguments, message, refused):
    assert message in refused("--image", SHAPES, *arguments)


def test_a_placeholder_without_a_picture(refused):
    assert "prompt: <start_of_image>: expected one for each of 0 images, found 1; give --image FILE" in refused(
        "--input-text", "<start_of_image>")


@pytest.mark.parametrize("model, found", [("google/t5gemma-2-270m-270m", "nothing"), (SHAPES, "a file")])
def test_no_folder(model, found, refused):
    assert refused(model=model) == (f"weights_tool: {model}: expected a checkpoint folder, found {found}; the hub's are "
                                    "downloaded by: hf download NAME --local-dir FOLDER\n")


def test_a_model_that_cannot_see(tmp_path, refused, capsys):
    write_random(read_preset("tiny"), tmp_path / "no_tokenizer")
    capsys.readouterr()
    assert "no_tokenizer/tokenizer.json: expected a tokenizer for the text, found nothing; without one give --input-ids" in (
        refused("--image", SHAPES, model=tmp_path / "no_tokenizer"))
    config = json.loads((POCKET / "config.json").read_text())
    del config["encoder"]["vision_config"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert f"{tmp_path}/config.json: encoder.vision_config: expected an object, found nothing" in refused(
        "--image", SHAPES, model=tmp_path)


GOOD = np.zeros((1, 3, 64, 64), np.float32)


@pytest.mark.parametrize("array, message", [
    (GOOD.astype(np.uint8), "x.npy: dtype: expected float32, found uint8"),
    (GOOD.astype(np.float64), "x.npy: dtype: expected float32, found float64"),
    (GOOD + 2, "inputs: pixel_values: expected numbers from -1 to 1, found 2 to 2"),
    (GOOD * np.nan, "inputs: pixel_values: expected numbers from -1 to 1, found nan to nan"),
    (GOOD[0], "inputs: pixel_values: expected [images, 3, 64, 64], found [3, 64, 64]"),
    (GOOD[:0], "inputs: pixel_values: expected [images, 3, 64, 64], found [0, 3, 64, 64]"),
    (GOOD[..., :32], "inputs: pixel_values: expected [images, 3, 64, 64], found [1, 3, 64, 32]"),
    (np.array([None]), "x.npy: cannot read as .npy: Object arrays"),
])
def test_other_arrays(array, message, tmp_path, refused):
    np.save(tmp_path / "x.npy", array)
    assert message in refused("--pixel-values", tmp_path / "x.npy")


@pytest.mark.parametrize("content", [b"", b"PK\3\4 an archive", b"\x93NUMPY\1\0"])
def test_no_array(content, tmp_path, refused):
    (tmp_path / "x.npy").write_bytes(content)
    assert "x.npy: cannot read as .npy: " in refused("--pixel-values", tmp_path / "x.npy")


@pytest.mark.parametrize("arguments, message", [
    (["--image", "a.png", "--pixel-values", "b.npy"], "not allowed with argument"),
    (["--image", "a.png", "--images", "1"], "not allowed with argument"),
    (["--input-text", "a\udcff"], "argument --input-text/-p/--prompt: expected UTF-8, found other bytes"),
])
def test_wrong_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["record", "x", "-o", "y", *arguments])
    assert stop.value.code == 2 and message in capsys.readouterr().err
