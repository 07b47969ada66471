"""Scenes of one to four coloured shapes and their captions.

A generator takes a random.Random and returns (prompt, answer, content, scenes). Lengths are parts of the picture's
width; x runs to the right and y downwards. Two things never overlap, and every scene has one right caption:

    1  a large red circle in the top left               (or another corner, or the middle)
    2  a large red circle left of a small blue square   (or above; clearly one of the two)
    3  left to right: a small red circle, a large blue square, a small grey cross   (as are 4; clearly so)
"""
from dataclasses import dataclass
from itertools import combinations
from math import hypot
from random import Random

SHAPES = ("circle", "square", "triangle", "diamond", "cross")
COLOURS = {"red": (214, 48, 49), "orange": (240, 140, 32), "yellow": (245, 214, 61), "green": (46, 158, 79),
           "blue": (41, 98, 214), "purple": (134, 62, 172), "grey": (136, 140, 146), "black": (32, 34, 38)}
BACKGROUNDS = ((255, 255, 255), (250, 247, 240), (240, 246, 252), (243, 250, 243), (252, 243, 246), (240, 240, 242))
CORNERS = {"top left": (-1, -1), "top right": (1, -1), "bottom left": (-1, 1), "bottom right": (1, 1), "middle": (0, 0)}
RADII = {"large": (0.15, 0.185), "small": (0.085, 0.11)}
MAX_THINGS = 4
COLOUR_SPREAD = 8       # of each channel, so that no exact value is learnt
BORDER = 0.02           # from a thing to the picture's edge
GAP = 0.04              # between two things
CLEARLY_BESIDE = 0.11   # how much |dx| and |dy| of two things differ
CLEARLY_ORDERED = 0.09  # from one thing to the next on the right, of three or four

Places = list[tuple[float, float]]


@dataclass(frozen=True)
class Name:
    """What a thing is called."""
    size: str
    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.size} {self.colour} {self.shape}"


@dataclass(frozen=True)
class Thing:
    name: Name
    x: float
    y: float
    radius: float
    fill: tuple[int, int, int]


@dataclass(frozen=True)
class Scene:
    things: tuple[Thing, ...]  # in the order of the caption
    background: tuple[int, int, int]
    outlined: bool

    @property
    def content(self) -> str:
        """What is in it, wherever that lies; of a single thing also where, as these are few."""
        if len(self.things) == 1:
            return caption(self)
        return ", ".join(sorted(str(thing.name) for thing in self.things))


def a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def plural(noun: str) -> str:
    return noun + ("es" if noun == "cross" else "s")


def random_name(rng: Random, **known: str) -> Name:
    drawn = {"size": rng.choice(("large", "small")), "colour": rng.choice(tuple(COLOURS)), "shape": rng.choice(SHAPES)}
    return Name(**drawn | known)


def make_scene(rng: Random, names: list[Name]) -> Scene:
    """These things, somewhere."""
    places = None
    while places is None:
        radii = [rng.uniform(*RADII[name.size]) for name in names]
        places = PLACING[len(names)](rng, radii)
    things = tuple(Thing(name, *place, radius, shade(rng, name.colour))
                   for name, place, radius in zip(names, places, radii))
    return Scene(things, rng.choice(BACKGROUNDS), rng.random() < 0.4)


def shade(rng: Random, colour: str) -> tuple[int, int, int]:
    return tuple(max(0, min(255, channel + rng.randint(-COLOUR_SPREAD, COLOUR_SPREAD))) for channel in COLOURS[colour])


def all_apart(places: Places, radii: list[float]) -> bool:
    circles = list(zip(places, radii))
    return all(hypot(x1 - x2, y1 - y2) > 1.1 * (r1 + r2) + GAP
               for ((x1, y1), r1), ((x2, y2), r2) in combinations(circles, 2))


def anywhere(rng: Random, radius: float) -> float:
    """A coordinate at which a thing lies within the picture."""
    return rng.uniform(radius + BORDER, 1 - radius - BORDER)


def in_a_corner(rng: Random, radii: list[float]) -> Places:
    def along(side: int) -> float:
        nearest, farthest = (0, 0.06) if side == 0 else (0.17, 0.48 - radii[0])
        return 0.5 + (side or rng.choice((-1, 1))) * rng.uniform(nearest, farthest)
    across, down = CORNERS[rng.choice(tuple(CORNERS))]
    return [(along(across), along(down))]


def beside(rng: Random, radii: list[float]) -> Places | None:
    """The first left of the second or above it; nothing when this is not clear."""
    places = [(anywhere(rng, radius), anywhere(rng, radius)) for radius in radii]
    (x1, y1), (x2, y2) = places
    clear = max(x2 - x1 - abs(y2 - y1), y2 - y1 - abs(x2 - x1)) > CLEARLY_BESIDE
    return places if clear and all_apart(places, radii) else None


def left_to_right(rng: Random, radii: list[float]) -> Places | None:
    """Each clearly to the right of the one before; nothing when the tries for one have failed."""
    first, last = radii[0] + BORDER, 1 - radii[-1] - BORDER
    free = last - first - CLEARLY_ORDERED * (len(radii) - 1)
    shares = sorted(rng.uniform(0, free) for _ in radii)
    places: Places = []
    for i, (share, radius) in enumerate(zip(shares, radii)):
        x = first + share + CLEARLY_ORDERED * i
        tries = [(x, anywhere(rng, radius)) for _ in range(5)]
        place = next((place for place in tries if all_apart([*places, place], radii)), None)
        if place is None or not radius + BORDER <= x <= 1 - radius - BORDER:
            return None
        places.append(place)
    return places


PLACING = {1: in_a_corner, 2: beside, 3: left_to_right, 4: left_to_right}


def corner(one: Thing) -> str:
    """Where in the picture a single thing is."""
    def side(at: float) -> int:
        return 0 if abs(at - 0.5) < 0.1 else 1 if at > 0.5 else -1
    return next(name for name, sides in CORNERS.items() if sides == (side(one.x), side(one.y)))


def relation(one: Thing, other: Thing) -> str:
    """On what side of the other thing the one is."""
    dx, dy = one.x - other.x, one.y - other.y
    if abs(dx) > abs(dy):
        return "left" if dx < 0 else "right"
    return "above" if dy < 0 else "below"


def caption(scene: Scene) -> str:
    names = [a(str(thing.name)) for thing in scene.things]
    if len(names) == 1:
        return f"{names[0]} in the {corner(scene.things[0])}"
    if len(names) == 2:
        return f"{names[0]} {relation(*scene.things).replace('left', 'left of')} {names[1]}"
    return "left to right: " + ", ".join(names)


def captioned(things: int):
    def generate(rng: Random):
        scene = make_scene(rng, [random_name(rng) for _ in range(things)])
        return "<start_of_image>describe", caption(scene), scene.content, (scene,)
    return generate


CAPTIONS = {f"{n} object{'s' if n > 1 else ''}": captioned(n) for n in range(1, MAX_THINGS + 1)}
