"""What an evaluation found: as a file, as a table, by task and by length."""
from collections import defaultdict
from pathlib import Path

from ..config import read_json
from ..errors import expected
from . import retrieval

PARTS = {"task", "kind", "length", "items", "right", "different"}  # of a group


def read_evaluation(file: Path) -> dict:
    """What `evaluate -o` wrote."""
    result = read_json(file)
    groups = result.get("groups")
    known = isinstance(groups, list) and all(isinstance(group, dict) and PARTS <= group.keys() for group in groups)
    if not known or not groups or "items" not in result or "through" not in result:
        raise expected(file, "groups", "what weights_tool evaluate writes", groups)
    return result


def percent(group: dict) -> float:
    return 100 * group["right"] / group["items"]


def table(result: dict) -> str:
    """A line a group, for people."""
    lines = [f"{'task':<12} {'kind':<22} {'length':>6} {'items':>6} {'right':>8}  tokens as in transformers"]
    for group in result["groups"]:
        same = group["items"] - len(group["different"])
        lines.append(f"{group['task']:<12} {group['kind']:<22} {group['length'] or '':>6} {group['items']:>6} "
                     f"{percent(group):>7.1f}%  {same} of {group['items']}")
        lines += [f"    token {one['token']}: engine {one['engine']!r}, transformers {one['transformers']!r}, "
                  f"margin {one['margin']:.3g}" for one in group["different"]]
    lines += [f"{task:<12} {'all, as long as trained':<29} {items:>6} {100 * right / items:>7.1f}%"
              for task, (items, right) in totals(result).items()]
    return "\n".join(lines)


def totals(result: dict) -> dict[str, tuple[int, int]]:
    """Items and right answers of each task, of retrieval those of the length trained on."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for group in as_trained(result):
        found[group["task"]][0] += group["items"]
        found[group["task"]][1] += group["right"]
    return {task: tuple(counts) for task, counts in found.items()}


def as_trained(result: dict) -> list[dict]:
    """The groups that have no length, or the one trained on."""
    return [group for group in result["groups"] if group["length"] in (None, retrieval.TRAINED)]


def name_of(group: dict) -> str:
    return f"{group['task']}: {group['kind']}"


AIMS = {("caption", "1 object"): 98, ("caption", "2 objects"): 95, ("caption", "3 objects"): 88, "question": 92,
        "dates": 99, "numbers": 99, "sorting": 95, "translation": 95, "retrieval": 90, "infilling": 90}  # %


def below_aim(result: dict) -> list[tuple[str, float, int]]:
    """("task: kind", %, aim) of every group that misses what was aimed at; retrieval at the length trained on."""
    found = []
    for group in as_trained(result):
        aim = AIMS.get((group["task"], group["kind"]), AIMS.get(group["task"], 0))
        if percent(group) < aim:
            found.append((name_of(group), percent(group), aim))
    return found


def by_task(result: dict) -> list[tuple[str, float]]:
    """("task: kind", %) of all that has no length, or the one trained on."""
    return [(name_of(group), percent(group)) for group in as_trained(result)]


def by_length(result: dict) -> dict[str, list[tuple[int, float]]]:
    kinds = defaultdict(list)
    for group in result["groups"]:
        if group["length"]:
            kinds[group["kind"]].append((group["length"], percent(group)))
    return {kind: sorted(points) for kind, points in kinds.items()}
