"""Evaluation and report: what an engine answers is compared with the truth and with transformers, token by token."""
import json
import re
import sys

import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("transformers")

from test_torch_pocket_training import train  # noqa: E402

from t5gemma2_weights_tool.cli import main  # noqa: E402
from t5gemma2_weights_tool.pocket import behaviour, evaluation, report  # noqa: E402
from t5gemma2_weights_tool.pocket.answers import stripped  # noqa: E402
from t5gemma2_weights_tool.pocket.items import KINDS, TASKS  # noqa: E402
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


def evaluate(training, engine, tmp_path, *more) -> int:
    arguments = ["evaluate", training / "model", "-n", COUNT, "-o", tmp_path / "evaluation.json", *more]
    return main([str(argument) for argument in [*arguments, *(["--engine", engine] if engine else [])]])


def run(training, engine, tmp_path, *more) -> dict:
    assert evaluate(training, engine, tmp_path, *more) == 0
    return json.loads((tmp_path / "evaluation.json").read_text())


def test_transformers_alone(training, tmp_path, capsys):
    result = run(training, None, tmp_path, "--tasks", "dates,question,retrieval", "--lengths", "1,2")
    assert len(result["groups"]) == 5 + 6 + 2 * 4 and result["through"] == "transformers"
    assert {group["length"] for group in result["groups"]} == {None, 240, 480}
    for group in result["groups"]:
        assert group["items"] == COUNT and group["right"] == group["transformers_right"] and not group["different"]
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(result["groups"]) + 3


def test_an_engine_that_is_always_right(training, tmp_path):
    """It differs from the untrained transformers model, which prefers its own tokens."""
    model = evaluation.load(training / "model")
    ids = {item.prompt: [BOS, *model.maker.text_ids(item.answer), EOS]
           for group in evaluation.groups(evaluation.kinds_of(["dates"])) for item in evaluation.draw_group(group, COUNT, 0)}
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


def test_the_precision_reaches_the_engine(training, tmp_path, capsys):
    engine = stub(tmp_path, "assert sys.argv[sys.argv.index('--dtype') + 1] == 'int8'\n"
                  "for request in requests:\n    print(json.dumps({'ids': [2, 1]}))\n")
    assert run(training, engine, tmp_path, "--tasks", "numbers", "--dtype", "int8")["dtype"] == "int8"
    assert evaluate(training, None, tmp_path, "--dtype", "int8") == 1
    assert "evaluate: --dtype: expected float32 without --engine, found int8" in capsys.readouterr().err


