"""The include graph of t5gemma2/, and the rules that it keeps. t5gemma2.hpp lists every header once, in reading order;
a header includes only headers that are listed above it, and the rooms below the paper, which are listed last. The
ground is open to all. The rooms below the paper include the ground and each other, nothing of the paper.

Run: python3 tests/project/include_graph.py, which draws the graph.
"""
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = "t5gemma2.hpp"
GROUND = ("version.hpp", "error.hpp", "tensor.hpp", "config.hpp", "progress.hpp")
ROOMS_BELOW = ("io", "kernels", "tokenizer", "image", "checkpoint")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)

Graph = dict[str, list[str]]  # a header -> the headers of ours that it includes, in order


def includes(header: Path, roots: list[Path]) -> list[Path]:
    """The files of ours that `header` includes: from its own folder, or from one of `roots`."""
    found = []
    for kind, name in INCLUDE.findall(header.read_text()):
        folders = [header.parent, *roots] if kind == '"' else roots
        file = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if file is not None:
            found.append(file.resolve())
        elif kind == '"':
            raise ValueError(f"{header}: #include \"{name}\": no such file")
    return found


def read_graph(engine: Path) -> Graph:
    """Of the folder `engine`; headers are named by their paths in it."""
    engine = engine.resolve()

    def name(file: Path) -> str:
        return str(file.relative_to(engine))

    return {name(header): [*map(name, includes(header, [engine.parent]))] for header in sorted(engine.rglob("*.hpp"))}


def room(header: str) -> str:
    """The folder of a header; the paper lies in t5gemma2/ itself."""
    if header in GROUND:
        return "ground"
    return header.partition("/")[0] if "/" in header else "paper"


def floor(header: str) -> int:
    """The ground lies below the rooms below the paper, and these below all others."""
    return 0 if room(header) == "ground" else 1 if room(header) in ROOMS_BELOW else 2


def circle(graph: Graph) -> list[str]:
    """Headers that include one another in turn, the first one again at the end; none where there is no circle."""
    done: set[str] = set()

    def visit(header: str, path: list[str]) -> list[str]:
        if header in path:
            return [*path[path.index(header):], header]
        if header not in done:
            for included in graph.get(header, []):
                if found := visit(included, [*path, header]):
                    return found
            done.add(header)
        return []

    return next((found for header in graph if (found := visit(header, []))), [])


def errors(graph: Graph) -> list[str]:
    """One line for each rule that is broken."""
    order = sorted(graph[LIST], key=floor)
    headers = {header: graph[header] for header in graph if header != LIST}
    found = [f"{LIST}: {header} is listed {times} times" for header, times in Counter(order).items() if times > 1]
    found += [f"{LIST}: {header} is missing from the list" for header in headers if header not in order]
    if names := circle(graph):
        found.append(f"circle: {' -> '.join(names)}")
    for header, included in headers.items():
        for other in included:
            if other in order and header in order and order.index(other) >= order.index(header):
                found.append(f"{header}: includes {other}, which stands below it in {LIST}")
            allowed = {"ground": ("ground",)} | {below: ("ground", *ROOMS_BELOW) for below in ROOMS_BELOW}
            if room(other) not in allowed.get(room(header), (room(other),)):
                found.append(f"{header}: includes {other}, but {room(header)} stands below {room(other)}")
    return found


def draw(graph: Graph) -> str:
    """The rooms with the includes between them, then every header with what it includes, in reading order."""
    order = graph[LIST]
    arrows = Counter((room(header), room(other)) for header in order for other in graph[header])
    lines = []
    for name in dict.fromkeys(map(room, order)):
        inner = sum(room(header) == name for header in order)
        outward = ", ".join(f"{other} {count}" for (source, other), count in arrows.items()
                            if source == name and other != name)
        lines.append(f"{name}: {inner} headers -> {outward or 'nothing'}")
    width = max(map(len, order))
    lines += ["", *(f"{header:{width}}  {' '.join(other.removesuffix('.hpp') for other in graph[header])}".rstrip()
                    for header in order)]
    return "\n".join(lines)


if __name__ == "__main__":
    print(draw(read_graph(ROOT / "t5gemma2")))
