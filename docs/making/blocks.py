"""The made parts of a page.

A console block holds commands and what they print; a made block what a function of a module here returns:

    ```console                        <!-- made: module.function -->
    $ command                         | a | table |
    what it prints                    <!-- end -->
    ```
"""
import importlib
import re
import sys
from pathlib import Path

from repository import ROOT, run

sys.path.append(str(ROOT / "tests"))
from readme import GOOGLE, commands  # noqa: E402

MARK = re.compile(r"<!-- (?:made: (?:links|\w+\.\w+)|broken) -->")
CONSOLE = re.compile(rf"^(?P<google>{re.escape(GOOGLE)}\n)?```console\n(?P<text>.*?)^```$", re.M | re.S)
MADE = re.compile(r"^<!-- made: (?P<module>\w+)\.(?P<function>\w+) -->\n.*?^<!-- end -->$", re.M | re.S)


def fault(page: str) -> str | None:
    """What is wrong with the fences and the made blocks of a page, behind the line's number."""
    fence = made = 0  # the lines where those that are open begin
    lines = page.splitlines()
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith(("```", "~~~")):
            if fence and line != "```":
                return f"{number}: expected ``` to end the block of line {fence}, found {line}"
            if not fence and not re.fullmatch(r"```\w*", line):
                return f"{number}: expected ``` and one word, found {line}"
            if line == "```console" and not "".join(lines[number:number + 1]).startswith("$ "):
                return f"{number}: expected a line with $ and a command after this one"
            fence = 0 if fence else number
        elif not fence and line.lstrip().startswith("<!--") and line != GOOGLE:
            ends = line == "<!-- end -->"
            if not ends and not MARK.fullmatch(line):
                return f"{number}: expected <!-- made: MODULE.FUNCTION --> or <!-- end -->, found {line}"
            if ends != bool(made):
                return f"{number}: {'nothing is open here' if ends else f'the made block of line {made} has no end'}"
            made = 0 if ends else number
    return f"{fence or made}: begins a block that has no end" if fence or made else None


def console_block(match: re.Match[str]) -> str:
    if match["google"]:
        return match[0]
    parts = []
    for command, _ in commands(match["text"]):
        printed = run(command)
        parts.append(f"$ {command}\n{printed}" + ("" if printed.endswith("\n") or not printed else "\n"))
    return "```console\n" + "".join(parts) + "```"


def made_block(match: re.Match[str]) -> str:
    file = Path(__file__).with_name(f"{match['module']}.py")
    function = getattr(importlib.import_module(match["module"]), match["function"], None) if file.exists() else None
    if function is None:
        sys.exit(f"docs/make: made: {match['module']}.{match['function']}: no such function in docs/making")
    made = function()
    return f"<!-- made: {match['module']}.{match['function']} -->\n{made.strip()}\n<!-- end -->"


def remake(page: str) -> str:
    """The page with all its made parts made again."""
    return MADE.sub(made_block, CONSOLE.sub(console_block, page))
