"""Tables in Markdown."""
from collections.abc import Iterable


def table(head: Iterable[object], rows: Iterable[Iterable[object]], numbers: bool = False) -> str:
    """A line for each row; with `numbers` the columns after the first are set to the right."""
    head = list(head)
    kinds = ["---", *(["---:" if numbers else "---"] * (len(head) - 1))]
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "|".join(kinds) + "|", *lines[1:]])
