#!/usr/bin/env python3
"""Changes a line of the engine, one mutation after the other, and shows which test fails and what it says.

    docs/break_it.py                    writes the mutations of docs/break_it.md again
    docs/break_it.py --check            compares instead, and fails where something differs
    docs/break_it.py --check --some 4   the first four of them, without the run of the unchanged engine

Needs what the tests need (a C++20 compiler, doctest, Eigen, ...), and Python alone. Writes nothing but that page.
"""
import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/break_it.md"
sys.path.append(str(ROOT / "docs/making"))
from compare import differences  # noqa: E402

BEGIN, END = "<!-- broken -->", "<!-- end -->"
FLAGS = "-w -O0 -std=c++20 -fopenmp -ffp-contract=off".split()
LIBRARIES = "-fopenmp -lsentencepiece -lxxhash -lstb -ljpeg".split()
WIDTH = 78


@dataclass(frozen=True)
class Mutation:
    title: str
    header: str   # in t5gemma2/
    before: str   # stands there exactly once
    after: str
    tests: str    # the file, in tests/
    test: str     # the sentence of the test that must fail
    matters: str  # what a user would see


MUTATIONS = [
    Mutation("The decoder's window one token too long", "mask.hpp",
             "return key <= query && query - key < window;", "return key <= query && query - key <= window;",
             "test_mask.cpp", "mask: merged attention sees the decoder's window and all of the encoder",
             "Nothing changes until the decoder has written more tokens than the window. After that each local "
             "layer sees one token too many, and the logits drift."),
    Mutation("The norm's weight without 1 +", "kernels/simd/norms.inl",
             "store(fma(normalised, load(weight + i), normalised), y + i);",
             "store(normalised * load(weight + i), y + i);", "test_rms_norm.cpp",
             "rms_norm: the engine's form equals the plain form, for widths that are no multiple of anything",
             "Weights are stored centred on 0, so every norm has the wrong size. The text is one word again and again, "
             "from the first token on."),
    Mutation("A NaN let through", "kernels/simd/functions.inl",
             "return x < -80.0f ? Floats{} : significand * power;",
             "return x >= -80.0f ? significand * power : Floats{};",
             "test_attention.cpp", "attention: a NaN in a key or a value makes NaN of every row that sees it",
             "The two lines are equal for every number. For a NaN the second gives 0: a broken score becomes a "
             "key that nobody sees, and the text goes on as if nothing had happened."),
    Mutation("RoPE on H", "projections.hpp",
             'return {std::move(K), tap("v_proj[1]", linear(H, w.v_proj))};',
             "const CosSin rope = rope_at({.theta = 10000, .factor = 1}, w.heads.dim, 0, H.rows());\n"
             '  return {apply_rope(std::move(K), rope), tap("v_proj[1]", linear(H, w.v_proj))};',
             "test_merged_attention.cpp",
             "merged_attention: encoder keys carry no position: the order of H's rows does not matter",
             "The decoder finds a word of the input by its content alone. With positions on the keys the answer still "
             "looks like one, but words get lost: asked to sort five animals, pocket writes four."),
    Mutation("No k_norm on H", "projections.hpp",
             'K = tap.heads("k_norm[1]", w.heads.kv, rms_norm_heads(K, w.k_norm, w.eps));',
             'K = tap.heads("k_norm[1]", w.heads.kv, std::move(K));',
             "test_merged_attention.cpp", "merged_attention: the encoder side is normalised by k_norm, its values are not",
             "Keys of both sides share one softmax. Without the norm those of H have another size, and get too much "
             "of it or too little."),
    Mutation("The encoder's half windows the wrong way round", "mask.hpp",
             "query - key < (window + 1) / 2 : key - query < window / 2 + 1;",
             "query - key < window / 2 + 1 : key - query < (window + 1) / 2;",
             "test_mask.cpp", "mask: the encoder sees half the window to each side, even windows one more ahead",
             "Odd windows stay right, and so do inputs shorter than half a window."),
    Mutation("H behind the decoder's window", "mask.hpp",
             "return key >= m || DecoderMask{window}(query, key);",
             "return DecoderMask{window}(query, key >= m ? key - m : key);",
             "test_mask.cpp", "mask: merged attention sees the decoder's window and all of the encoder",
             "The decoder would read the input as it reads its own text: nothing ahead of its position."),
    Mutation("Only row 0 normalised", "rms_norm.hpp",
             "parallel_blocks(x.size() / size, 64,", "parallel_blocks(x.cols() / size, 64,",
             "test_rms_norm.cpp", "rms_norm: every row is normalised by itself",
             "Decoding a token at a time has one row and stays right. The encoder, which has many, does not."),
    Mutation("gelu with erf", "kernels/simd/functions.inl",
             "return x / (all(1.0f) + exp(exponent > 80.0f ? all(80.0f) : exponent));",
             "for (int i = 0; i < lanes; ++i) x[i] *= 0.5f * __builtin_erfcf(-x[i] / __builtin_sqrtf(2));\n"
             "  return x;",
             "test_functions.cpp", "functions: gelu is the tanh form, not the one with erf",
             "The two forms differ in the fourth decimal: too little to be seen in a text, so that a comparison of "
             "numbers has to find it."),
    Mutation("End of image scaled, too", "embedding.hpp",
             "x.row(i) = w.eoi_embedding.transpose();", "x.row(i) = w.eoi_embedding.transpose() * scale;",
             "test_embedding.cpp",
             "embedding: the end-of-image token is replaced after scaling, so its vector comes as it is",
             "Texts without images stay right to the last bit."),
    Mutation("RoPE's factor ignored", "rope.hpp",
             "exponent) / static_cast<float>(rope.factor);", "exponent);",
             "test_rope.cpp", "rope: factor 8 stands for positions eight times as near",
             "Global layers take tokens for farther apart than they are."),
    Mutation("Scores scaled by the head size", "weights.hpp",
             "1.0f / std::sqrt(c.query_pre_attn_scalar)", "1.0f / std::sqrt(static_cast<float>(c.head_dim))",
             "test_weights.cpp", "weights: scores are scaled by query_pre_attn_scalar, not by head_dim",
             "The published models have query_pre_attn_scalar equal to the head size, so nothing changes there; "
             "a model in which they differ gets softer or sharper attention."),
]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "OMP_WAIT_POLICY": "passive"})
    except OSError as error:
        sys.exit(f"docs/break_it.py: {command[0]}: {error.strerror}")


