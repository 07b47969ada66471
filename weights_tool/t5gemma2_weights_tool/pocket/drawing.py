"""Scenes as pictures: flat colours on a light background, antialiased, at any size.

Each shape is the set of points whose signed distance to its edge is negative; a pixel is covered by the part of it
that lies inside. The model sees 64 pixels made from 256 as the processor makes them (bilinear with antialiasing).
"""
import numpy as np
from PIL import Image

from .scenes import Scene, Thing

DRAWN = 256        # pixels a side, of the pictures that are shrunk for the model
OUTLINE = 0.012    # of the picture's width
DARKER = 0.55      # the outline, of the fill's colour


def distance(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """To the edge of the shape of radius 1 around the origin, negative inside."""
    across, down = np.abs(x), np.abs(y)
    match shape:
        case "circle":
            return np.hypot(x, y) - 0.95
        case "square":
            return np.maximum(across, down) - 0.82
        case "triangle":
            return np.maximum((1.75 * across - 0.95 * (y + 1)) / np.hypot(1.75, 0.95), y - 0.75)
        case "diamond":
            return (1.3 * across + down - 1.05) / np.hypot(1.3, 1)
        case "cross":
            return np.minimum(np.maximum(across - 0.95, down - 0.3), np.maximum(down - 0.95, across - 0.3))
    raise ValueError(shape)


def draw_thing(canvas: Image.Image, thing: Thing, outlined: bool) -> None:
    left, top = [int((at - thing.radius) * canvas.width) - 2 for at in (thing.x, thing.y)]
    steps = np.arange(int(2 * thing.radius * canvas.width) + 5, dtype=np.float32) + 0.5
    x, y = [((start + steps) / canvas.width - at) / thing.radius for start, at in ((left, thing.x), (top, thing.y))]
    edge = distance(thing.name.shape, x[None, :], y[:, None]) * (thing.radius * canvas.width)
    if outlined:
        canvas.paste(tuple(int(DARKER * channel) for channel in thing.fill), (left, top), inside(edge))
        edge += OUTLINE * canvas.width
    canvas.paste(thing.fill, (left, top), inside(edge))


def inside(edge: np.ndarray) -> Image.Image:
    """The part of each pixel on the inner side of the edge, 0 to 255."""
    return Image.fromarray((np.clip(0.5 - edge, 0, 1) * 255 + 0.5).astype(np.uint8))


def picture(scene: Scene, size: int = DRAWN) -> Image.Image:
    """RGB, `size` pixels a side."""
    canvas = Image.new("RGB", (size, size), scene.background)
    for thing in scene.things:
        draw_thing(canvas, thing, scene.outlined)
    return canvas


def pixels(scene: Scene, size: int = 64) -> np.ndarray:
    """uint8 [size, size, 3], as the processor shrinks `picture`."""
    return np.asarray(picture(scene).resize((size, size), Image.Resampling.BILINEAR))
