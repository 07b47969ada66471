"""Pictures as SVG text, in one plain style for light and dark pages.

They are 480 wide, so that their text can be read on a phone of 360. In a line of text, `backticks` set code.
"""

from collections.abc import Sequence
from html import escape

WIDTH = 480
LINE = 17  # from one line of text to the next

# A class: fill and outline on light pages, then on dark ones.
FILLS = {
    "box": ("#f3f4f6", "#9ca3af", "#262b34", "#7d8590"),
    "table": ("#ede4ff", "#8b5cf6", "#3b2a63", "#a78bfa"),  # E, the embedding matrix
    "encoder": ("#ffecd5", "#e08a2b", "#4a2e12", "#e8954a"),  # the encoder's side: H, images
    "encoder-cell": ("#fdc288", "#e08a2b", "#9a5a20", "#e8954a"),
    "encoder-self": ("#b4510b", "#b4510b", "#ffd9ae", "#ffd9ae"),
    "encoder-line": ("none", "#e08a2b", "none", "#e8954a"),
    "decoder": ("#dfecff", "#3b82f6", "#1c3a63", "#60a5fa"),  # the decoder's: X
    "decoder-cell": ("#93c5fd", "#3b82f6", "#2b62ad", "#60a5fa"),
    "decoder-self": ("#1d4ed8", "#1d4ed8", "#cfe3ff", "#cfe3ff"),
    "frame": ("none", "#9ca3af", "none", "#7d8590"),
    "grid": ("none", "#ffffff", "none", "#0d1117"),
    "faint": ("none", "#c4c9d1", "none", "#4b5361"),
}
INKS = {"ink": ("#111827", "#f0f3f6"), "note": ("#57606a", "#a5adb8")}  # text in boxes; all other text

FONTS = "text{font:14px sans-serif}.code{font:13px monospace}.strong{font-weight:bold}.small{font-size:12px}"
HEAD = ('<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto"><path class="note" d="M0 0L8 4L0 8z"/></marker>')
HEAD_END = ' marker-end="url(#head)"'


def style() -> str:
    """The style sheet."""
    colours = FILLS | {ink: (light, "none", dark, "none") for ink, (light, dark) in INKS.items()}
    colours["line"] = ("none", INKS["note"][0], "none", INKS["note"][1])
    light = "\n".join(f".{kind}{{fill:{c[0]};stroke:{c[1]}}}" for kind, c in colours.items())
    dark = "\n".join(f".{kind}{{fill:{c[2]};stroke:{c[3]}}}" for kind, c in colours.items())
    return f"<style>\n{FONTS}\n{light}\n@media(prefers-color-scheme:dark){{\n{dark}\n}}\n</style>"


def number(value: float) -> str:
    """A coordinate: an integer, or one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def spans(line: str) -> str:
    """A line of text, its code in spans."""
    parts = [escape(part, quote=False) for part in line.split("`")]
    return "".join(f'<tspan class="code">{part}</tspan>' if i % 2 else part for i, part in enumerate(parts))


class Picture:
    """Elements, one after the other."""

    def __init__(self, title: str, height: int) -> None:
        self.height = height
        self.elements = [f"<title>{escape(title)}</title>", style(), HEAD]

    def rectangle(self, x: float, y: float, width: float, height: float, kind: str = "box", corner: int = 0) -> None:
        """A rectangle without text."""
        sizes = {"x": x, "y": y, "width": width, "height": height} | ({"rx": corner} if corner else {})
        attributes = " ".join(f'{name}="{number(size)}"' for name, size in sizes.items())
        self.elements.append(f'<rect class="{kind}" {attributes}/>')

    def text(self, x: float, y: float, line: str, kind: str = "note", anchor: str = "start") -> None:
        """A line of text on the base line y; the anchor is start, middle or end."""
        place = f'x="{number(x)}" y="{number(y)}" text-anchor="{anchor}"'
        self.elements.append(f'<text class="{kind}" {place}>{spans(line)}</text>')

    def box(self, x: float, y: float, width: float, height: float, lines: Sequence[str], kind: str = "box") -> None:
        """A box with lines of text in its middle."""
        self.rectangle(x, y, width, height, kind, corner=5)
        first = y + height / 2 - LINE * (len(lines) - 1) / 2 + 4.5
        for i, line in enumerate(lines):
            self.text(x + width / 2, first + LINE * i, line, "ink", "middle")

    def sign(self, x: float, y: float, sign: str) -> None:
        """A sign in a small circle."""
        self.elements.append(f'<circle class="box" cx="{number(x)}" cy="{number(y)}" r="8"/>')
        self.text(x, y + 4.5, sign, "ink", "middle")

    def line(self, *points: tuple[float, float], head: bool = True) -> None:
        """A line along the points, with an arrow's head at its end."""
        path = "L".join(f"{number(x)} {number(y)}" for x, y in points)
        self.elements.append(f'<path class="line" d="M{path}"{HEAD_END if head else ""}/>')

    def svg(self) -> str:
        """The text of the file."""
        sizes = f'width="{WIDTH}" height="{self.height}" viewBox="0 0 {WIDTH} {self.height}"'
        return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {sizes}>', *self.elements, "</svg>"]) + "\n"
