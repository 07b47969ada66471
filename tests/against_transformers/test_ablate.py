"""weights_tool ablate: its variants have the parameters that t5gemma2-inspect counts for the same sizes."""

import re

import pytest
from programs import run

from t5gemma2_weights_tool.ablate.architectures import extra_norms
from t5gemma2_weights_tool.ablate.variants import VARIANTS
from t5gemma2_weights_tool.pocket.model import t5gemma2_config
from t5gemma2_weights_tool.pocket.recipe import read_recipe

PIECES = 1235


@pytest.mark.parametrize("name", ["pocket", "ablate", "smoke"])
def test_parameters(tmp_path, name):
    recipe = read_recipe(name)
    t5gemma2_config(recipe.sizes, PIECES).to_json_file(tmp_path / "config.json")
    text = run("t5gemma2-inspect", tmp_path / "config.json").stdout
    counted = {line: int(re.search(rf"{line} +(\d+)", text)[1]) for line in (
        "all", "text model", "baseline", "one embedding, not two", "no cross-attention")}
    models = {variant: VARIANTS[variant].fresh(recipe, PIECES) for variant in ("base", "untied", "split", "global-cross")}
    ours = {variant: sum(one.numel() for one in model.parameters()) for variant, model in models.items()}
    assert ours["base"] == ours["global-cross"] == counted["all"]
    assert ours["untied"] - ours["base"] == counted["one embedding, not two"]
    assert ours["split"] - ours["base"] - extra_norms(models["split"]) == counted["no cross-attention"]
    both = counted["one embedding, not two"] + counted["no cross-attention"]
    assert counted["text model"] + both == counted["baseline"]
