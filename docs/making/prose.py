"""Numbers of the prose must stand in something made on the same page, or be the paper's own."""
import json
import re

from blocks import CONSOLE, MADE
from links import FOOT, LABEL, without_code
from paper import PAPER
from repository import DOCS

PICTURE = re.compile(r"!\[[^\]]*\]\(([\w./-]+\.svg)\)")
NOT_A_CLAIM = re.compile(r"\]\([^)]*\)|https?://\S+|§\s?[\d.]+|arXiv[: ][\d.]+|<!--.*?-->", re.S)
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w])")


def numbers(text: str) -> set[str]:
    return {number.rstrip(",").replace(",", "") for number in NUMBER.findall(text)}


def unmade_numbers(page: str) -> list[str]:
    """Numbers of three digits or with a decimal point that stand in the prose alone."""
    body = FOOT.sub("", page)
    made = "\n".join(match[0] for pattern in (CONSOLE, MADE) for match in pattern.finditer(body))
    for picture in PICTURE.findall(body):
        made += re.sub(r"<[^>]*>", " ", (DOCS / picture).read_text())
    prose = NOT_A_CLAIM.sub(" ", LABEL.sub(" ", without_code(MADE.sub("", body))))
    claims = {number for number in numbers(prose) if len(number.partition(".")[0]) >= 3 or "." in number}
    return sorted(claims - numbers(made) - {figure for figure, _ in PAPER.values()})


def unmade_in_notebook(notebook: str) -> list[str]:
    """The same of a notebook's text, whose code and outputs are what is made."""
    cells = json.loads(notebook)["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    made = json.dumps([cell for cell in cells if cell["cell_type"] == "code"], ensure_ascii=False)
    return [number for number in unmade_numbers(text) if number not in numbers(re.sub(r"<[^>]*>", " ", made))]
