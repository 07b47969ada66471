"""Links from a page to the lines of the code: labels in the text, definitions at the foot of the page.

    [`mask.hpp`], [`tiles.inl`]    a header, a text of kernels
    [`merged_attention`]           a function or type of the engine; [`mask.hpp: check`] where several headers have one
    [`(3)`]                        the line of an equation of merged attention
    [mask: a test's own sentence]  a test
    [`ul2.py: denoise`]            a function or class of a Python file
    [`T5Gemma2Decoder`]            a class or function of transformers, in the pinned version
    [`t5gemma2-inspect`]           a program
"""
import re
import sys
from functools import cache
from pathlib import Path

from repository import ROOT

FOOT = re.compile(r"\n*<!-- made: links -->\n.*?<!-- end -->\n", re.S)
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
CODE = re.compile(r"(\[?)(`+)(?!`)(.+?)(?<!`)\2(?!`)(\]?)", re.S)
LABEL = re.compile(r"\[(`[^`\[\]]+`|[\w ]+: [^\[\]]+)\](?![\[(:])")
DEFINITION = re.compile(r"^(?:(?:struct|class|enum class) (\w+)|(?!//|#|namespace|template|using|return|\s)"
                        r"[\w:<>,&*\[\]. ]*?\b(\w+)(?:\(| = | \{))", re.M)
PYTHON = re.compile(r"^\s*(?:def|class) (\w+)|^([A-Z]\w*) = ", re.M)
TEST = re.compile(r'^TEST_CASE\(\s*"([^"]+)"\)', re.M)
TRANSFORMERS = ["models/t5gemma2/*.py", "models/gemma3/*.py", "models/siglip/*.py", "generation/*.py", "*.py",
                "integrations/*.py"]


def defined(text: str, pattern: re.Pattern[str]) -> dict[str, int]:
    """Line of the first definition of each name."""
    lines: dict[str, int] = {}
    for match in pattern.finditer(text):
        name = next(filter(None, match.groups()))
        lines.setdefault(name, text.count("\n", 0, match.start(match.lastindex or 0)) + 1)
    return lines


@cache
def code() -> dict[str, list[str]]:
    """Places, relative to docs/, of every label that this repository explains."""
    places: dict[str, list[str]] = {}

    def add(label: str, place: str) -> None:
        found = places.setdefault(label, [])
        if place.partition("#")[0].endswith(".py") and any(".hpp" in one for one in found):
            return  # a bare name is the engine's
        found.append(place)

    def add_file(file: Path, pattern: re.Pattern[str], wrap: str = "`{}`") -> None:
        link = "../" + file.relative_to(ROOT).as_posix()
        for name, line in defined(file.read_text(), pattern).items():
            add(wrap.format(name), f"{link}#L{line}")
            add(f"`{file.name}: {name}`", f"{link}#L{line}")

    for file in sorted((ROOT / "t5gemma2").rglob("*.hpp")):
        add(f"`{file.name}`", "../" + file.relative_to(ROOT).as_posix())
        add_file(file, DEFINITION)
    for file in sorted((ROOT / "t5gemma2").rglob("*.inl")):
        add(f"`{file.name}`", "../" + file.relative_to(ROOT).as_posix())
    for file in sorted((ROOT / "tests").glob("test_*.cpp")):
        add_file(file, TEST, "{}")
    for folder in ("weights_tool", "tests", "docs"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            add_file(file, PYTHON)
    for file in sorted((ROOT / "examples/programs").glob("*.cpp")):
        add(f"`t5gemma2-{file.stem}`", "../" + file.relative_to(ROOT).as_posix())
    merged = ROOT / "t5gemma2/merged_attention.hpp"
    for number, line in enumerate(merged.read_text().splitlines(), 1):
        for tag in re.findall(r"// (\(\d\))", line):
            places.setdefault(f"`{tag}`", [f"../t5gemma2/merged_attention.hpp#L{number}"])
    return places


@cache
def transformers_places() -> dict[str, list[str]]:
    """Places on GitHub of transformers' classes and functions, of the version that is installed."""
    try:
        import transformers
    except ImportError:
        sys.exit("docs/make: needs transformers: build/venv/bin/pip install -e 'weights_tool[docs]'")
    top = Path(transformers.__file__).parent
    site = f"https://github.com/huggingface/transformers/blob/v{transformers.__version__}/src/transformers"
    places: dict[str, list[str]] = {}
    for file in dict.fromkeys(file for pattern in TRANSFORMERS for file in sorted(top.glob(pattern))):
        if file.name.startswith("modular_"):
            continue
        for name, line in defined(file.read_text(), PYTHON).items():
            place = f"{site}/{file.relative_to(top).as_posix()}#L{line}"
            for label in (f"`{name}`", f"`{file.name}: {name}`"):
                places.setdefault(label, [place])  # of several, the first of the patterns
    return places


def place_of(label: str, page: str) -> str:
    found = code().get(label) or transformers_places().get(label)
    if not found:
        sys.exit(f"docs/{page}: [{label}]: found in no header, test, program or transformers file")
    if len(found) > 1:  # linear.hpp has the `linear` that is meant
        found = [one for one in found if Path(one.partition("#")[0]).stem == label.strip("`")] or found
    if len(found) > 1:
        sys.exit(f"docs/{page}: [{label}]: stands in {', '.join(found)}; say which: [`FILE: NAME`]")
    return found[0]


def without_code(page: str) -> str:
    """The page without fences and code spans; labels stay."""
    return CODE.sub(lambda span: span[0] if span[1] and span[4] else " ", FENCE.sub("", page))


def labels(page: str) -> list[str]:
    text = without_code(page)
    return sorted({" ".join(match[1].split()) for match in LABEL.finditer(text)})


def with_links(page: str, name: str) -> str:
    """The page with the definitions of all its labels at the foot."""
    body = FOOT.sub("\n", page).rstrip("\n") + "\n"
    lines = [f"[{label}]: {place_of(label, name)}" for label in labels(body)]
    return body + ("\n<!-- made: links -->\n" + "\n".join(lines) + "\n<!-- end -->\n" if lines else "")

