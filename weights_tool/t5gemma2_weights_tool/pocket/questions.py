"""Questions about scenes, each with one right answer; the answers come equally often.

A generator takes a random.Random and returns (prompt, answer, content, scenes).
"""
from random import Random

from .scenes import COLOURS, MAX_THINGS, SHAPES, Name, Scene, a, make_scene, plural, random_name, relation

PART = " | "
IMAGE = "<start_of_image>"


def ask(question: str, answer: str, *scenes: Scene):
    return IMAGE * len(scenes) + question, answer, PART.join(scene.content for scene in scenes), scenes


def others(rng: Random, count: int, **avoided: str) -> list[Name]:
    """Names that differ from `avoided` in one of its parts at least."""
    names: list[Name] = []
    while len(names) < count:
        name = random_name(rng)
        if any(getattr(name, part) != value for part, value in avoided.items()):
            names.append(name)
    return names


def shuffled(rng: Random, names: list[Name]) -> list[Name]:
    return rng.sample(names, len(names))


def how_many(rng: Random):
    """Of a shape, of a colour, or in all."""
    about = rng.choice(("shape", "colour", "all"))
    if about == "all":
        count = rng.randint(1, MAX_THINGS)
        return ask("how many shapes are there?", str(count), make_scene(rng, [random_name(rng) for _ in range(count)]))
    count = rng.randint(0, MAX_THINGS - 1)
    known = {about: rng.choice(SHAPES if about == "shape" else tuple(COLOURS))}
    names = [random_name(rng, **known) for _ in range(count)]
    names += others(rng, rng.randint(0 if count else 1, MAX_THINGS - count), **known)
    what = plural(known["shape"]) if about == "shape" else f"{known['colour']} shapes"
    return ask(f"how many {what} are there?", str(count), make_scene(rng, shuffled(rng, names)))


def what_colour(rng: Random):
    name = random_name(rng)
    names = [name, *others(rng, rng.randint(0, MAX_THINGS - 1), shape=name.shape)]
    return ask(f"what colour is the {name.shape}?", name.colour, make_scene(rng, shuffled(rng, names)))


def what_shape(rng: Random):
    name = random_name(rng)
    names = [name, *others(rng, rng.randint(0, MAX_THINGS - 1), colour=name.colour)]
    return ask(f"what shape is {name.colour}?", name.shape, make_scene(rng, shuffled(rng, names)))


def with_and_without(rng: Random) -> tuple[Name, list[Name], list[Name]]:
    """A name; the names of a scene that has such a colour and shape together; those of a scene that has not."""
    name = random_name(rng)
    known = {"colour": name.colour, "shape": name.shape}
    instead = replaced(rng, name, rng.choice(tuple(known))) if rng.random() < 0.7 else others(rng, 1, **known)[0]
    count = rng.randint(0, 2)
    present, absent = [[one, *others(rng, count, **known)] for one in (name, instead)]
    return name, shuffled(rng, present), shuffled(rng, absent)


def replaced(rng: Random, name: Name, part: str) -> Name:
    """The name with another shape or colour."""
    values = [value for value in (SHAPES if part == "shape" else COLOURS) if value != getattr(name, part)]
    return random_name(rng, **{"colour": name.colour, "shape": name.shape, part: rng.choice(values)})


def is_there(rng: Random):
    name, present, absent = with_and_without(rng)
    answer, names = rng.choice((("yes", present), ("no", absent)))
    return ask(f"is there {a(f'{name.colour} {name.shape}')}?", answer, make_scene(rng, names))


def what_side(rng: Random):
    name = random_name(rng)
    scene = make_scene(rng, shuffled(rng, [name, *others(rng, 1, shape=name.shape)]))
    one, other = shuffled(rng, list(scene.things))
    return ask(f"on what side of the {other.name.shape} is the {one.name.shape}?", relation(one, other), scene)


def which_image(rng: Random):
    name, present, absent = with_and_without(rng)
    scenes = [make_scene(rng, present), make_scene(rng, absent)]
    answer = rng.choice(("first", "second"))
    if answer == "second":
        scenes.reverse()
    return ask(f"in which image is {a(f'{name.colour} {name.shape}')}?", answer, *scenes)


QUESTIONS = {"how many": how_many, "what colour": what_colour, "what shape": what_shape, "is there": is_there,
             "what side": what_side, "which image": which_image}
