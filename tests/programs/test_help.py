"""--help of each program: its examples run, it is as wide as the terminal, nothing of a library's own noise is in it; man
pages come of it (where help2man is), words and files for bash (with and without the package bash-completion).

Run: pytest tests/programs
"""
import os
import re
import shutil
import subprocess

import pexpect
import pytest
from running import PROGRAMS, ROOT, refused, run

NAMES = ("generate", "score", "embed", "look", "inspect", "tokenize", "preprocess", "trace", "compare", "bench")
COMPLETION = ROOT / "examples/programs/completion.bash"
PACKAGE = "/usr/share/bash-completion/bash_completion"
needs_help2man = pytest.mark.skipif(shutil.which("help2man") is None, reason="help2man is not here")
needs_package = pytest.mark.skipif(not os.path.exists(PACKAGE), reason="bash-completion is not here")


def helped(name: str) -> str:
    done = run(name, "--help")
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def top_of(folder):
    """A folder like the top of the repository, where the examples may write into build."""
    for name in ("examples", "tests"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "build").mkdir()
    return {"cwd": folder, "env": {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}}


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_run(name, tmp_path):
    options = top_of(tmp_path)
    examples = re.findall(r"^  \$ (.*)$", helped(name).partition("\nExamples:\n")[2], re.M)
    assert len(examples) == 2
    for command in examples:
        done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
        assert done.returncode == 0, (command, done)
        written = re.search(r"-o (\S+)", command)
        assert (tmp_path / written[1]).stat().st_size > 100 if written else done.stdout, (command, done)


@pytest.mark.parametrize("name", NAMES)
def test_it_reads_well(name):
    text = helped(name)
    assert all(len(line) <= 80 for line in text.splitlines()), text
    assert all(len(line) <= 75 for line in text.partition("Examples:")[2].splitlines()), text  # a man page indents them further
    for noise in ("Excludes", "Needs", "REQUIRED", "UINT", "FLOAT", "OPTIONS"):
        assert noise not in text, noise
    assert text.startswith(f"Usage: t5gemma2-{name} ")
    last = r"  --version +print the version and the instruction set in use\n\nExamples:\n"
    assert re.search(r"^General:\n(  -\S.*\n|   .*\n)*" + last, text, re.M), text
    assert not re.search(r"\d+ cores|default: \d+ threads", text)  # the same on every machine
    assert run(name, "-h").stdout == text


@pytest.mark.parametrize("columns", [50, 69, 70, 80, 100, 200])
def test_it_is_as_wide_as_the_terminal(columns):
    shown = pexpect.run(f"{PROGRAMS}/t5gemma2-generate --help", encoding="utf-8", dimensions=(200, columns))
    longest = max(len(line) for line in shown.partition("Examples:")[0].splitlines())
    assert min(columns, 100) - 12 < longest <= min(columns, 100), shown
    assert shown.split() == helped("generate").split()


def test_one_command_for_all():
    listed = run_t5gemma2("--help")
    assert listed.returncode == 0 and listed.stdout == run_t5gemma2("help").stdout == run_t5gemma2("-h").stdout
    assert set(re.findall(r"^  (\w+)  ", listed.stdout, re.M)) == set(NAMES)
    for name in NAMES:
        assert run_t5gemma2("help", name).stdout == run_t5gemma2(name, "--help").stdout == helped(name)
    bare = run_t5gemma2()
    assert bare.returncode == 2 and bare.stdout == "" and bare.stderr == listed.stdout
    version = re.fullmatch(r"t5gemma2 (\d+\.\d+\.\d+ \((baseline|avx2|avx512|avx512_bf16|amx)\)\n)", run_t5gemma2("--version").stdout)[1]
    for name in NAMES:
        assert run(name, "--version").stdout == f"t5gemma2-{name} {version}"


