"""Evaluation and report: what an engine answers is compared with the truth and with transformers, token by token."""
import json
import re
import sys

import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("transformers")

from test_torch_pocket_training import train  # noqa: E402

from t5gemma2_weights_tool.cli import main  # noqa: E402
from t5gemma2_weights_tool.pocket import evaluation  # noqa: E402
from t5gemma2_weights_tool.pocket.answers import stripped  # noqa: E402
from t5gemma2_weights_tool.pocket.samples import BOS, EOS  # noqa: E402

COUNT = 3


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    assert train(folder, "--steps-scale", "0.1") == 0
    return folder


def stub(folder, body: str):
    """A program in the engine's place; `requests` are the lines it was given."""
    file = folder / "engine"
    file.write_text(f"#!{sys.executable}\nimport json, sys\n"
                    "requests = [json.loads(line) for line in open(sys.argv[sys.argv.index('-f') + 1])]\n" + body)
    file.chmod(0o755)
    return file


def run(training, engine, tmp_path, *more) -> dict:
    output = tmp_path / "evaluation.json"
    arguments = ["evaluate", training / "model", "-n", COUNT, "-o", output, *more]
    assert main([str(argument) for argument in [*arguments, *(["--engine", engine] if engine else [])]]) == 0
    return json.loads(output.read_text())


def test_transformers_alone(training, tmp_path, capsys):
    result = run(training, None, tmp_path, "--tasks", "dates,question,retrieval", "--lengths", "1,2")
    assert len(result["groups"]) == 5 + 6 + 2 * 4 and result["through"] == "transformers"
    assert {group["length"] for group in result["groups"]} == {None, 240, 480}
    for group in result["groups"]:
        assert group["items"] == COUNT and group["right"] == group["transformers_right"] and not group["different"]
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(result["groups"])


def test_an_engine_that_is_always_right(training, tmp_path):
    """It differs from the untrained transformers model, which prefers its own tokens."""
    model = evaluation.load(training / "model")
    ids = {item.prompt: [BOS, *model.maker.text_ids(item.answer), EOS]
           for group in evaluation.groups(["dates"], (1,)) for item in evaluation.draw_group(group, COUNT, 0)}
    engine = stub(tmp_path, f"ids = {ids!r}\n"
                  "for request in requests:\n"
                  "    print(json.dumps({'ids': ids[request['prompt']]}))\n")
    result = run(training, engine, tmp_path, "--tasks", "dates")
    for group in result["groups"]:
        assert group["right"] == COUNT and group["transformers_right"] == 0 and not group["wrong"]
        assert all(one["margin"] >= 0 for one in group["different"]) and len(group["different"]) == COUNT


def test_pictures_reach_the_engine(training, tmp_path):
    engine = stub(tmp_path, "for request in requests:\n"
                  "    assert len(request['images']) == request['prompt'].count('<start_of_image>') > 0\n"
                  "    assert all(open(file, 'rb').read(4) == b'\\x89PNG' for file in request['images'])\n"
                  "    print(json.dumps({'ids': [2, 1]}))\n")
    groups = run(training, engine, tmp_path, "--tasks", "question")["groups"]
    assert [group["right"] for group in groups] == [0] * 6 and all(len(group["wrong"]) == COUNT for group in groups)


@pytest.mark.parametrize("body, message", [
    ("sys.exit('no such model')", f"0 answers of {COUNT * 2}: no such model"),
    ("print(json.dumps({'ids': [2, 9]}))", f"1 answers of {COUNT * 2}"),
])
def test_an_engine_that_fails(training, tmp_path, capsys, body, message):
    arguments = ["evaluate", training / "model", "--engine", stub(tmp_path, body), "-n", COUNT, "--tasks", "numbers"]
    assert main([str(argument) for argument in arguments]) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("more, message", [
    (["--tasks", "poems"], "evaluate: task: expected one of caption, question, "),
    (["--engine", "/no/such/program", "--tasks", "numbers"], "/no/such/program: cannot run: No such file"),
])
def test_bad_input(training, capsys, more, message):
    assert main(["evaluate", str(training / "model"), "-n", "1", *more]) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_stripped():
    assert stripped([BOS, 9, 8, EOS, 0, 0]) == stripped([BOS, 9, 8]) == [9, 8] and stripped([]) == []


def test_report(training, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    run(training, None, tmp_path, "--tasks", "dates,retrieval", "--lengths", "1,4")
    arguments = ["report", training, tmp_path / "evaluation.json", "-o", tmp_path / "docs", "--model", tmp_path]
    for _ in range(2):
        assert main([str(argument) for argument in arguments]) == 0
        made = {file.name: file.read_bytes() for file in (tmp_path / "docs").iterdir()}
    assert set(made) == {"loss.svg", "accuracy.svg", "length.svg"} and max(map(len, made.values())) < 100_000
    main([str(argument) for argument in arguments])
    assert made == {file.name: file.read_bytes() for file in (tmp_path / "docs").iterdir()}
    card = (tmp_path / "README.md").read_text()
    assert "| dates | 5 march 2024 |  | 3 | 0.0 % |" in card and "| retrieval | single | 960 | 3 | 0.0 % |" in card
    assert "(seed 1)" in card and re.search(r"\| tasks \| 10 \| \d+ \| 0 \|", card) and "{" not in card


def test_report_of_something_else(training, tmp_path, capsys):
    (tmp_path / "e.json").write_text('{"groups": []}')
    assert main(["report", str(training), str(tmp_path / "e.json")]) == 1
    assert "e.json: groups: expected what weights_tool evaluate writes" in capsys.readouterr().err
    (tmp_path / "e.json").write_text('{"groups": [{"right": 1}]}')
    assert main(["report", str(tmp_path), str(tmp_path / "e.json")]) == 1
    assert "language/loss.jsonl: losses: expected a line for each step, found none" in capsys.readouterr().err