@pytest.mark.parametrize("body, message", [
    ("sys.exit('no such model')", f"0 answers of {COUNT}: no such model"),
    ("print(json.dumps({'ids': [2, 9]}))", f"1 answers of {COUNT}"),
    ("print(json.dumps({'error': 'line 1: no such image'}))", "engine: line 1: no such image"),
])
def test_an_engine_that_fails(training, tmp_path, capsys, body, message):
    arguments = ["evaluate", training / "model", "--engine", stub(tmp_path, body), "-n", COUNT, "--tasks", "numbers"]
    assert main([str(argument) for argument in arguments]) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("more, message", [
    (["--tasks", "poems"], "evaluate: task: expected one of caption, question, "),
    (["--engine", "/no/such/program", "--tasks", "numbers"], "/no/such/program: cannot read: No such file"),
])
def test_bad_input(training, capsys, more, message):
    assert main(["evaluate", str(training / "model"), "-n", "1", *more]) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_answers(training, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(behaviour, "margins_of", lambda *_: [1, 0.01])
    assert main(["answers", str(training / "model"), "-o", str(tmp_path / "items"), "-n", "2"]) == 1
    assert "answers: caption: expected 2 items whose every token is 0.01 ahead, found 0 of 10" in capsys.readouterr().err
    monkeypatch.setattr(behaviour, "margins_of", lambda *_: [1, 2])
    for _ in range(2):
        assert main(["answers", str(training / "model"), "-o", str(tmp_path / "items"), "-n", "2"]) == 0
        made = {file.name: file.read_bytes() for file in (tmp_path / "items").iterdir()}
    lines = [json.loads(line) for line in made.pop("items.jsonl").splitlines()]
    assert [line["task"] for line in lines] == [task for task in TASKS for _ in range(2)]
    assert sorted(made) == sorted(image for line in lines for image in line["images"])
    for line in lines:
        assert len(line["images"]) == line["prompt"].count("<start_of_image>") and line["margins"] == [1, 2]


def test_an_evaluation_that_is_stopped_goes_on(training, tmp_path, monkeypatch, capsys):
    """After whole groups; not with what another model, program or other options made."""
    def measured_at_most(count: int):
        inner, done = evaluation.Evaluation.measured, []

        def measured(self, group, advance):
            if len(done) == count:
                raise KeyboardInterrupt
            done.append(group)
            return inner(self, group, advance)
        patch.setattr(evaluation.Evaluation, "measured", measured)
        return done
    more = ("--tasks", "dates,numbers")
    whole = run(training, None, tmp_path, *more)
    (tmp_path / "evaluation.json").unlink()
    with monkeypatch.context() as patch:
        measured_at_most(3)
        assert evaluate(training, None, tmp_path, *more) == 130
    assert [file.name for file in tmp_path.iterdir()] == ["evaluation.json.part"]
    capsys.readouterr()
    with monkeypatch.context() as patch:
        assert measured_at_most(4) == [] and run(training, None, tmp_path, *more) == whole
    assert "going on after 3 of 7 groups" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["evaluation.json"]
    for left, others in (({**whole, "seed": 1}, ()), ({**whole, "model": "0"}, ()), (whole, ("--tasks", "numbers"))):
        (tmp_path / "evaluation.json.part").write_text(json.dumps(left))
        assert len(run(training, None, tmp_path, *(others or more))["groups"]) == (2 if others else 7)
        assert "starting anew" in capsys.readouterr().err


def test_stripped():
    assert stripped([BOS, 9, 8, EOS, 0, 0]) == stripped([BOS, 9, 8]) == [9, 8] and stripped([]) == []


def test_report(training, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    run(training, None, tmp_path, "--tasks", "dates,retrieval", "--lengths", "1,4")
    arguments = ["report", training, tmp_path / "evaluation.json", "-o", tmp_path / "docs", "--model", tmp_path]
    for _ in range(2):
        assert main([str(argument) for argument in arguments]) == 0
        made = {file.name: file.read_bytes() for file in (tmp_path / "docs").iterdir()}
    assert set(made) == {"README.md", "loss.svg", "accuracy.svg", "length.svg"} and max(map(len, made.values())) < 100_000
    main([str(argument) for argument in arguments])
    assert made == {file.name: file.read_bytes() for file in (tmp_path / "docs").iterdir()}
    page = made["README.md"].decode()
    assert "| retrieval | 240 tokens | 960 tokens |" in page and "| two hops | 0.0 % | 0.0 % |" in page and "{" not in page
    card = (tmp_path / "README.md").read_text()
    assert "| dates | 5 march 2024 |  | 3 | 0.0 % |" in card and "| retrieval | single | 960 | 3 | 0.0 % |" in card
    assert "(seed 1)" in card and re.search(r"\| tasks \| 10 \| \d+ \| 0 \|", card) and "{" not in card


def test_report_of_what_is_there():
    """What the model misses is named, at the length trained on; hops are explained only where one is missed."""
    def group(task, kind, length, right):
        return {"task": task, "kind": kind, "length": length, "items": 100, "right": right, "different": []}
    good = [group("dates", "5.3.2024", None, 99), group("retrieval", "one hop", 480, 10)]
    assert report.missed({"groups": good}) == "Nothing is below what was aimed at."
    said = report.missed({"groups": [*good, group("sorting", "words", None, 94), group("retrieval", "one hop", 240, 46)]})
    assert said.startswith("Below what was aimed at (in brackets): sorting: words 94.0 % (95 %), retrieval: one hop 46.0 % (90 %).")
    assert said.endswith("half of the time.") and report.examples().count("\n") == 1 + sum(map(len, KINDS.values()))


def test_report_of_something_else(training, tmp_path, capsys):
    (tmp_path / "e.json").write_text('{"groups": []}')
    assert main(["report", str(training), str(tmp_path / "e.json")]) == 1
    assert "e.json: groups: expected what weights_tool evaluate writes" in capsys.readouterr().err
    run(training, None, tmp_path, "--tasks", "dates")
    assert main(["report", str(training), str(tmp_path / "evaluation.json")]) == 1
    assert "evaluation.json: groups: expected retrieval from 240 tokens, too, found none" in capsys.readouterr().err
    group = {"task": "retrieval", "kind": "single", "length": 240, "items": 1, "right": 1}
    (tmp_path / "e.json").write_text(json.dumps({"items": 1, "through": "engine", "groups": [group]}))
    assert main(["report", str(tmp_path), str(tmp_path / "e.json")]) == 1
    assert "e.json: groups: expected what weights_tool evaluate writes" in capsys.readouterr().err
    (tmp_path / "e.json").write_text(
        json.dumps({"items": 1, "through": "engine", "groups": [{**group, "different": []}]}))
    assert main(["report", str(tmp_path), str(tmp_path / "e.json")]) == 1
    assert "language/loss.jsonl: losses: expected a line for each step, found none" in capsys.readouterr().err
