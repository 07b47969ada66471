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

from repository import ROOT, run

sys.path.append(str(ROOT / "tests"))
from readme import GOOGLE, commands  # noqa: E402

CONSOLE = re.compile(rf"^(?P<google>{re.escape(GOOGLE)}\n)?```console\n(?P<text>.*?)^```$", re.M | re.S)
MADE = re.compile(r"^<!-- made: (?P<module>\w+)\.(?P<function>\w+) -->\n.*?^<!-- end -->$", re.M | re.S)


def console_block(match: re.Match[str]) -> str:
    if match["google"]:
        return match[0]
    parts = []
    for command, _ in commands(match["text"]):
        printed = run(command)
        parts.append(f"$ {command}\n{printed}" + ("" if printed.endswith("\n") or not printed else "\n"))
    return "```console\n" + "".join(parts) + "```"


def made_block(match: re.Match[str]) -> str:
    made = getattr(importlib.import_module(match["module"]), match["function"])()
    return f"<!-- made: {match['module']}.{match['function']} -->\n{made.strip()}\n<!-- end -->"


def remake(page: str) -> str:
    """The page with all its made parts made again."""
    return MADE.sub(made_block, CONSOLE.sub(console_block, page))
