"""ctest knows every TEST_CASE by its name: an entry each, which runs this one and no other. Some have another for each
smaller instruction set: "NAME [baseline]".

Needs the built tests in build/ (T5GEMMA2_BUILD). Run: pytest tests/project
"""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("T5GEMMA2_BUILD", ROOT / "build")).resolve()
LITERAL = r'"(?:[^"\\\n]|\\.)*"'
ISA = re.compile(r" \[(baseline|avx2|avx512|avx512_bf16)\]$")
TEST_CASE = re.compile(rf"^TEST_CASE\(\s*((?:{LITERAL}\s*)+)\)", re.M)


def names_in_sources() -> list[str]:
    """The names in tests/test_*.cpp."""
    names = []
    for file in sorted((ROOT / "tests").glob("test_*.cpp")):
        text = file.read_text()
        found = TEST_CASE.findall(text)
        assert len(found) == text.count("TEST_CASE"), f"{file}: a TEST_CASE that is not named by a literal"
        names += ["".join(map(json.loads, re.findall(LITERAL, literals))) for literals in found]
    return names


def ctest_entries() -> list[dict]:
    shown = subprocess.run(["ctest", "--test-dir", BUILD, "--show-only=json-v1"], capture_output=True, check=True)
    return json.loads(shown.stdout)["tests"]


def properties(entry: dict) -> dict:
    return {item["name"]: item["value"] for item in entry["properties"]}


def cases_of(command: list[str]) -> list[str]:
    """The test cases that a command of ctest would run."""
    listed = subprocess.run([*command, "--list-test-cases"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if not line.startswith(("[doctest]", "==="))]


def test_names_are_what_cmake_can_list():
    assert [name for name in names_in_sources() if re.search(r"[;\\]", name) or name.count("[") != name.count("]")] == []


def test_every_test_case_is_an_entry():
    names = [entry["name"] for entry in ctest_entries()]
    assert sorted(name for name in names if not ISA.search(name)) == sorted(names_in_sources())
    assert len(set(names)) == len(names)


def test_every_entry_runs_the_test_case_of_its_name():
    for entry in ctest_entries():
        assert cases_of(entry["command"]) == [ISA.sub("", entry["name"])]


def test_entries_of_an_instruction_set_ask_for_it():
    for entry in ctest_entries():
        isa = ISA.search(entry["name"])
        asked = [f"T5GEMMA2_ISA=set:{isa[1]}"] if isa else []
        assert properties(entry).get("ENVIRONMENT_MODIFICATION", []) == asked, entry["name"]


def test_every_smaller_instruction_set_runs_the_whole_engine():
    parts: dict[str, set[str]] = {}
    for entry in ctest_entries():
        if isa := ISA.search(entry["name"]):
            parts.setdefault(isa[1], set()).add(entry["name"].partition(":")[0])
    expected = {"truth", "model", "encoder", "decoder", "vision", "pocket"}
    assert all(found == expected for found in parts.values()), parts


def test_no_waiting_thread_spins():
    for entry in ctest_entries():
        assert properties(entry)["ENVIRONMENT"] == ["OMP_WAIT_POLICY=passive"], entry["name"]


@pytest.mark.parametrize("filter, passes", [("mask: no such test", False), ("mask: *", False),
                                            ("mask: no such test,parallel: an exception *", True)])
def test_an_entry_fails_unless_it_runs_one_test_case(tmp_path, filter, passes):
    entry = ctest_entries()[0]
    refused = properties(entry)["FAIL_REGULAR_EXPRESSION"][0]
    (tmp_path / "CTestTestfile.cmake").write_text(
        f"add_test(entry [==[{entry['command'][0]}]==] [==[--test-case={filter}]==])\n"
        f"set_tests_properties(entry PROPERTIES FAIL_REGULAR_EXPRESSION [==[{refused}]==])\n")
    assert (subprocess.run(["ctest", "--test-dir", tmp_path]).returncode == 0) == passes
