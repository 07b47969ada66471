"""Every link of the documentation leads where it says: files, headings, lines of code, versions. No network.

A link with #L<number> leads to a line that holds the last name of its label: [`mask.hpp: check`] a line with `check`,
[`(3)`] one with "// (3)", [mask: a test's sentence] one with that sentence.
"""
import json
import re
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
PINNED = next(need.partition("==")[2] for need in tomllib.loads((ROOT / "weights_tool/pyproject.toml").read_text())
              ["project"]["optional-dependencies"]["torch"] if need.startswith("transformers=="))
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
DEFINITION = re.compile(r"^\[([^\]]+)\]: (\S+)$", re.M)
SPAN = re.compile(r"(\[?)(`+)([^`]+)\2(\]?)")
IMAGE = re.compile(r"!\[([^\[\]]*)\]\(([^()\s]+)\)")
INLINE = re.compile(r"\[([^\[\]]*)\]\(([^()\s]+)\)")
REFERENCE = re.compile(r"\[[^\[\]]+\]\[([^\[\]]+)\]")
SHORTCUT = re.compile(r"(?<![\]\\])\[(`[^`\[\]]+`|[\w ]+: [^\[\]]+)\](?![\[(:])")
TRANSFORMERS = re.compile(r"https://github\.com/huggingface/transformers/blob/([^/]+)/src/transformers/\S+#L\d+")


def pages() -> list[Path]:
    more = [ROOT / name for name in ("README.md", "weights_tool/README.md", "examples/pocket/README.md")]
    return sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.ipynb"), *more])


