"""The command line: exit status 2 for wrong usage, 1 with one clear line for bad input, never a traceback."""
import json
import subprocess
import sys

import pytest
from PIL import Image

from t5gemma2_weights_tool.cli import main
from t5gemma2_weights_tool.config import read_preset
from t5gemma2_weights_tool.flags import id_list


@pytest.mark.parametrize("arguments", [
    [], ["nonsense"], ["record"], ["record", "x"], ["random", "-o", "x"], ["random", "c.json", "--preset", "tiny", "-o", "x"],
    ["record", "x", "-o", "y", "--input-ids", "2,a"], ["record", "x", "-o", "y", "--input-ids", "2", "--input-length", "3"],
    ["record", "x", "-o", "y", "--last-rows", "0"], ["random", "--preset", "5b", "-o", "x"], ["adapt", "x"],
    ["fixtures", "-o", "x", "--only", "unknown"], ["items"], ["items", "dates", "-n", "0"], ["tokenizer"],
])
def test_wrong_usage_exits_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


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