def must(command: list[str]) -> str:
    """Output of a command that has to succeed."""
    done = run(command)
    if done.returncode:
        sys.exit(f"docs/break_it.py: {shlex.join(command)}\n{done.stdout[-3000:]}")
    return done.stdout


def compile_source(source: str, headers: Path, target: Path) -> Path:
    """An object file of tests/`source`, with the engine in headers/t5gemma2."""
    packages = must(["pkg-config", "--cflags", "eigen3", "stb"]).split()
    data = f'-DT5GEMMA2_TEST_DATA="{ROOT / "tests/data"}"'
    must([os.environ.get("CXX", "c++"), *FLAGS, "-I", str(headers), *packages, data, "-c", str(ROOT / "tests" / source),
          "-o", str(target)])
    return target


def link(objects: list[Path], target: Path) -> Path:
    must([os.environ.get("CXX", "c++"), *map(str, objects), "-o", str(target), *LIBRARIES])
    return target


def run_test(program: Path, test: str) -> subprocess.CompletedProcess[str]:
    """A comma would separate two filters; ? is any character."""
    return run([str(program), "--no-colors", "--no-intro", f"--test-case={test.replace(',', '?')}"])


def mutated(mutation: Mutation) -> tuple[str, str]:
    """The header's text and the same with the mutation."""
    text = (ROOT / "t5gemma2" / mutation.header).read_text()
    if text.count(mutation.before) != 1:
        sys.exit(f"docs/break_it.py: {mutation.title}: {mutation.header}: expected once: {mutation.before}\n"
                 f"found {text.count(mutation.before)} times: mend the list of mutations")
    return text, text.replace(mutation.before, mutation.after)


def check_green(tests: str, scratch: Path, main: Future[Path]) -> None:
    """The unchanged engine passes every test of a file that the mutations name."""
    program = link([compile_source(tests, ROOT, scratch / f"{tests}.o"), main.result()], scratch / f"{tests}.green")
    for name in {mutation.test for mutation in MUTATIONS if mutation.tests == tests}:
        done = run_test(program, name)
        if done.returncode or "1 passed" not in done.stdout:
            sys.exit(f"docs/break_it.py: {name}: not green with the engine unchanged\n{done.stdout[-3000:]}")


