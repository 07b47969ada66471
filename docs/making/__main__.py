"""docs/make: see there."""
import importlib
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from blocks import fault, remake
from compare import differences
from links import with_links
from prose import unmade_in_notebook, unmade_numbers
from repository import DOCS, ROOT

MEASURED = {"benchmarks.md", "benchmarks.svg"}  # by weights_tool bench-peers, on one machine
USAGE = "usage: docs/make [--check] [PAGE.md | PICTURE.svg | NOTEBOOK.ipynb]..."


@cache
def pictures() -> dict[str, Callable[[], str]]:
    """Name of each picture in docs/ -> the function that prints it."""
    modules = [module.stem for module in sorted(Path(__file__).parent.glob("*.py"))
               if re.search("^FIGURES = ", module.read_text(), re.M)]
    return {name: draw for module in modules for name, draw in importlib.import_module(module).FIGURES.items()}


def check_blocks(name: str, page: str) -> None:
    if wrong := fault(page):
        sys.exit(f"docs/{name}:{wrong}")


def check_numbers(name: str, unmade: list[str]) -> None:
    if unmade:
        sys.exit(f"docs/{name}: numbers that nothing on the page makes: {', '.join(unmade)}")


def make(file: Path) -> str:
    """What stands in the file, made anew."""
    if file.suffix == ".svg":
        return pictures()[file.name]()
    if file.suffix == ".ipynb":
        notebook = importlib.import_module("notebook").execute(file)
        check_numbers(file.name, unmade_in_notebook(notebook))
        return notebook
    page = file.read_text()
    check_blocks(file.name, page)
    page = with_links(remake(page), file.name)
    check_blocks(file.name, page)
    check_numbers(file.name, unmade_numbers(page))
    return page


def chosen(names: list[str]) -> list[Path]:
    """Pictures first: pages may show them."""
    all_files = [DOCS / name for name in pictures()] + sorted(DOCS.glob("*.md")) + sorted(DOCS.glob("*.ipynb"))
    all_files = [file for file in all_files if file.name not in MEASURED]
    unknown = set(names) - {file.name for file in all_files}
    if strays := {file.name for file in DOCS.glob("*.svg")} - pictures().keys() - MEASURED:
        sys.exit(f"docs/make: nothing makes {', '.join(sorted(strays))}")
    if unknown:
        sys.exit(f"docs/make: nothing in docs/ is called {', '.join(sorted(unknown))}\n{USAGE}")
    return [file for file in all_files if not names or file.name in names]


def main(arguments: list[str]) -> None:
    check = "--check" in arguments
    names = [argument for argument in arguments if argument != "--check"]
    if any(name.startswith("-") for name in names):
        sys.exit(USAGE)
    wrong: list[str] = []
    for file in chosen(names):
        print(file.relative_to(ROOT), file=sys.stderr, flush=True)
        made = make(file)
        if not check:
            file.write_text(made)
            continue
        stands = file.read_text() if file.exists() else ""
        wrong += differences(stands, made, file.relative_to(ROOT).as_posix())
    if wrong:
        sys.exit("\n".join([*wrong, f"docs/make: {len(wrong)} lines differ; docs/make writes them"]))


if __name__ == "__main__":
    main(sys.argv[1:])
