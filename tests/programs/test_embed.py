"""t5gemma2-embed: lines in, embeddings out; what is wrong gets one clear line. Numbers are tested against transformers."""
import json
import subprocess
import time

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from running import PROGRAMS, ROOT, SHAPES, output, refused, run

POCKET = ROOT / "examples/pocket"
LINES = "sort: ox cat\nin words: 12\nü 日本\n"


def embedded(*arguments, text: str = LINES) -> list[list[float]]:
    return [json.loads(line)["embedding"] for line in output("embed", *arguments, text=text).splitlines()]


def test_one_line_for_each_text(tmp_path):
    lines = embedded()
    assert len(lines) == 3 and all(len(line) == 128 for line in lines)
    assert lines[0] == embedded("sort: ox cat")[0] == embedded("-p", "sort: ox cat")[0]
    (tmp_path / "texts").write_text(LINES.replace("\n", "\r\n"))
    assert lines == embedded("-f", tmp_path / "texts") == embedded("-f", "-")
    assert len(embedded(text=LINES.rstrip("\n"))) == 3
    assert embedded(text="") == []


def test_a_text_of_several_lines_is_one_text():
    assert len(embedded("one\ntwo")) == 1


def test_files_hold_the_numbers_that_are_printed(tmp_path):
    lines = np.float32(embedded())
    for name in "e.npy", "e.safetensors":
        done = run("embed", "-m", POCKET, "-o", tmp_path / name, text=LINES)
        assert done.returncode == 0 and done.stdout == ""
        assert f"3 embeddings written to {tmp_path / name}\n" in done.stderr
        assert done.stderr.splitlines()[-1].startswith("load ") and " | encode " in done.stderr
    assert np.array_equal(np.load(tmp_path / "e.npy"), lines)
    assert np.array_equal(load_file(tmp_path / "e.safetensors")["embeddings"], lines)
    every = embedded("--pooling", "none")
    output("embed", "--pooling", "none", "-o", tmp_path / "e.safetensors", text=LINES)
    tokens = load_file(tmp_path / "e.safetensors")
    assert tokens["lengths"].tolist() == [len(text) for text in every]
    assert np.array_equal(tokens["embeddings"], np.float32([token for text in every for token in text]))


def test_jsonl():
    lines = [{"id": 7, "prompt": "sort: ox cat", "tags": [1, None]}, {"prompt": "", "n": 2}, {"images": [str(SHAPES)]},
             {"input_ids": [2, 893, 326, 1125, 981], "z": 1}, {"input_ids": [2, 5000]}, {"prompt": 5}, {"input_ids": []},
             {"input_ids": [2], "prompt": "x"}, {"prompt": "x", "images": ["/no/cat.png"]}, {"prompt": "x", "embedding": 1},
             {"prompt": "a <start_of_image>", "images": []}]
    done = run("embed", "--jsonl", "-m", POCKET, text="".join(json.dumps(line) + "\n\n" for line in lines) + "{\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and len(answers) == 12
    assert list(answers[0]) == ["id", "tags", "embedding"] and answers[0]["tags"] == [1, None]
    assert answers[0]["embedding"] == answers[3]["embedding"] == embedded("sort: ox cat")[0]
    assert list(answers[9]) == ["embedding"] and len(answers[2]["embedding"]) == 128
    assert len(answers[10]["embedding"]) == 128  # the tag is a token like any other where there are no images
    wrong = {1: "prompt: expected a text, found an empty one", 4: "token id: expected 0 to 1234, found 5000",
             5: "prompt: expected a text, found 5", 6: "input_ids: expected one id or more, found a list of 0",
             7: "input_ids: expected ids or prompt, not both", 8: "/no/cat.png: expected an image", 11: "expected JSON"}
    assert {i for i, answer in enumerate(answers) if "error" in answer} == set(wrong)
    for i, message in wrong.items():
        assert answers[i]["error"].startswith(f"stdin line {2 * i + 1}: ") and message in answers[i]["error"]
    assert answers[1]["n"] == 2
    assert done.stderr.splitlines()[-1] == ("t5gemma2-embed: error: 7 of 12 lines failed: "
                                            '"error" in place of the embedding says why')
    assert "not copied from the lines, as answers have keys of these names: embedding" in done.stderr


def test_a_line_is_answered_before_the_next_is_written():
    """As a program does that waits for the answer."""
    with subprocess.Popen([PROGRAMS / "t5gemma2-embed", "-q", "--jsonl", "-m", POCKET], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, encoding="utf-8") as program:
        for number in range(3):
            program.stdin.write(json.dumps({"id": number, "prompt": "ox"}) + "\n")
            program.stdin.flush()
            assert json.loads(program.stdout.readline())["id"] == number
        program.stdin.close()
        assert program.wait(60) == 0


def test_an_unfinished_line_keeps_nobody_waiting():
    """The first line is answered while the second is still on its way."""
    with subprocess.Popen([PROGRAMS / "t5gemma2-embed", "-q", "-m", POCKET], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          encoding="utf-8") as program:
        program.stdin.write("ox\n" + "cat " * 1000)
        program.stdin.flush()
        assert "embedding" in program.stdout.readline()
        program.stdin.close()
        assert "embedding" in program.stdout.readline()


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "texts").write_bytes(b"\xef\xbb\xbfox\nox\n")
    first, second = embedded("-f", tmp_path / "texts")
    assert first == second


