"""README.md, command by command: what a console block shows is run from the top of the repository, in order, and its
standard output compared; a line "..." stands for any lines. Blocks marked as needing Google's weights are not run: the
flags of their programs must stand in --help, as must those in the table of programs.

Run: python3 tests/readme.py, from a fresh clone. HOME is a folder of its own.
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
GOOGLE = "<!-- needs Google's weights -->"
BLOCK = re.compile(rf"^(?P<google>{re.escape(GOOGLE)}\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
PROGRAM = re.compile(r"(?:build/bin/)?(t5gemma2-\w+)(.*)")
FENCE = re.compile(r"^\s*(```|~~~)", re.M)
FLAG = re.compile(r"(?<=\s)--?[A-Za-z][\w-]*")


def commands(block: str) -> list[tuple[str, list[str]]]:
    """(command, the lines it prints); a command goes on behind a backslash at the end of a line."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\") and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        else:
            found[-1][1].append(line)
    return found


def matches(expected: list[str], printed: str) -> bool:
    pattern = "".join(r"(?:[^\n]*\n)*" if line == "..." else re.escape(line) + "\n" for line in expected)
    return re.fullmatch(pattern, printed if printed.endswith("\n") or not printed else printed + "\n") is not None


def run(command: str, expected: list[str], home: str) -> None:
    print(f"$ {command}", flush=True)
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env={**os.environ, "HOME": home}, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode or not matches(expected, done.stdout):
        said = "\n".join(expected)
        sys.exit(f"README.md: {command}\nstatus {done.returncode}; expected\n{said}\nfound\n{done.stdout[-12000:]}\n"
                 f"standard error\n{done.stderr[-4000:]}")


def check_flags(line: str) -> None:
    """Every flag of a program of ours is one that it has."""
    unquoted = re.sub(r"\"[^\"]*\"|'[^']*'", "", line.replace("\\\n", " "))
    for command in re.split(r"\||&&|;", unquoted):
        program = PROGRAM.search(command)
        if program is None:
            continue
        file = ROOT / "build/bin" / program[1]
        if not file.exists():
            sys.exit(f"README.md: {line}\nno such program: {program[1]}")
        shown = subprocess.run([file, "--help"], capture_output=True, text=True, check=True).stdout
        known = set(re.findall(r"--?[A-Za-z][\w-]*", shown))
        for flag in FLAG.findall(program[2]):
            if flag not in known:
                sys.exit(f"README.md: {line}\n{program[1]} --help has no {flag}")


def check_library(blocks: dict[str, str]) -> None:
    """The sample is the project that CI builds against the installed engine."""
    consumer = ROOT / "tests/consumer"
    if blocks["cpp"] != (consumer / "main.cpp").read_text():
        sys.exit("README.md: the library's sample differs from tests/consumer/main.cpp")
    built = [line.strip() for line in (consumer / "CMakeLists.txt").read_text().splitlines()]
    for line in blocks["cmake"].splitlines():
        if line.partition("  #")[0].replace("(app ", "(consumer ") not in built:
            sys.exit(f"README.md: tests/consumer/CMakeLists.txt has no line {line}")


def main() -> None:
    text = README.read_text()
    blocks = list(BLOCK.finditer(text))
    kinds = {block["kind"] for block in blocks}
    if len(FENCE.findall(text)) != 2 * len(blocks) or kinds != {"console", "cpp", "cmake"}:
        sys.exit(f"README.md: expected blocks of console, cpp and cmake, found {', '.join(sorted(kinds))} or other fences")
    with tempfile.TemporaryDirectory() as home:
        for block in blocks:
            if block["kind"] == "console":
                for command, expected in commands(block["text"]):
                    check_flags(command) if block["google"] else run(command, expected, home)
    for command in re.findall(r"`(t5gemma2-[^`]+)`", text):
        check_flags(command)
    check_library({block["kind"]: block["text"] for block in blocks})
    print("README.md: all commands do what they say")


if __name__ == "__main__":
    main()