@pytest.mark.parametrize("words, message", [
    (["genrate", "x"], "found genrate; did you mean generate?"),
    (["help", "tokenise"], "found tokenise; did you mean tokenize?"),
    (["run", "pocket", "x"], "found run; t5gemma2 generate -m MODEL PROMPT writes text"),
    (["-p", "x"], "found -p; t5gemma2 generate takes a prompt"),
    (["quite-another-word"], "found quite-another-word (--help lists the programs)"),
])
def test_no_such_program(words, message):
    refused(run_t5gemma2(*words), 2, message)


def run_t5gemma2(*arguments):
    return subprocess.run([PROGRAMS / "t5gemma2", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)


# ---- man pages ----

def made_pages(folder):
    subprocess.run([ROOT / "examples/programs/man_pages.sh", PROGRAMS, folder], check=True,
                   env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
    return {file.name: file.read_text() for file in folder.iterdir()}


@needs_help2man
def test_man_pages(tmp_path):
    pages = made_pages(tmp_path / "one")
    assert set(pages) == {"t5gemma2.1"} | {f"t5gemma2-{name}.1" for name in NAMES}
    assert pages == made_pages(tmp_path / "other")
    for name in NAMES:
        page = subprocess.run(["man", "--warnings", tmp_path / f"one/t5gemma2-{name}.1"], capture_output=True, text=True,
                              env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}, check=True)
        assert page.stderr == ""
        text = re.sub(".\b", "", page.stdout)
        assert re.search(rf"^NAME\n +t5gemma2-{name} - \w.*\n\nSYNOPSIS\n +t5gemma2-{name} ", text, re.M), text
        assert "November 2023" in text
        assert not re.search(r"\((baseline|avx2|avx512|avx512_bf16|amx)\)", text)  # the same on every machine
        # the same words as --help, names of flags and values included
        words = set(re.findall(r"^  (-\S*)", helped(name), re.M))
        assert words and all(re.search(rf"^ +{re.escape(word)}", text, re.M) for word in words), text
        assert all(len(line) <= 80 for line in text.splitlines()), text
        examples = re.findall(r"^  (\$ .*)$", helped(name), re.M)
        assert examples and re.search(r"^EXAMPLES\n((?:       \$.*\n)+)", text, re.M)[1].split("\n       ") == [
            f"       {examples[0]}", f"{examples[1]}\n"], text
        seen = re.search(r"^SEE ALSO\n((?: .*\n)+)", text, re.M)[1].split()
        assert sorted(word.strip(",") for word in seen) == sorted(
            ["t5gemma2(1)"] + [f"t5gemma2-{other}(1)" for other in NAMES if other != name])


# ---- bash completion ----

SCRIPT = """
PATH=$1:$PATH
source "$2"
shift 2
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_t5gemma2
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(*words: str, **options) -> set[str]:
    """The completions of the last of the words, which may be empty."""
    done = subprocess.run(["bash", "--norc", "-c", SCRIPT, "bash", PROGRAMS, COMPLETION, *words], capture_output=True,
                          text=True, **options)
    assert (done.returncode, done.stderr) == (0, ""), done
    return set(done.stdout.split("\n")) - {""}


@pytest.fixture
def files(tmp_path):
    """A folder with files of several kinds, and a Hugging Face cache with a model."""
    for name in ("a.png", "B.JPG", "a.jsonl", "a.txt", "a.html", "sizes.json", "a.safetensors", "two words.png"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "cache/models--google--t5gemma-2-270m-270m").mkdir(parents=True)
    return {"cwd": tmp_path, "env": {**os.environ, "HF_HUB_CACHE": str(tmp_path / "cache")}}


FOLDERS = {"folder", "cache"}


@pytest.mark.parametrize("name", NAMES)
def test_completion_knows_every_flag(name):
    flags = set(re.findall(r"^  (?:-\w, )?(--?[\w-]+)", helped(name), re.M))
    assert flags and flags <= offered(f"t5gemma2-{name}", "-") == offered("t5gemma2", name, "-")
    assert all(flag.startswith("--t") for flag in offered(f"t5gemma2-{name}", "--t"))


def test_completion_of_programs():
    assert offered("t5gemma2", "") == {*NAMES, "help"}
    assert offered("t5gemma2", "t") == {"tokenize", "trace"}
    assert offered("t5gemma2", "help", "t") == {"tokenize", "trace"}


@pytest.mark.parametrize("words, expected", [
    (("generate", "--image", ""), {"a.png", "B.JPG", "two words.png"} | FOLDERS),
    (("generate", "--image", "=", "a"), {"a.png"}),
    (("generate", "--image", "="), {"a.png", "B.JPG", "two words.png"} | FOLDERS),
    (("generate", "-p", "x", "--image", '"two w'), {"two words.png"}),
    (("generate", "--image", "two\\ w"), {"two words.png"}),
    (("generate", "-f", "a"), {"a.png", "a.jsonl", "a.txt", "a.html", "a.safetensors"}),
    (("generate", "--jsonl", "-f", "a"), {"a.jsonl"}),
    (("generate", "-m", ""), {"pocket", "google/t5gemma-2-270m-270m"} | FOLDERS),
    (("generate", "-m", "g"), {"google/t5gemma-2-270m-270m"}),
    (("generate", "--early-stopping", ""), {"true", "false", "never"}),
    (("generate", "--early-stopping", "n"), {"never"}),
    (("generate", "--temp", ""), set()),
    (("generate", "-p", ""), set()),
    (("inspect", ""), {"pocket", "google/t5gemma-2-270m-270m", "sizes.json"} | FOLDERS),
    (("preprocess", "a"), {"a.png"}),
    (("look", "-o", "a"), {"a.html"}),
    (("trace", "-o", "a"), {"a.safetensors"}),
    (("compare", "-m", "pocket", "a"), {"a.safetensors"}),
    (("compare", "pocket", "f"), {"folder"}),
])
def test_completion_of_values(files, words, expected):
    name, *rest = words
    assert offered(f"t5gemma2-{name}", *rest, **files) == offered("t5gemma2", name, *rest, **files) == expected


def shell(environment: dict[str, str], cwd) -> pexpect.spawn:
    """An interactive bash."""
    child = pexpect.spawn("bash", ["--norc", "--noprofile"], encoding="utf-8", timeout=60, cwd=cwd, dimensions=(50, 160),
                          env={**os.environ, "PS1": "READY> ", "TERM": "dumb", "INPUTRC": "/dev/null",
                               **environment, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"})
    child.expect("READY> ")
    return child


def typed(child: pexpect.spawn, keys: str, expected: str) -> None:
    child.send(keys)
    child.expect_exact(expected)


def test_completion_at_the_keyboard(files):
    child = shell(files["env"], files["cwd"])
    child.sendline(f"source {COMPLETION}")
    child.expect("READY> ")
    typed(child, "t5gemma2-generate --ima\t", "t5gemma2-generate --image ")
    typed(child, "two\t", r"two\ words.png ")
    typed(child, "--early-stopping=ne\t", "--early-stopping=never ")
    typed(child, "-m fo\t", "-m folder/")
    child.close(force=True)


@needs_package
def test_the_package_finds_it_by_name(tmp_path):
    """As installed: one file and links to it, loaded when a program is completed for the first time."""
    done = subprocess.run(["cmake", "-DCMAKE_INSTALL_COMPONENT=completion", f"-DCMAKE_INSTALL_PREFIX={tmp_path}", "-P",
                           PROGRAMS.parent / "examples/programs/cmake_install.cmake"], capture_output=True, text=True)
    assert done.returncode == 0, done
    folder = tmp_path / "share/bash-completion/completions"
    assert {file.name for file in folder.iterdir()} == {"t5gemma2", *(f"t5gemma2-{name}" for name in NAMES)}
    child = shell({"BASH_COMPLETION_USER_DIR": str(tmp_path / "share/bash-completion")}, tmp_path)
    child.sendline(f"source {PACKAGE}")
    child.expect("READY> ")
    typed(child, "t5gemma2-look --ima\t", "t5gemma2-look --image ")
    child.send("\x15")
    typed(child, "t5gemma2 insp\t", "t5gemma2 inspect ")
    child.close(force=True)