def test_no_texts_are_an_empty_array(tmp_path):
    output("embed", "-o", tmp_path / "e.npy", text="")
    assert np.load(tmp_path / "e.npy").shape == (0, 128)


def test_lines_before_a_failing_one_are_embedded():
    done = run("embed", "-q", "-m", POCKET, text="ox\ncat\n\nox\n")
    assert done.returncode == 1 and done.stdout.count("embedding") == 2
    assert done.stderr == "t5gemma2-embed: error: stdin line 3: expected a text, found an empty line\n"


def test_one_text_is_taken_as_it_is():
    assert embedded("ox\r") != embedded("ox") and embedded("\ufeffox") != embedded("ox")


def test_a_failing_line_leaves_no_file(tmp_path):
    lines = '{"prompt": "ox"}\n{"prompt": 5}\n'
    done = run("embed", "-m", POCKET, "--jsonl", "-o", tmp_path / "e.npy", text=lines)
    refused(done, 1, "stdin line 2: prompt: expected a text, found 5")
    assert not list(tmp_path.iterdir())


def test_layers_are_counted_as_hidden_states():
    assert embedded("--layer", 6) == embedded()
    assert embedded("--layer", 5) != embedded()
    first = embedded("--layer", 0, "--pooling", "none", text="ox ox\n")[0]
    assert len(first) == 3 and first[1] != first[0]


def test_dimensions_and_length():
    whole, cut = np.array(embedded()), np.array(embedded("--dimensions", 10))
    assert np.allclose(cut, whole[:, :10] / np.linalg.norm(whole[:, :10], axis=1, keepdims=True), atol=1e-6)
    assert np.allclose(np.linalg.norm(embedded("--normalize"), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_dtype(dtype):
    whole, rounded = np.array(embedded()), np.array(embedded("--dtype", dtype))
    assert 0 < np.abs(whole - rounded).max() < 0.05 * np.abs(whole).max()


@pytest.mark.parametrize("arguments, text, code, message", [
    (["--layer", "7"], "ox\n", 1, "--layer: hidden state: expected 0 to 6, found 7"),
    (["--layer", "-1"], "ox\n", 2, "--layer: expected a whole number from 0 to"),
    (["--dimensions", "129"], "ox\n", 1, "dimensions: expected 1 to 128, found 129"),
    (["--dimensions", "0"], "ox\n", 2, "--dimensions: expected a whole number from 1 to"),
    (["--pooling", "max"], "ox\n", 2, "--pooling: expected one of mean, cls, last, none"),
    (["--prompt-name", "query"], "ox\n", 1, "texts: prompt_name: expected none: the model's folder names no prompts, found \"query\""),
    (["-o", "-"], "ox\n", 2, '-o: expected a .npy or .safetensors file, found "-"'),
    (["-o", "/dev/stdout"], "ox\n", 2, "-o: expected a .npy or .safetensors file"),
    (["-o", "e.txt"], "ox\n", 2, '-o: expected a .npy or .safetensors file, found "e.txt"'),
    (["-o", "e.npy", "--pooling", "none"], "ox\n", 2, "--pooling none needs .safetensors"),
    (["-o", "/no/such/e.npy"], "ox\n", 1, "/no/such/e.npy: expected a file that can be written"),
    (["-f", "/no/texts"], "", 1, "/no/texts: expected a file to read"),
    (["-f", "x", "ox"], "", 2, "-f"),
    ([""], "", 2, "expected a text, found an empty one"),
    ([], "\ncat\n", 1, "stdin line 1: expected a text, found an empty line"),
    ([], "\udcff\n", 1, "stdin line 1: text: byte 0: expected UTF-8, found 0xFF"),
])
def test_what_is_wrong_is_told_in_one_line(arguments, text, code, message, tmp_path):
    done = subprocess.run([PROGRAMS / "t5gemma2-embed", "-q", "-m", POCKET, *arguments], cwd=tmp_path,
                          input=text.encode(errors="surrogateescape"), capture_output=True, timeout=60)
    assert done.returncode == code, done
    assert message in done.stderr.decode() and done.stderr.count(b"\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_text_longer_than_the_model_was_made_for_is_noted():
    done = run("embed", "-m", POCKET, text="ox " * 2100 + "\n")
    assert done.returncode == 0 and "longer than max_position_embeddings 2048" in done.stderr


def test_broken_weights_are_told(tmp_path):
    """NaN is no number that JSON could hold."""
    basic = ROOT / "tests/data/basic"
    (tmp_path / "config.json").symlink_to(basic / "config.json")
    tensors = load_file(basic / "model.safetensors")
    tensors["model.encoder.norm.weight"][3] = np.nan
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    done = run("embed", "-q", "-m", tmp_path, "--jsonl", text='{"input_ids": [2, 5]}')
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"].startswith("stdin line 1: embedding: expected finite numbers, found NaN")
    refused(run("embed", "-q", "-m", tmp_path, "ox"), 1, "found neither; --jsonl with input_ids takes ids")


def test_a_reader_that_goes_away_ends_the_program():
    start = time.monotonic()
    done = subprocess.run(f"yes ox | {PROGRAMS}/t5gemma2-embed -q -m {POCKET} | head -n 2 | wc -l", shell=True,
                          capture_output=True, timeout=60, encoding="utf-8")
    assert done.stdout.strip() == "2" and time.monotonic() - start < 30
