"""What several variants and seeds found, side by side: means, spreads, and what is more than noise."""
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

from ..config import read_json
from ..errors import expected
from ..pocket.results import by_length, totals
from .variants import VARIANTS

RESULT = "result.json"
CERTAIN = (None, None, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)  # Student's t, two-sided 95 %, by seeds
PARTS = {"variant", "seed", "items", "parameters", "extra_norms", "training", "groups"}
GROUP = {"task", "kind", "length", "items", "right"}


def read_result(file: Path) -> dict:
    """What FOLDER/VARIANT/seed-S/result.json says."""
    result = read_json(file)
    place = [result.get("variant"), f"seed-{result.get('seed')}"]
    if place != list(file.parts[-3:-1]):
        raise expected(file, "variant, seed", ", ".join(file.parts[-3:-1]), ", ".join(map(str, place)))
    groups = result.get("groups")
    whole = PARTS <= result.keys() and isinstance(groups, list) and groups and all(
        isinstance(group, dict) and GROUP <= group.keys() for group in groups)
    if not whole:
        raise expected(file, "content", f"what weights_tool ablate writes ({', '.join(sorted(PARTS))})", "something else")
    return result


def collected(folder: Path) -> dict[str, list[dict]]:
    """{variant: results of its seeds} of all that is measured under FOLDER."""
    found = {name: [read_result(file) for file in sorted((folder / name).glob(f"seed-*/{RESULT}"))] for name in VARIANTS}
    return {name: sorted(results, key=lambda one: one["seed"]) for name, results in found.items() if results}


def by_task(result: dict) -> dict[str, float]:
    """% of each task, of retrieval at the length trained on."""
    return {task: 100 * right / items for task, (items, right) in totals(result).items()}


def score(result: dict) -> float:
    """Mean of the tasks, in points."""
    return mean(by_task(result).values())


def retrieval(result: dict) -> dict[int, float]:
    """{length: % of all kinds of retrieval}"""
    lengths: dict[int, list[float]] = {}
    for points in by_length(result).values():
        for length, right in points:
            lengths.setdefault(length, []).append(right)
    return {length: mean(rights) for length, rights in lengths.items()}


def spread(values: list[float]) -> str:
    """ "81.2", of several seeds "81.2 ± 0.6" (standard deviation)."""
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def differences(of: list[dict], base: list[dict], value=score) -> list[float]:
    """Of the seeds that both have: the same data, and where they can the same parent."""
    known = {result["seed"]: result for result in base}
    return [value(result) - value(known[result["seed"]]) for result in of if result["seed"] in known]


def verdict(found: list[float]) -> str:
    """Whether the mean of the differences is more than seeds make by themselves."""
    if not found:
        return "no seed in common with base"
    if len(found) == 1:
        return "one seed: cannot tell"
    bound = CERTAIN[min(len(found), len(CERTAIN) - 1)] * stdev(found) / sqrt(len(found))
    if abs(mean(found)) <= bound:
        return f"no (± {bound:.1f})"
    return f"yes, {'better' if mean(found) > 0 else 'worse'} than base (± {bound:.1f})"
