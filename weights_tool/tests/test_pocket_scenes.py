"""Pictures: captions and answers read off the scene's geometry, and the geometry off the pixels."""
import io
import re
from collections import Counter
from itertools import combinations
from random import Random

import numpy as np
import pytest
from PIL import Image

from t5gemma2_weights_tool.pocket import drawing, items, scenes
from t5gemma2_weights_tool.pocket.items import Item
from t5gemma2_weights_tool.pocket.scenes import Scene, Thing

NAME = r"(large|small) (\w+) (\w+)"


def drawn(task: str, kind: str | None = None, n: int = 200) -> list[Item]:
    rng = Random(11)
    return [items.draw(task, rng, i % 10 == 0, kind) for i in range(n)]


def names(scene: Scene) -> list[tuple[str, str, str]]:
    return [(thing.name.size, thing.name.colour, thing.name.shape) for thing in scene.things]


def test_things_are_apart_and_of_two_sizes():
    for item in drawn("caption"):
        for thing in item.scenes[0].things:
            assert thing.radius < thing.x < 1 - thing.radius and thing.radius < thing.y < 1 - thing.radius
            assert 0.14 < thing.radius < 0.2 if thing.name.size == "large" else 0.08 < thing.radius < 0.115
        for one, other in combinations(item.scenes[0].things, 2):
            assert np.hypot(one.x - other.x, one.y - other.y) > one.radius + other.radius + 0.04


def test_caption_of_one():
    for item in drawn("caption", "1 object"):
        name, place = re.fullmatch(f"a {NAME} in the ([a-z ]+)", item.answer).groups()[:3], item.answer.split(" in the ")[1]
        thing, = item.scenes[0].things
        assert [name] == names(item.scenes[0])
        x, y = thing.x - 0.5, thing.y - 0.5
        if place == "middle":
            assert max(abs(x), abs(y)) < 0.07
        else:
            assert place == ("bottom" if y > 0 else "top") + (" right" if x > 0 else " left") and min(abs(x), abs(y)) > 0.16


def test_caption_of_two():
    relations = Counter()
    for item in drawn("caption", "2 objects"):
        *both, relation = re.fullmatch(f"a {NAME} (?P<how>left of|above) a {NAME}", item.answer).group(1, 2, 3, 5, 6, 7, "how")
        one, other = item.scenes[0].things
        assert [tuple(both[:3]), tuple(both[3:])] == names(item.scenes[0])
        dx, dy = other.x - one.x, other.y - one.y
        assert (dx - abs(dy) if relation == "left of" else dy - abs(dx)) > 0.1
        relations[relation] += 1
    assert min(relations.values()) > 70


@pytest.mark.parametrize("count", [3, 4])
def test_caption_of_more(count):
    for item in drawn("caption", f"{count} objects", 100):
        things = item.scenes[0].things
        assert re.findall(f"a {NAME}", item.answer.removeprefix("left to right: ")) == names(item.scenes[0])
        assert len(things) == count
        assert all(right.x - left.x > 0.08 for left, right in zip(things, things[1:]))


def side(one: Thing, other: Thing) -> str:
    if abs(one.x - other.x) > abs(one.y - other.y):
        return "left" if one.x < other.x else "right"
    return "above" if one.y < other.y else "below"


def answer(item: Item) -> str:
    """By looking at the scene; fails when there is more than one right answer."""
    question, seen = item.prompt.replace("<start_of_image>", ""), names(item.scenes[0])
    patterns = {
        "how many": r"how many (.*) are there\?", "what colour": r"what colour is the (\w+)\?",
        "what shape": r"what shape is (\w+)\?", "is there": r"is there an? (\w+) (\w+)\?",
        "what side": r"on what side of the (\w+) is the (\w+)\?", "which image": r"in which image is an? (\w+) (\w+)\?"}
    words = re.fullmatch(patterns[item.kind], question).groups()
    match item.kind:
        case "how many":
            what = words[0].removesuffix(" shapes")
            plurals = {shape + "s": shape for shape in scenes.SHAPES} | {"crosses": "cross"}
            return str(len(seen) if what == "shapes" else sum(plurals.get(what, what) in name for name in seen))
        case "what colour":
            colour, = [name[1] for name in seen if name[2] == words[0]]
            return colour
        case "what shape":
            shape, = [name[2] for name in seen if name[1] == words[0]]
            return shape
        case "is there":
            return "yes" if words in [name[1:] for name in seen] else "no"
        case "what side":
            (other,), (one,) = [[thing for thing in item.scenes[0].things if thing.name.shape == word] for word in words]
            return side(one, other)
        case "which image":
            first, second = [words in [name[1:] for name in names(scene)] for scene in item.scenes]
            assert first != second
            return "first" if first else "second"