def message(mutation: Mutation, scratch: Path, main: Future[Path]) -> str:
    """What doctest prints of the named test with the engine changed."""
    shutil.copytree(ROOT / "t5gemma2", scratch / "t5gemma2")
    (scratch / "t5gemma2" / mutation.header).write_text(mutated(mutation)[1])
    program = link([compile_source(mutation.tests, scratch, scratch / "test.o"), main.result()], scratch / "test")
    done = run_test(program, mutation.test)
    if not done.returncode or "1 failed" not in done.stdout:
        sys.exit(f"docs/break_it.py: {mutation.title}: did not fail: {mutation.test}\n{done.stdout[-3000:]}")
    return done.stdout


def wrapped(line: str) -> list[str]:
    """A line cut where it is wider than a page in a terminal."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]


def first_failure(output: str) -> list[str]:
    """The first failed check and its values, without the file and the line's number. A picture is left out on the right
    side of the values: it stands in the check."""
    failure = re.search(r"ERROR: (CHECK.*?)\n\n", output + "\n\n", re.S)
    if not failure:
        sys.exit(f"docs/break_it.py: no failed check in\n{output[-3000:]}")
    return re.sub(r"^ == .*\n \)$", " == ...", failure[1], flags=re.M | re.S).splitlines()


def diff(mutation: Mutation) -> list[str]:
    """The changed lines, whole, before and after."""
    before, after = (text.splitlines() for text in mutated(mutation))
    same = next(i for i, (a, b) in enumerate(zip(before, after)) if a != b)
    old = before[same:same + 1 + mutation.before.count("\n")]
    new = after[same:same + 1 + mutation.after.count("\n")]
    return [f"{sign} {line}" for sign, lines in (("-", old), ("+", new))
            for line in textwrap.dedent("\n".join(lines)).splitlines()]


def section(number: int, mutation: Mutation, output: str) -> str:
    failure = [line for one in first_failure(output) for line in wrapped(one)]
    words = f"[`{mutation.header.rpartition('/')[2]}`], [{mutation.test}]. {mutation.matters}"
    return "\n".join([f"### {number}. {mutation.title}", textwrap.fill(words, 100, break_on_hyphens=False), "",
                      "```diff", *diff(mutation), "```", "```text", *failure, "```", ""])


def sections(some: int | None) -> list[str]:
    """Compiles and runs; two and more at a time."""
    chosen = MUTATIONS[:some]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        scratch = Path(folder)
        main = pool.submit(compile_source, "main.cpp", ROOT, scratch / "main.o")
        if some is None:
            list(pool.map(lambda tests: check_green(tests, scratch, main), dict.fromkeys(m.tests for m in chosen)))
        folders = [scratch / str(number) for number in range(len(chosen))]
        outputs = list(pool.map(message, chosen, folders, [main] * len(chosen)))
    return [section(number, *pair) for number, pair in enumerate(zip(chosen, outputs), 1)]


def parts(page: str) -> tuple[str, list[str], str]:
    """The page: what stands before the mutations, their sections, what stands behind them."""
    match = re.fullmatch(f"(.*{BEGIN}\n)(.*?)({END}.*)", page, re.S)
    if not match:
        sys.exit(f"docs/break_it.md: expected {BEGIN} and {END}")
    return match[1], re.split(r"^(?=### )", match[2], flags=re.M)[1:], match[3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the page, write nothing")
    parser.add_argument("--some", type=int, metavar="N", help="the first N mutations alone; with --check")
    arguments = parser.parse_args()
    if arguments.some is not None and not (arguments.check and 1 <= arguments.some <= len(MUTATIONS)):
        parser.error(f"--some takes 1 to {len(MUTATIONS)}, with --check")
    before, stands, after = parts(PAGE.read_text())
    for mutation in MUTATIONS:
        mutated(mutation)  # ends this program now, not after minutes, where one is out of date
    made = sections(arguments.some)
    if not arguments.check:
        PAGE.write_text(before + "\n".join(made) + after)
        return
    wrong = [line for ours, new in zip(stands, made)
             for line in differences(ours.strip(), new.strip(), ours.splitlines()[0])]
    if len(stands) != len(MUTATIONS):
        wrong.append(f"docs/break_it.md: {len(stands)} mutations, the list has {len(MUTATIONS)}")
    if wrong:
        sys.exit("\n".join([*wrong, f"docs/break_it.py: {len(wrong)} lines differ; docs/break_it.py writes them"]))


if __name__ == "__main__":
    main()
