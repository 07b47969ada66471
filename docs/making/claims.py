"""What the miniature found of the paper's claims: docs/claims.md, from what weights_tool ablate and ruler wrote.

The figures are measured where training and real weights are, and lie in docs/claims as those commands wrote them.
"""
from functools import cache
from typing import Any

from paper import PAPER
from repository import DOCS
from t5gemma2_weights_tool.markdown import table

FOLDER = DOCS / "claims"
CLAIMS = {"untied": ("+", "tying"), "split": ("+", "merging"), "global-cross": ("-", "global cross-attention")}


@cache
def ablation() -> dict[str, list[dict[str, Any]]]:
    """Results by variant; none before the long runs are done."""
    from t5gemma2_weights_tool.config import read_json
    file = FOLDER / "ablation.json"
    return read_json(file)["variants"] if file.exists() else {}


def figures(make) -> str:
    return make(ablation()) if ablation() else "Not measured yet: [the commands](#to-make-the-numbers) that fill this in take an evening."


def scores() -> str:
    """Every variant beside base, with the paper's figure."""
    from t5gemma2_weights_tool.ablate.report import PAPER as POINTS
    from t5gemma2_weights_tool.ablate.report import score_table
    for variant, (sign, claim) in CLAIMS.items():
        assert POINTS[variant] == f"{sign}{PAPER[f'{claim}, quality'][0]}", variant
    return figures(score_table)


def tasks() -> str:
    from t5gemma2_weights_tool.ablate.report import task_table
    return figures(task_table)


def retrieval() -> str:
    """Against the length of the input."""
    from t5gemma2_weights_tool.ablate.report import length_table
    return figures(length_table)


def seconds() -> str:
    from t5gemma2_weights_tool.ablate.report import seconds_table
    return figures(seconds_table)


def variants() -> str:
    """What each variant is, and its parameters at the pocket model's size."""
    from t5gemma2_weights_tool.ablate.architectures import extra_norms
    from t5gemma2_weights_tool.ablate.variants import VARIANTS
    from t5gemma2_weights_tool.pocket.recipe import read_recipe
    from training import tokenizer
    recipe, pieces, rows = read_recipe("ablate"), tokenizer().get_vocab_size(), []
    for name, variant in VARIANTS.items():
        model = variant.fresh(variant.recipe(recipe, pieces), pieces)
        count, norms = sum(one.numel() for one in model.parameters()), extra_norms(model)
        rows.append([f"`{name}`", variant.what, f"{count:,}" + (f", {norms:,} of them its extra norms" if norms else ""),
                     ", ".join(stage for stage in (("language",) if variant.adapted else ()) + variant.stages)])
    return table(["variant", "what", "parameters", "trained in the stages"], rows)


def ruler(name: str) -> str:
    """What ruler.json of a run says, families against lengths."""
    from t5gemma2_weights_tool.config import read_json
    from t5gemma2_weights_tool.ruler.results import lengths, rows
    result = read_json(FOLDER / f"ruler-{name}.json")
    copied = rows(result, "copied")
    found = [[family, *(f"{value:.1f}" for value in values)] for family, values in rows(result, "score").items()]
    found += [[f"{family}, by copying", *(f"{value:.1f}" for value in copied[family])]
              for family in ("frequent words", "common words", "mean") if family in copied]
    return table([f"%, {result['items']} items each", *(f"{length} tokens" for length in lengths(result))], found, numbers=True)


def ruler_gemma3() -> str:
    """Gemma 3 270M through the engine, as a decoder without encoder input."""
    return ruler("gemma3-270m")


def ruler_pocket() -> str:
    return ruler("pocket")


def claims() -> str:
    """What the paper says, and where this page looks at it."""
    def figure(name: str) -> str:
        return PAPER[name][0]
    rows = [
        ["one embedding for three places", f"{figure('tying, parameters')} % fewer parameters, {figure('tying, quality')} points lost",
         "`untied` beside `base`"],
        ["merged attention", f"{figure('merging, parameters')} % fewer parameters, {figure('merging, quality')} points lost",
         "`split` beside `base`"],
        ["cross-attention in global layers only", f"{figure('global cross-attention, quality')} points lost",
         "`global-cross` beside `base`"],
        ["an encoder-decoder reads long input better than the decoder-only model it comes from",
         f"RULER at 128K: {figure('RULER at 128K, 270M-270M')} against {figure('RULER at 128K, Gemma 3 270M')}", "`decoder-only` beside `base`; `ruler`"],
        ["start from a decoder-only model", "no figure", "`from-scratch` beside `base`"],
        ["then UL2", "no figure", "`no-ul2` beside `base`"],
        ["trained on 16K tokens, good for 128K", "no figure of that alone", "retrieval at 8 times the length trained on"],
    ]
    return table(["claim", "the paper", "here"], rows)
