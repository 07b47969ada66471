"""docs/make: what counts as a difference, as a label, as a number that nothing makes."""
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "docs/making"))
import blocks  # noqa: E402
import links  # noqa: E402
import prose  # noqa: E402
from compare import differences  # noqa: E402


@pytest.mark.parametrize("stands, made", [
    ("a | 1234.5 |", "a | 1234.9 |"),     # 1e-3 relative
    ("-0.12345", "-0.12346"),
    ("0.1000", "0.1001"),                 # a unit of the last of four digits or more
    ("0.001000", "0.001001"),
    ("2.5e-07", "2.501e-07"),
    ("M 1.5 2.25", "M 1.5 2.251"),
])
def test_decimals_may_differ_a_little(stands, made):
    assert differences(stands, made, "x") == []


@pytest.mark.parametrize("stands, made", [
    ("1234", "1235"),
    ("1234.5", "1236.9"),
    ("0.5", "-0.5"),
    ("0.5", "nan"),
    ("text 1.0", "test 1.0"),
    ("a.hpp#L41", "a.hpp#L42"),
    ("one\ntwo", "one"),
    ("one", "one\ntwo"),
    ("0.0012", "0.0013"),
    ("6.5", "6.6"),
    ("0.1000", "0.1002"),
    ("2.5e-07", "2.5e-06"),
    ("#2962d6", "#2963d6"),
])
def test_all_else_must_be_equal(stands, made):
    found = differences(stands, made, "page.md")
    assert len(found) == 1 and found[0].startswith("page.md:"), found


def test_labels_are_names_in_backticks_and_sentences_of_tests():
    page = ("[`a`] and [`b.hpp: c`], `[`code`]`, `x[0]`, [X ; H], [n, 640], [text](../a.md), [`d`](e.md), [f: g\nh]\n"
            "```\n[`fenced`]\n```\n")
    assert links.labels(page) == ["`a`", "`b.hpp: c`", "f: g h"]


@pytest.mark.parametrize("label, place", [
    ("`mask.hpp`", "../t5gemma2/mask.hpp"),
    ("`merged_attention`", "../t5gemma2/merged_attention.hpp#L"),
    ("`linear`", "../t5gemma2/linear.hpp#L"),
    ("`mask.hpp: check`", "../t5gemma2/mask.hpp#L"),
    ("`KvCache`", "../t5gemma2/kv_cache.hpp#L"),
    ("`no_window`", "../t5gemma2/mask.hpp#L"),
    ("`transformer_layer`", "../t5gemma2/layer.hpp#L"),
    ("`(4)`", "../t5gemma2/merged_attention.hpp#L"),
    ("`t5gemma2-inspect`", "../examples/programs/inspect.cpp"),
    ("`ul2.py: denoise`", "../weights_tool/t5gemma2_weights_tool/pocket/ul2.py#L"),
    ("mask: merged attention sees the decoder's window and all of the encoder", "../tests/test_mask.cpp#L"),
])
def test_a_label_leads_to_one_place(label, place):
    found = links.place_of(label, "page.md")
    assert found.startswith(place)
    if "#L" in place:
        path, line = found.split("#L")
        text = (links.ROOT / "docs" / path).read_text().splitlines()[int(line) - 1]
        assert label.strip("`").rpartition(": ")[2].strip("`") in text


def test_an_ambiguous_label_is_refused():
    with pytest.raises(SystemExit, match=r"docs/page.md: \[`check`\]: stands in .*say which"):
        links.place_of("`check`", "page.md")


def test_links_are_made_anew_each_time():
    once = links.with_links("See [`mask.hpp`].\n", "page.md")
    assert once == ("See [`mask.hpp`].\n\n<!-- made: links -->\n[`mask.hpp`]: ../t5gemma2/mask.hpp\n<!-- end -->\n")
    assert links.with_links(once, "page.md") == once
    assert links.with_links(once.replace("[`mask.hpp`].", "it."), "page.md") == "See it.\n"


def test_a_number_of_the_prose_must_be_made_on_the_page():
    made = "<!-- made: a.b -->\n| 262144 | 0.75 |\n<!-- end -->\n```console\n$ x\n640\n```\n"
    assert prose.unmade_numbers(made + "There are 262,144 pieces of 640 numbers, 0.75 of them in 12 places (§3.1).") == []
    assert prose.unmade_numbers(made + "There are 262145, or 0.8.") == ["0.8", "262145"]
    assert prose.unmade_numbers(made + "It costs 6.5 % (the paper's figure), see [text](a.md#500) and `5000`.") == []


@pytest.mark.parametrize("page, wrong", [
    ("```console\n$ a\nb\n```\n<!-- made: a.b -->\n```text\n<!-- end -->\n```\n<!-- end -->\n", None),
    ("<!-- needs Google's weights -->\n```console\n$ a\n```\n<!-- made: links -->\n<!-- end -->\n", None),
    ("```\n\n```console\n$ a\n```\n", "3: expected ``` to end the block of line 1, found ```console"),
    ("text\n```\n", "2: begins a block that has no end"),
    ("```console \n$ a\n```\n", "1: expected ``` and one word, found ```console "),
    ("```console\n```\n", "1: expected a line with $"),
    ("```console\nb\n```\n", "1: expected a line with $"),
    ("```console", "1: expected a line with $"),
    ("<!-- made: a.b -->\n\n<!-- made: c.d -->\n<!-- end -->\n", "3: the made block of line 1 has no end"),
    ("<!-- made: a.b -->\n", "1: begins a block that has no end"),
    ("<!-- end -->\n", "1: nothing is open here"),
    ("<!-- made: a.b-->\n<!-- end -->\n", "1: expected <!-- made: MODULE.FUNCTION -->"),
    ("<!-- made: a -->\n<!-- end -->\n", "1: expected <!-- made: MODULE.FUNCTION -->"),
    (" <!-- made: a.b -->\n<!-- end -->\n", "1: expected <!-- made: MODULE.FUNCTION -->"),
])
def test_a_block_that_is_not_as_it_should_be_is_found(page, wrong):
    found = blocks.fault(page)
    assert (found or "").startswith(wrong) if wrong else found is None, found


@pytest.mark.parametrize("function", ["no_such_module.f", "repository.no_such_function"])
def test_a_function_that_is_not_there_is_named(function):
    with pytest.raises(SystemExit, match=f"made: {function}: no such function in docs/making"):
        blocks.remake(f"<!-- made: {function} -->\n<!-- end -->\n")


def test_console_and_made_blocks_are_made_again(monkeypatch):
    monkeypatch.setattr(blocks, "run", lambda command: f"<{command}>\n")
    page = "```console\n$ a \\\n    b\nold\n$ c\n```\n\n<!-- needs Google's weights -->\n```console\n$ d\n```\n"
    assert blocks.remake(page) == page.replace("    b\nold\n$ c\n", "    b\n<a \\\n    b>\n$ c\n<c>\n")


def test_a_command_that_fails_ends_it():
    with pytest.raises(SystemExit, match=r"(?s)docs/make: false \| cat\nstatus 1"):
        blocks.run("false | cat")
