"""A checkpoint for t5gemma2-look, its pages, and their content."""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(os.environ.get("T5GEMMA2_PROGRAMS", ROOT / "build/bin")).resolve()
TOKENIZER = ROOT / "tests/data/tokenizer/tokenizer.json"
BASIC = ROOT / "tests/data/basic"  # without a tokenizer
PAGE = ROOT / "examples/programs/look"


def program(name: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([PROGRAMS / f"t5gemma2-{name}", *map(str, arguments)], capture_output=True, text=True)


def template() -> str:
    """The page as CMake assembles it, without data."""
    names = re.search(r"foreach\(name (data .*?)\)", (ROOT / "examples/programs/CMakeLists.txt").read_text())[1].split()
    script = "".join((PAGE / f"{name}.js").read_text(encoding="utf-8") + "\n" for name in names)
    html, style = ((PAGE / f"look.{end}").read_text(encoding="utf-8") for end in ("html", "css"))
    return html.replace("{{style}}", style).replace("{{script}}", script)


def make_model(folder: Path) -> Path:
    """A random checkpoint with two layers and four heads; an image is 4 x 4 tokens."""
    config = json.loads((resources.files("t5gemma2_weights_tool") / "presets/tiny.json").read_text())
    vocabulary = json.loads(TOKENIZER.read_text())["model"]["vocab"]
    ids = {"boi_token_index": vocabulary["<start_of_image>"], "eoi_token_index": vocabulary["<end_of_image>"],
           "image_token_index": vocabulary["<unused5>"]}
    encoder = config["encoder"]
    for part in (config, encoder["text_config"], config["decoder"]):
        part["vocab_size"] = len(vocabulary)
    config.update(ids)
    encoder.update(ids, mm_tokens_per_image=16)
    encoder["vision_config"].update(image_size=56, patch_size=7)
    written = folder.with_suffix(".json")
    written.write_text(json.dumps(config))
    subprocess.run([sys.executable, "-m", "t5gemma2_weights_tool", "random", written, "-o", folder], check=True,
                   capture_output=True)
    shutil.copy(TOKENIZER, folder)
    return folder


def make_image(file: Path, width: int, height: int) -> Path:
    """Writes a bright square on a gradient, as PPM."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], axis=-1).astype(np.uint8)
    pixels[height // 4:height // 2, width // 4:width // 2] = 250
    file.write_bytes(b"P6 %d %d 255\n" % (width, height) + pixels.tobytes())
    return file


class Page:
    """A page's data, and the weights [words, layers, heads, columns] as its scripts compute them."""

    def __init__(self, file: Path):
        self.html = file.read_text(encoding="utf-8")
        self.data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', self.html,
                                         re.DOTALL)[1])
        packed, parts = self.data["weights"], self.data["weights"]["parts"]
        sums = np.frombuffer(base64.b64decode(packed["sums"]), "<f4")
        levels = np.frombuffer(base64.b64decode(packed["levels"]), np.uint8)
        shape = (self.data["shown"], len(self.data["layers"]), self.data["heads"])
        self.sums = sums.reshape(*shape, parts).astype(np.float64)
        squares = levels.reshape(*shape, -1).astype(np.float64) ** 2
        self.part_of = np.array(self._parts())
        self.weights = np.zeros_like(squares)
        for part in range(parts):
            here = squares[..., self.part_of == part]
            all_of_it = here.sum(-1, keepdims=True)
            share = np.divide(here, all_of_it, out=np.zeros_like(here), where=all_of_it > 0)
            self.weights[..., self.part_of == part] = share * self.sums[..., part, None]

    def _parts(self) -> list[int]:
        parts, images = [], 0
        for piece in self.data["prompt"]:
            images += piece["kind"] == "image"
            parts += [images if piece["kind"] == "image" else 0] * piece["size"]
        return parts + [images + 1] * len(self.data["words"])

    def words(self) -> list[str]:
        return [word["text"] for word in self.data["words"]]


def look(model: Path | str, out: Path, *arguments: str | Path) -> Page:
    done = program("look", "-m", model, "-o", out, *arguments)
    assert done.returncode == 0, done.stderr
    return Page(out)


def with_weights(page: Page, file: Path, weights: np.ndarray) -> Page:
    """Writes the page with other weights, [words, layers, heads, columns], or [columns] for every row."""
    whole = np.broadcast_to(weights, page.weights.shape)
    sums, levels = np.zeros(page.sums.shape, "<f4"), np.zeros(whole.shape, np.uint8)
    for part in range(sums.shape[-1]):
        here = whole[..., page.part_of == part]
        sums[..., part] = here.sum(-1)
        largest = here.max(-1, keepdims=True, initial=0)
        share = np.divide(here, largest, out=np.zeros_like(here), where=largest > 0)
        levels[..., page.part_of == part] = np.round(255 * np.sqrt(share))
    html = page.html
    for name, values in (("sums", sums), ("levels", levels)):
        html = html.replace(page.data["weights"][name], base64.b64encode(values.tobytes()).decode())
    file.write_text(html, encoding="utf-8")
    return Page(file)


def with_long_prompt(page: Page, file: Path, tokens: int) -> None:
    """The page's first word alone, in one layer and head, after a prompt of so many tokens; the middle one has the largest weight."""
    data = page.data
    prompt = [{"kind": "text", "text": " a", "first": i, "size": 1, "ids": [i]} for i in range(tokens)]
    levels = np.ones(tokens + len(data["words"]), np.uint8)
    levels[tokens // 2] = 255
    packed = {"sums": np.array([0.75, 0.25], "<f4"), "levels": levels}
    weights = {"parts": 2} | {name: base64.b64encode(values.tobytes()).decode() for name, values in packed.items()}
    long = data | {"prompt": prompt, "layers": ["global"], "heads": 1, "shown": 1, "predictions": data["predictions"][:1],
                   "weights": weights}
    file.write_text(template().replace("{{data}}", json.dumps(long).replace("<", "\\u003c")), encoding="utf-8")
