"""Scores of a run: by group, as a table for a terminal, as a table for a page."""
from collections import defaultdict
from collections.abc import Callable

from .. import markdown
from .item import Group, score
from .running import Run, key_of

SHOWN = 3  # answers kept of each group that are not all right
MEAN = "mean"


def score_of(answer: dict) -> float:
    return score(answer["answers"], answer["any_of"], answer["found"])


def results(run: Run) -> dict:
    """What ruler.json holds."""
    return {**run.head, "items": run.count, "groups": [group_result(run, group) for group in run.groups]}


def group_result(run: Run, group: Group) -> dict:
    answers = [run.answers[key_of(group, number)] for number in range(run.count)]
    wrong = [answer for answer in answers if score_of(answer) < 1]
    return {"length": group.length, "family": group.family.name, "items": len(answers),
            "score": 100 * sum(map(score_of, answers)) / len(answers),
            "copied": 100 * sum(answer["copied"] for answer in answers) / len(answers),
            "seconds": sum(answer["seconds"] for answer in answers) / len(answers),
            "wrong": [{name: answer[name] for name in ("number", "question", "answers", "found")}
                      for answer in wrong[:SHOWN]]}


def rows(result: dict, column: str) -> dict[str, list[float]]:
    """{family: a value for each length, ..., "mean": ...}."""
    found: dict[str, list[float]] = defaultdict(list)
    for group in result["groups"]:
        found[group["family"]].append(group[column])
    if len(found) > 1:
        found[MEAN] = [sum(values) / len(values) for values in zip(*found.values())]
    return dict(found)


def lengths(result: dict) -> list[int]:
    return list(dict.fromkeys(group["length"] for group in result["groups"]))


def table(result: dict) -> str:
    """Families against lengths, in percent."""
    lines = [f"{'%':<16}" + "".join(f"{length:>9}" for length in lengths(result))]
    lines += [f"{name:<16}" + "".join(f"{value:>9.1f}" for value in values)
              for name, values in rows(result, "score").items()]
    return "\n".join(lines)


def percent(value: float) -> str:
    return f"{value:.1f} %"


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def page_table(result: dict, column: str, written: Callable[[float], str]) -> str:
    heads = [f"{length:,} tokens" for length in lengths(result)]
    return markdown.table(["", *heads], [[name, *map(written, values)] for name, values in rows(result, column).items()])