@pytest.mark.parametrize("kind, answers", [
    ("how many", None), ("what colour", tuple(scenes.COLOURS)), ("what shape", scenes.SHAPES), ("is there", ("yes", "no")),
    ("what side", ("left", "right", "above", "below")), ("which image", ("first", "second"))])
def test_questions(kind, answers):
    rng = Random(13)
    found = [items.draw("question", rng, False, kind) for _ in range(1000)]
    assert all(answer(item) == item.answer for item in found)
    counts = Counter(item.answer for item in found)
    if kind == "how many":
        assert set(counts) == set("01234") and max(counts.values()) < 350 and min(counts.values()) > 50
    else:
        assert set(counts) == set(answers)
        assert all(0.7 < n * len(answers) / 1000 < 1.35 for n in counts.values()), counts
    assert all(answer(item) == item.answer for item in drawn("question", kind, 30))


@pytest.mark.parametrize("present, low, high", [("no", 0.7, 0.95), ("yes", 0.1, 0.5)])
def test_things_that_nearly_answer(present, low, high):
    """Things of the asked shape in another colour, or the other way round."""
    near = [any((name[1] == colour) != (name[2] == shape) for name in names(item.scenes[0]))
            for item in drawn("question", "is there", 600) if item.answer == present
            for colour, shape in [item.prompt.rstrip("?").split()[-2:]]]
    assert low < np.mean(near) < high


def test_file_and_pixels_are_one_picture():
    for item in drawn("caption", n=40):
        scene, file = item.scenes[0], io.BytesIO()
        drawing.picture(scene).save(file, "PNG")
        with Image.open(file) as saved:
            shrunk = np.asarray(saved.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR))
        assert np.array_equal(shrunk, drawing.pixels(scene)) and shrunk.shape == (64, 64, 3) and shrunk.dtype == np.uint8


INSIDE = {"circle": [(0.62, 0.62), (-0.9, 0), (0, -0.9)], "square": [(0.75, 0.75), (-0.75, -0.75)],
          "triangle": [(0.75, 0.65), (-0.75, 0.65), (0, -0.8)], "diamond": [(0, 0.95), (0, -0.95), (0.7, 0), (-0.35, 0.45)],
          "cross": [(0.9, 0.2), (0.2, -0.9), (-0.9, 0), (0, 0.9)]}
OUTSIDE = {"circle": [(0.75, 0.75)], "square": [(0.9, 0), (0, -0.9)], "triangle": [(0.6, -0.6), (0, 0.85), (-0.6, -0.6)],
           "diamond": [(0.6, 0.6), (-0.9, 0)], "cross": [(0.5, 0.5), (-0.5, 0.5)]}


@pytest.mark.parametrize("size", [64, 256, 500])
def test_shapes_and_colours(size):
    seen = set()
    for item in drawn("caption", n=60):
        scene = item.scenes[0]
        pixels = np.asarray(drawing.picture(scene, size)).astype(int)
        for thing in scene.things:
            def at(dx: float, dy: float) -> np.ndarray:
                return pixels[int((thing.y + dy * thing.radius) * size), int((thing.x + dx * thing.radius) * size)]
            if size > 64:  # where a pixel is small against the shapes
                for dx, dy in INSIDE[thing.name.shape]:
                    assert (at(dx, dy) != scene.background).any(), thing
                for dx, dy in OUTSIDE[thing.name.shape]:
                    assert (at(dx, dy) == scene.background).all(), thing
            distances = {name: np.abs(at(0, 0) - colour).max() for name, colour in scenes.COLOURS.items()}
            assert min(distances, key=distances.get) == thing.name.colour and distances[thing.name.colour] <= 8
            seen.add(thing.name)
        assert (pixels[0, 0] == scene.background).all() and min(scene.background) > 235
    assert len({name.shape for name in seen}) == 5 and len({name.colour for name in seen}) == 8


def test_outlines_are_darker():
    outlined = [item.scenes[0].outlined for item in drawn("caption", n=300)]
    assert 0.3 < np.mean(outlined) < 0.5
    thing = Thing(scenes.Name("large", "red", "square"), 0.5, 0.5, 0.2, (200, 100, 50))
    scene = Scene((thing,), (255, 255, 255), True)
    row = np.asarray(drawing.picture(scene))[128]
    left = 128 - round(0.82 * 0.2 * 256)
    assert tuple(row[left + 1]) == (110, 55, 27) and tuple(row[left + 5]) == (200, 100, 50)
    assert tuple(row[left - 2]) == (255, 255, 255)
