"""Recipes: what comes with the tool reads, and everything wrong in one is one clear line."""
import copy
import json
from dataclasses import replace

import pytest

from t5gemma2_weights_tool.errors import UserError
from t5gemma2_weights_tool.pocket.recipe import RECIPES, STAGES, read_recipe, with_defaults

SMOKE = json.loads((RECIPES / "smoke.json").read_text("utf-8"))


@pytest.mark.parametrize("name", ["pocket", "smoke"])
def test_recipes_of_the_tool(name):
    recipe = read_recipe(name)
    assert recipe.name == name and tuple(stage.name for stage in recipe.stages) == STAGES


def test_what_decides_a_stage():
    recipe = read_recipe("smoke")
    later = replace(recipe, stages=[*recipe.stages[:3], replace(recipe.stages[3], steps=7), *recipe.stages[4:]],
                    checkpoint_every=3)
    assert later.up_to("vision") == recipe.up_to("vision") and later.up_to("tasks") != recipe.up_to("tasks")
    assert replace(recipe, seed=9).up_to("language") != recipe.up_to("language")


def changed(path: list, value) -> dict:
    """The smoke recipe with one value replaced, or removed (None)."""
    recipe = copy.deepcopy(SMOKE)
    at = recipe
    for name in path[:-1]:
        at = at[name]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return recipe


@pytest.mark.parametrize("path, value, message", [
    (["seed"], None, "seed: expected a value (int), found nothing"),
    (["seed"], "7", "seed: expected a value of type int, found 7"),
    (["clip"], -1, "clip: expected a value of type float, found -1"),
    (["sead"], 7, "sead: expected only name, seed, sizes, "),
    (["sizes", "image_tokens"], 1.5, "sizes.image_tokens: expected a value of type int, found 1.5"),
    (["stages", 1, "name"], "ul1",
     "stages: expected language, ul2, vision, tasks, keys, mixed, found language, ul1, vision, tasks, keys, mixed"),
    (["stages", 0, "schedule"], 9, "stage language: schedule: expected 0, or its 10 steps at least, found 9"),
    (["stages", 4, "families", 1, "lengths"], [49, 64], "keys: hops: lengths: expected 0 (no filler), or 50 to 1000000 tokens for "),
    (["stages", 4, "families", 1, "lengths"], [0, 64], "keys: hops: lengths: expected 0 as the longest, too, found 64"),
    (["stages", 4, "families", 1, "lengths"], [64], "hops: lengths: expected none, or shortest and longest, found [64]"),
    (["stages", 4, "families", 1, "lengths"], [64, 50], "lengths: expected none, or shortest and longest, found [64, 50]"),
    (["stages", 4, "families", 1, "lengths"], ["a", "b"], "lengths: expected none, or shortest and longest, found "),
    (["stages", 1, "families", 0, "lengths"], [], "ul2: denoise: lengths: expected shortest and longest, found []"),
    (["stages", 5, "families", 1, "growth"], [0.5, 0.5], "growth: expected where in the stage it begins and ends, from 0 to 1"),
    (["stages", 5, "families", 1, "growth"], ["a", 1], "growth: expected where in the stage it begins and ends, from 0 to 1"),
    (["stages", 3, "families", 0, "tasks"], {"dates": 0}, "tasks: expected weights from 0, one above 0, found {'dates': 0}"),
    (["stages", 3, "families", 0, "tasks"], {"dates": "x"}, "tasks: expected weights from 0, one above 0, found "),
    (["stages", 0, "families", 0, "start"], 0.5, "stage language: expected a family of some weight that starts at 0, found none"),
    (["betas"], [0.9], "betas: expected two numbers from 0, below 1, found [0.9]"),
    (["stages", 3, "families", 0, "lengths"], [64, 64], "tasks: text: lengths: expected none for dates, found [64, 64]"),
    (["stages", 0, "steps"], 0, "stage language: expected a step and a family at least"),
    (["stages", 0, "families"], [], "stage language: expected a step and a family at least"),
    (["stages", 0, "families"], [7], "stages[0].families[0].: expected an object, found 7"),
    (["stages", 3, "families", 0, "source"], "web", "source: expected one of packed, denoise, scenes, items, found web"),
    (["stages", 3, "families", 0, "tasks"], {}, "stage tasks: text: tasks: expected a task at least, found none"),
    (["stages", 3, "families", 0, "tasks"], {"poems": 1}, "tasks: expected one of caption, question, "),
    (["stages", 3, "families", 0, "tasks"], {"sorting: bytes": 1}, "tasks: sorting: expected one of words; numbers"),
    (["stages", 3, "families", 0, "size"], 0, "size: expected a sample at least, found 0"),
])
def test_wrong_recipe(tmp_path, path, value, message):
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(changed(path, value)))
    with pytest.raises(UserError) as error:
        read_recipe(str(file))
    assert str(error.value).startswith(f"{file}: ") and message in str(error.value)


def test_fields_that_an_older_recipe_lacks():
    recipe = read_recipe("smoke")
    older = json.loads(json.dumps(recipe.up_to("vision")))
    for stage in older["stages"]:
        del stage["schedule"]
        for part in stage["families"]:
            del part["start"]
    assert older != recipe.up_to("vision") == with_defaults(older)
    assert with_defaults(recipe.up_to("keys")) == recipe.up_to("keys")


def test_no_recipe():
    with pytest.raises(UserError, match="nothing.json: cannot read"):
        read_recipe("nothing.json")
