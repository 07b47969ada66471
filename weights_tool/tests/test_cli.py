"""The command line: exit status 2 for wrong usage, 1 with one clear line for bad input, never a traceback."""
import json
import subprocess
import sys

import pytest
from PIL import Image

from t5gemma2_weights_tool.cli import main, make_parser
from t5gemma2_weights_tool.config import read_preset
from t5gemma2_weights_tool.flags import id_list
from t5gemma2_weights_tool.usage import parse


@pytest.mark.parametrize("arguments", [
    [], ["nonsense"], ["record"], ["record", "x"], ["random", "-o", "x"], ["random", "c.json", "--preset", "tiny", "-o", "x"],
    ["record", "x", "-o", "y", "--input-ids", "2,a"], ["record", "x", "-o", "y", "--input-ids", "2", "--input-length", "3"],
    ["record", "x", "-o", "y", "--last-rows", "0"], ["random", "--preset", "5b", "-o", "x"], ["adapt", "x"],
    ["fixtures", "-o", "x", "--only", "unknown"], ["items"], ["items", "dates", "-n", "0"], ["tokenizer"],
    ["precision", "x"], ["precision", "x", "--text", "y", "--piece", "0"],
])
def test_wrong_usage_exits_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


def usage_error(arguments, capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("arguments, message", [
    (["recrod"], "weights_tool: error: unknown command recrod; the nearest is record (weights_tool --help says more)"),
    (["xyz"], "weights_tool: error: unknown command xyz (weights_tool --help says more)"),
    (["record", "x", "--imput-text", "y"],
     "weights_tool record: error: unknown flag --imput-text; the nearest is --input-text (weights_tool record --help says more)"),
    (["record", "x", "--ouput=y"], "unknown flag --ouput; the nearest is --output ("),
    (["record", "x", "-o", "y", "-input-ids", "2"], "unknown flag -input-ids; the nearest is --input-ids ("),
    (["items", "dates", "--xyz"], "unknown flag --xyz ("),
    (["record", "x", "-o", "y", "--images", "cat.png"], "found 'cat.png'; a file is --image FILE ("),
    (["record", "x", "-m", "y", "-o", "z"], "not allowed with argument"),
    (["items", "dates", "-n", "-1"], "expected a whole number from 1, found '-1' ("),
])
def test_the_next_step_is_named(arguments, message, capsys):
    assert message in usage_error(arguments, capsys)


@pytest.mark.parametrize("words", [
    ["-p", "-- is it", "-o", "y"], ["-psort", "-o", "y"], ["--input-t=a", "--output=y"], ["-o", "y", "-q"]])
def test_what_argparse_knows_is_not_unknown(words):
    parser, commands = make_parser()
    assert parse(parser, commands, ["record", "x", *words]) == parser.parse_args(["record", "x", *words])


@pytest.mark.parametrize("words, twins", [
    ("x -o y --input-text a", ["x -o y -p a", "x -o y --prompt a", "-m x -o y -p a", "-o y --model x --input-text a"]),
    ("x -o y --decoder-input-text a", ["x -o y --decoder-prompt a"]),
    ("x -o y --generate 3", ["x -o y -n 3", "x -o y --n-predict 3"])])
def test_flags_of_record_that_the_engine_has_too(words, twins):
    parser, _ = make_parser()
    for twin in twins:
        assert parser.parse_args(["record", *twin.split()]) == parser.parse_args(["record", *words.split()])


def error_line(arguments, capsys) -> str:
    """The one line a bad input gets."""
    assert main([str(argument) for argument in arguments]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("weights_tool: ")
    return lines[-1]


def test_missing_config(tmp_path, capsys):
    assert "none.json: cannot read" in error_line(["random", tmp_path / "none.json", "-o", tmp_path / "o"], capsys)


def test_config_is_not_json(tmp_path, capsys):
    file = tmp_path / "config.json"
    file.write_text("{,}")
    assert "expected JSON" in error_line(["random", file, "-o", tmp_path / "o"], capsys)


def test_missing_field_is_named(tmp_path, capsys):
    config = read_preset("tiny")
    del config["decoder"]["head_dim"]
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    line = error_line(["random", file, "-o", tmp_path / "o"], capsys)
    assert f"{file}: decoder.head_dim: expected a positive number, found nothing" in line


def test_output_folder_is_not_overwritten(tmp_path, capsys):
    arguments = ["random", "--preset", "tiny", "-o", tmp_path / "o"]
    assert main([str(argument) for argument in arguments]) == 0
    assert "--force" in error_line(arguments, capsys)
    assert main([str(argument) for argument in [*arguments, "--force"]]) == 0


def test_force_leaves_no_stale_shards(tmp_path):
    output = str(tmp_path / "o")
    main(["random", "--preset", "tiny", "-o", output, "--shards", "3"])
    main(["random", "--preset", "tiny", "-o", output, "--force"])
    assert {file.name for file in (tmp_path / "o").iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors"}


def test_adapt_of_nothing(tmp_path, capsys):
    assert "expected a folder or a .gguf file" in error_line(["adapt", tmp_path / "none", "-o", tmp_path / "o"], capsys)


def test_adapt_of_another_model(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert "expected gemma3_text, found llama" in error_line(["adapt", tmp_path, "-o", tmp_path / "o"], capsys)


@pytest.mark.parametrize("arguments, line", [
    (["history"], "items: task: expected one of caption, question, dates"),
    (["numbers", "--kind", "roman"], "items: --kind: expected one of to words; to digits, found roman"),
    (["dates", "--length", "100"], "items: --length: expected the task retrieval, found dates"),
    (["retrieval", "--length", "69"], "expected 0 (no filler), or 70 to 1000000 tokens for all kinds of retrieval, found 69"),
    (["retrieval", "--length", "9" * 20], "or 70 to 1000000 tokens for all kinds of retrieval, found 9999"),
    (["retrieval", "--kind", "one hop", "--length", "49"], "or 50 to 1000000 tokens for one hop, found 49"),
])
def test_items_that_do_not_exist(arguments, line, capsys):
    assert line in error_line(["items", *arguments], capsys)


def test_items_are_listed_and_drawn(tmp_path, capsys):
    arguments = ["items", "question", "--kind", "which image", "-n", "2", "--images", str(tmp_path), "--jsonl"]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    first, second = map(json.loads, text.splitlines())
    assert first["prompt"].startswith("<start_of_image><start_of_image>in which image")
    assert first["answer"] in ("first", "second") and first != second
    for file in first["images"] + second["images"]:
        with Image.open(file) as picture:
            assert picture.size == (256, 256)
    main(arguments)
    assert capsys.readouterr().out == text
    assert main(["items", "numbers", "-n", "1", "--held-out"]) == 0
    assert "\n    -> " in capsys.readouterr().out


def test_id_list():
    assert id_list("2,5, 7").tolist() == [[2, 5, 7]]
    assert id_list("").shape == (1, 0)


def test_module_is_the_command():
    run = subprocess.run([sys.executable, "-m", "t5gemma2_weights_tool", "--help"], capture_output=True, text=True)
    assert run.returncode == 0
    assert all(command in run.stdout for command in ("record", "random", "adapt", "fixtures", "tokenizer", "items"))