def markdown(page: Path) -> str:
    """The text of a page, or of a notebook's Markdown cells."""
    if page.suffix != ".ipynb":
        return page.read_text()
    cells = json.loads(page.read_text())["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def anchors(text: str) -> set[str]:
    """The headings of a page as GitHub names them; a second one of the same name ends in -1."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+?)\s*#*$", FENCE.sub("", text), re.M):
        shown = re.sub(r"\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])?", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        again = sum(bool(re.fullmatch(re.escape(name) + r"(-\d+)?", other)) for other in found)
        found.add(f"{name}-{again}" if again else name)
    return found


def last_name(label: str) -> str:
    """What the line of a link with this label holds."""
    if re.fullmatch(r"`\(\d\)`", label):
        return "// " + label.strip("`")
    if "`" not in label and re.match(r"[\w ]+: ", label):
        return label
    return re.findall(r"\w+", label)[-1]


def holds(line: str, name: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", line))


def problem(page: Path, label: str, target: str) -> str | None:
    """What is wrong with one link, if anything."""
    if match := TRANSFORMERS.fullmatch(target):
        return None if match[1] == f"v{PINNED}" else f"transformers {match[1]}, expected v{PINNED}"
    if re.match(r"[a-z]+:", target):
        return None  # another site
    path, _, anchor = unquote(target).partition("#")
    file = page.parent / path if path else page
    if not file.exists():
        return "no such file"
    if not anchor:
        return None
    if not re.fullmatch(r"L\d+", anchor):
        is_page = file.suffix in (".md", ".ipynb")
        return None if is_page and anchor in anchors(markdown(file)) else "no such heading"
    lines = file.read_text().splitlines()
    number = int(anchor[1:])
    if not 0 < number <= len(lines):
        return f"the file has {len(lines)} lines"
    return None if holds(lines[number - 1], last_name(label)) else f"no {last_name(label)} in line {number}"


def without_code(text: str) -> str:
    """The text with no brackets in code spans, unless the span is all of a label."""
    def plain(span: re.Match[str]) -> str:
        return span[0] if span[1] and span[4] else span[1] + re.sub(r"[][()]", " ", span[3]) + span[4]
    return SPAN.sub(plain, FENCE.sub("", text))


def problems(page: Path, text: str) -> list[str]:
    """One message for each broken link of a page."""
    defined = DEFINITION.findall(FENCE.sub("", text))
    prose = without_code(DEFINITION.sub("", text))
    images, prose = IMAGE.findall(prose), IMAGE.sub(r"\1", prose)
    names = [" ".join(label.split()).lower() for label, _ in defined]
    used = {" ".join(label.split()) for pattern in (SHORTCUT, REFERENCE) for label in pattern.findall(prose)}
    found = [f"[{label}]: no definition" for label in sorted(used) if label.lower() not in names]
    found += [f"[{name}]: defined twice" for name in sorted(set(names)) if names.count(name) > 1]
    links = [*defined, *images, *INLINE.findall(prose)]
    return found + [f"[{label}] {target}: {wrong}" for label, target in links
                    if (wrong := problem(page, label, target))]


def test_every_link_leads_where_it_says():
    assert {page.relative_to(ROOT).as_posix(): wrong for page in pages()
            if (wrong := problems(page, markdown(page)))} == {}


def test_the_pages_have_links():
    guide = (ROOT / "docs/reading_guide.md").read_text()
    assert len(DEFINITION.findall(guide)) >= 100 and len(SHORTCUT.findall(guide)) >= 100


LINES = """# One `name`

# One `name`

int check(Mask mask);
K = stack();  // (2)
TEST_CASE("mask: a sentence") {
"""
SITE = "https://github.com/huggingface/transformers/blob/{}/src/transformers/cache_utils.py#L1"


@pytest.mark.parametrize("text, wrong", [
    ("[a](there.md) [b](#here) [c](there.md#one-name-1) [d](https://example.org)\n# Here", None),
    ("[`mask.hpp: check`]\n\n[`mask.hpp: check`]: there.md#L5", None),
    ("[`(2)`], [mask: a\nsentence], [it][`(2)`]\n\n[`(2)`]: there.md#L6\n[mask: a sentence]: there.md#L7", None),
    (f"[`Cache`]\n\n[`Cache`]: {SITE.format('v' + PINNED)}", None),
    ("`[x](gone.md)` and `a[i]: b`\n```\n[`x`] [y](gone.md)\n```", None),
    ("[a](gone.md)", "no such file"),
    ("[`code`](gone.md)", "no such file"),
    ("[![picture](gone.svg)](there.md)", "no such file"),
    ("[a](#there)\n# Here", "no such heading"),
    ("[a](there.md#one-name-2)", "no such heading"),
    ("[`check`]\n\n[`check`]: there.md#L4", "no check in line 4"),
    ("[`chec`]\n\n[`chec`]: there.md#L5", "no chec in line 5"),
    ("[`(2)`]\n\n[`(2)`]: there.md#L5", "no // (2) in line 5"),
    ("[mask: a sentence]\n\n[mask: a sentence]: there.md#L6", "no mask: a sentence in line 6"),
    ("[`check`]\n\n[`check`]: there.md#L70", "the file has 7 lines"),
    ("[`check`]", "no definition"),
    ("[mask: a sentence]", "no definition"),
    ("[text][`check`]", "no definition"),
    ("[`Check`]: there.md#L1\n[`check`]: there.md#L5", "defined twice"),
    (f"[`Cache`]\n\n[`Cache`]: {SITE.format('v4.0.0')}", f"transformers v4.0.0, expected v{PINNED}"),
])
def test_a_broken_link_is_found(tmp_path, text, wrong):
    (tmp_path / "there.md").write_text(LINES)
    page = tmp_path / "page.md"
    page.write_text(text)
    found = problems(page, text)
    assert any(wrong in one for one in found) if wrong else not found


def test_a_notebook_is_read(tmp_path):
    notebook = tmp_path / "page.ipynb"
    cells = [{"cell_type": "markdown", "source": ["# A\n", "[a](gone.md)"]},
             {"cell_type": "code", "source": ["[b](c)"]}]
    notebook.write_text(json.dumps({"cells": cells}))
    assert problems(notebook, markdown(notebook)) == ["[a] gone.md: no such file"]
