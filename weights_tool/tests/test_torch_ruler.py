"""ruler with tokenizers and engines: prompts are as long as they may be, and runs are gone on with."""
import json
import os
import re
import shutil
import sys
import time
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from random import Random

import pytest

pytestmark = pytest.mark.torch
tokenizers = pytest.importorskip("tokenizers")

from t5gemma2_weights_tool.cli import main  # noqa: E402
from t5gemma2_weights_tool.errors import UserError  # noqa: E402
from t5gemma2_weights_tool.pocket.files import locked  # noqa: E402
from t5gemma2_weights_tool.ruler.fitting import Fitter, largest  # noqa: E402
from t5gemma2_weights_tool.ruler.item import Group  # noqa: E402
from t5gemma2_weights_tool.ruler.prompt import FORMS  # noqa: E402
from t5gemma2_weights_tool.ruler.wordings import FAMILIES, WORDINGS  # noqa: E402
from t5gemma2_weights_tool.ruler.words import NOUNS  # noqa: E402
from t5gemma2_weights_tool.tokenizer import load_tokenizer  # noqa: E402

ROOT = Path(__file__).parents[2]
POCKET = ROOT / "examples/pocket"
ENGINE = Path(os.environ.get("T5GEMMA2_PROGRAMS", ROOT / "build/bin")) / "t5gemma2-generate"
KINDS = [pytest.param(wording, family, id=f"{wording.name}-{family.name}")
         for wording in WORDINGS.values() for family in wording.families]
POCKETS = WORDINGS["pocket"].families
LONG = {"pocket": 3000, "bpe": 1500}  # into which everything fits


@pytest.fixture(scope="module")
def readers() -> dict[str, "tokenizers.Tokenizer"]:
    """Pocket's tokenizer, which spells most English words, and one that learned them."""
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE(byte_fallback=False))
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    texts = [family.makers[0](str(seed), 40).text for family in WORDINGS["english"].families
             for seed in range(5)]
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(texts, trainer)
    return {"pocket": load_tokenizer(POCKET), "bpe": bpe}


def length_of(tokenizer, fitted) -> int:
    """Counted again: <bos> and each part, and what may be written."""
    request = fitted.prompt.request()
    parts = [tokenizer.encode(text, add_special_tokens=False).ids for text in request.values()]
    return sum(1 + len(ids) for ids in parts) + fitted.new_tokens


@pytest.mark.parametrize("reader", LONG)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wording, family", KINDS)
def test_as_long_as_it_may_be(readers, wording, family, form, reader):
    fitter = Fitter(readers[reader], wording, form, wording.shots, 7)
    least = fitter.least(Group(1, family), 0)
    assert least.size == 0 and least.tokens == length_of(readers[reader], least)
    for length in (LONG[reader], LONG[reader] + 1, 2 * LONG[reader]):
        group = Group(length, family)
        fitted = fitter.fitted(group, 0)
        assert length_of(readers[reader], fitted) == fitted.tokens <= length
        make, = [make for maker in family.makers if (make := fitter.sized(group, 0, maker))(fitted.size) == fitted]
        assert make(fitted.size + 1).tokens > length
        text = "".join(fitted.prompt.request().values())
        assert text.count(fitted.item.text) == 1 and all(answer in fitted.item.text for answer in fitted.item.answers)
        assert fitter.fitted(group, 0) == fitted != fitter.fitted(group, 1)
        assert text.count(wording.before_question) >= 1 + wording.shots


@pytest.mark.parametrize("wording", WORDINGS.values(), ids=list(WORDINGS))
def test_solved_examples_are_about_other_names(readers, wording):
    fitter = Fitter(readers["bpe"], wording, "encoder", 2, 0)
    for family in wording.families:
        for maker in family.makers:
            item = maker("x", 0)
            examples = fitter.examples(family, "x", maker, item.names)
            names = [name for one in [item, *examples] for name in one.names]
            assert len(examples) == 2 and len(names) == len(set(names)), family.name
            plain = {all(name in NOUNS for name in one.names) for one in [item, *examples]}
            assert len(plain) == 1 or family.name != "common words"  # words of one sort
    with pytest.raises(UserError, match="--shots: expected fewer, multi-query has no more names, found 30"):
        Fitter(readers["bpe"], WORDINGS["pocket"], "encoder", 30, 0).fitted(Group(5000, POCKETS[3]), 0)


def test_an_item_depends_on_its_own_numbers_alone(readers):
    wording = WORDINGS["english"]
    first, other = (Fitter(readers["bpe"], wording, "encoder", 1, seed) for seed in (0, 1))
    group = Group(1500, wording.families[1])
    before = first.fitted(group, 5)
    first.fitted(group, 0)
    assert first.fitted(group, 5) == before != other.fitted(group, 5)


@pytest.mark.parametrize("family", WORDINGS["english"].families, ids=FAMILIES)
def test_128k(readers, family):
    calls = []
    fitter = Fitter(readers["bpe"], WORDINGS["english"], "decoder-only", 1, 0)
    count = fitter.count
    fitter.count = lambda text: (len(text) > 2**17 and calls.append(text), count(text))[1]
    fitted = fitter.fitted(Group(2**17, family), 0)
    assert 2**17 - 100 < fitted.tokens <= 2**17 and len(calls) <= 10


def test_largest():
    for unit in (1, 3, 17, 500):
        for start in (0, 5, 99):
            found = largest(lambda size: start + unit * size + size % 3 % 2, 3000)
            assert start + unit * found + found % 3 % 2 <= 3000 < start + unit * (found + 1) + (found + 1) % 3 % 2
    for seed in range(100):  # units that differ
        ends = list(accumulate(Random(seed).choices(range(1, 30), k=400)))
        assert largest(ends.__getitem__, 3000) == bisect_right(ends, 3000) - 1
    assert largest(lambda size: 11 + size, 10) is None and largest(lambda size: 10 + size, 10) == 0
    with pytest.raises(UserError, match="makes no tokens"):
        largest(lambda size: 5, 10)


ECHO = """
def interrupt():
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)
known = json.load(open(sys.argv[0] + ".known"))
log = open(sys.argv[0] + ".log", "a")
for number, line in enumerate(sys.stdin):
    request = json.loads(line)
    print(json.dumps(request), file=log, flush=True)
    if number == known.get("is interrupted"):
        interrupt()
    if number == known.get("dies"):
        print(end='{"text": "half of an', flush=True)
        sys.exit("out of memory")
    words = re.findall(r"code of (\\w+) is (\\d+)", request.get("prompt", ""))
    print(json.dumps({"text": words[0][1] if words else ""}), flush=True)
"""


@pytest.fixture
def engine(tmp_path):
    """A program in the engine's place that answers with the first code of the text, and dies when it is told to."""
    file = tmp_path / "engine"
    file.write_text(f"#!{sys.executable}\nimport json, os, re, signal, sys, time\n{ECHO}")
    file.chmod(0o755)
    told(file)
    return file


def told(engine: Path, **when) -> None:
    """At which request what happens."""
    known = {name.replace("_", " "): number for name, number in when.items()}
    engine.with_name("engine.known").write_text(json.dumps(known))


def requests(engine: Path) -> list[dict]:
    return [json.loads(line) for line in engine.with_name("engine.log").read_text().splitlines()]


def ruler(engine, *more, model=POCKET) -> int:
    arguments = ["ruler", model, "--engine", engine, "--wording", "pocket", "--lengths", "200,130", "-n", 3, *more]
    return main([str(argument) for argument in arguments])


def test_a_run(engine, tmp_path, capsys):
    folder = tmp_path / "out"
    assert ruler(engine, "-o", folder, "--dtype", "int8") == 0
    out = capsys.readouterr()
    assert [line[:16].strip() for line in out.out.splitlines()] == ["%", *(family.name for family in POCKETS), "mean"]
    assert "single              100.0    100.0" in out.out and "multi-value          25.0     25.0" in out.out
    assert "left out, as it has none: variables, common words, frequent words" in out.err
    assert {file.name for file in folder.iterdir()} == {"README.md", "answers.jsonl", "lock", "ruler.json", "ruler.svg",
                                                        "run.json"}
    result = json.loads((folder / "ruler.json").read_text())
    assert result["dtype"] == "int8" and result["shots"] == 0 and result["items"] == 3 and len(result["groups"]) == 10
    assert [group["length"] for group in result["groups"]] == [130] * 5 + [200] * 5
    single, value = result["groups"][0], result["groups"][2]
    assert single["score"] == 100 and single["wrong"] == [] and value["score"] == 25 and len(value["wrong"]) == 3
    page = (folder / "README.md").read_text()
    assert "# RULER: pocket" in page and "| multi-value | 25.0 % | 25.0 % |" in page and "{" not in page
    assert "decoder:" not in page and "encoder:\nthe code of" in page and "what is the code of" in page and "trained on `single`" in page
    sent = requests(engine)
    assert len(sent) == 30 and all(set(one) == {"prompt", "decoder_prompt", "n_predict"} for one in sent)
    assert all(one["decoder_prompt"] == "" and re.search(r"\. what [^.]+\?$", one["prompt"]) for one in sent)


def test_english_for_the_decoder_alone(engine, capsys):
    assert ruler(engine, "--wording", "english", "--form", "decoder-only", "--lengths", "1500", "-n", 1) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "mean                  0.0"
    sent = requests(engine)
    assert len(sent) == len(FAMILIES) and all(set(one) == {"decoder_prompt", "n_predict", "stop"} for one in sent)
    assert all(one["stop"] == ["\n"] and one["decoder_prompt"].count("\nAnswer:") == 2 for one in sent)
    assert all(8 < one["n_predict"] < 400 for one in sent)


def test_what_copying_scores(readers):
    """The text's first needle is copied, and no more: one of four values, or the one key where it lies in front."""
    fitter = Fitter(readers["pocket"], WORDINGS["pocket"], "encoder", 0, 0)
    for family in POCKETS:
        fitted = fitter.fitted(Group(200, family), 0)
        copied = fitter.beginning(fitted)
        assert fitted.item.text.startswith(copied) and len(copied) < len(fitted.item.text)
        assert fitter.count(copied) == fitted.new_tokens


def test_one_run_at_a_time(engine, tmp_path, capsys):
    with locked(tmp_path / "out", "asking"):
        assert ruler(engine, "-o", tmp_path / "out") == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"weights_tool: {tmp_path / 'out'}: another run is asking there"


def test_without_a_folder_only_the_table_is_printed(engine, tmp_path, capsys):
    assert ruler(engine, "--families", "single", "--shots", "1") == 0
    # The first code of the text is that of the example.
    assert capsys.readouterr().out.splitlines()[1] == "single                0.0      0.0"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["engine", "engine.known", "engine.log"]


def test_a_run_that_is_stopped_goes_on(engine, tmp_path, capsys):
    assert ruler(engine, "-o", tmp_path / "whole") == 0
    whole = requests(engine)
    engine.with_name("engine.log").unlink()
    for stop in (4, 0, 17):
        told(engine, dies=stop)
        assert ruler(engine, "-o", tmp_path / "parts") == 1
        assert capsys.readouterr().err.splitlines()[-1].endswith("engine: ended without an answer: out of memory")
    with open(tmp_path / "parts/answers.jsonl", "a") as stream:
        stream.write('{"length": 200, "fam')  # as a power cut leaves it
    told(engine)
    assert ruler(engine, "-o", tmp_path / "parts") == 0
    assert "parts: going on after 21 of 30 items" in capsys.readouterr().err
    sent = requests(engine)
    assert sent[:4] + sent[6:23] + sent[24:] == whole and sent[4] == sent[5] == sent[6] and len(sent) == 33
    made = [{name: value for name, value in json.loads(line).items() if name != "seconds"}
            for folder in ("whole", "parts") for line in (tmp_path / folder / "answers.jsonl").read_text().splitlines()]
    assert made[:30] == made[30:]
    assert (tmp_path / "whole/ruler.svg").read_bytes() == (tmp_path / "parts/ruler.svg").read_bytes()
    engine.with_name("engine.log").unlink()
    assert ruler(engine, "-o", tmp_path / "parts") == 0 and not engine.with_name("engine.log").exists()
    assert ruler(engine, "-o", tmp_path / "parts", "-n", "4", "--lengths", "150,200") == 0  # 20 items at 150, 5 more at 200
    assert len(requests(engine)) == 25


def test_an_interrupt_costs_one_item(engine, tmp_path, capsys):
    begun = time.monotonic()
    told(engine, is_interrupted=7)
    assert ruler(engine, "-o", tmp_path / "out") == 130 and time.monotonic() - begun < 30
    told(engine)
    assert ruler(engine, "-o", tmp_path / "out") == 0
    assert "out: going on after 7 of 30 items" in capsys.readouterr().err and len(requests(engine)) == 31


@pytest.mark.parametrize("more, message", [
    (["--seed", "1"], "run.json: seed: expected 1, as in this run (or another -o), found 0"),
    (["--dtype", "bfloat16"], "run.json: dtype: expected bfloat16, as in this run (or another -o), found float32"),
    (["--form", "question-in-decoder"], "run.json: form: expected question-in-decoder, as in"),
])
def test_other_options_are_refused(engine, tmp_path, capsys, more, message):
    assert ruler(engine, "--families", "single", "-o", tmp_path / "out") == 0
    assert ruler(engine, "--families", "single", "-o", tmp_path / "out", *more) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_another_program_is_refused(engine, tmp_path, capsys):
    assert ruler(engine, "--families", "single", "-o", tmp_path / "out") == 0
    engine.write_text(engine.read_text() + "\n")
    assert ruler(engine, "--families", "single", "-o", tmp_path / "out") == 1
    assert "run.json: program: expected " in capsys.readouterr().err.splitlines()[-1]


def test_another_model_is_refused(engine, tmp_path, capsys):
    model = shutil.copytree(POCKET, tmp_path / "model")
    assert ruler(engine, "--families", "single", "-o", tmp_path / "out", model=model) == 0
    (model / "README.md").write_text("no part of it")
    assert ruler(engine, "--families", "single", "-o", tmp_path / "out", model=model) == 0
    (model / "generation_config.json").write_text("{}")
    assert ruler(engine, "--families", "single", "-o", tmp_path / "out", model=model) == 1
    assert "run.json: model: expected " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("body, message", [
    ("print(json.dumps({'error': 'stdin line 1: too long'}), flush=True)", "engine: stdin line 1: too long"),
    ("print('hello', flush=True)", "engine: answer: expected JSON, found hello"),
    ("print('[1]', flush=True)", "engine: answer: expected JSON, found [1]"),
    ("print('{}', flush=True)", "engine: answer: expected a text, found {}"),
    ("sys.exit(3)", "engine: ended without an answer: status 3"),
    ("print('trouble', file=sys.stderr)\nprint('no such model', file=sys.stderr)", "ended without an answer: no such model"),
])
def test_an_engine_that_fails(engine, capsys, body, message):
    engine.write_text(f"#!{sys.executable}\nimport json, sys\n{body}\n")
    assert ruler(engine, "--families", "single") == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("more, message", [
    (["--families", "single,poems"], "ruler: --families: expected names out of single, multi-key, "),
    (["--families", "variables"], "ruler: --families: expected some that wording pocket has, found variables"),
    (["--lengths", "20,200", "--families", "single"],
     "ruler: --lengths: expected 38 tokens or more for single (or other --families), found 20"),
    (["--lengths", "200000"], "ruler: --lengths: expected at most 131072, found 200000"),
    (["--engine", "/no/such/program"], "/no/such/program: cannot read: No such file"),
    (["-o", str(POCKET)], "-o: expected a new folder, or one that ruler has begun, found another's files"),
])
def test_bad_values(engine, capsys, more, message):
    assert ruler(engine, *more) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_bad_folders(engine, tmp_path, capsys):
    whole = (POCKET / "tokenizer.json").read_text()
    for name, content, message in (
            ("a", None, "tokenizer.json: file: expected the tokenizer of a checkpoint folder, found none"),
            ("b", "{}", "tokenizer.json: tokenizers cannot read it"),
            ("c", whole, "expected a checkpoint folder with *.safetensors")):
        (tmp_path / name).mkdir()
        if content:
            (tmp_path / name / "tokenizer.json").write_text(content)
        assert ruler(engine, model=tmp_path / name) == 1
        assert message in capsys.readouterr().err.splitlines()[-1]
    assert main(["ruler", str(POCKET)]) == 1
    assert "ruler: --engine: expected t5gemma2-generate (or --show), found none" in capsys.readouterr().err
    assert ruler(engine, "-o", tmp_path / "out") == 0
    (tmp_path / "out/answers.jsonl").write_text('{"length": 3}\n')
    assert ruler(engine, "-o", tmp_path / "out") == 1
    assert 'answers.jsonl: line 1: expected an answer, found {"length": 3}' in capsys.readouterr().err


def test_show(capsys):
    arguments = ["ruler", str(POCKET), "--show", "2", "--lengths", "1200", "--form", "decoder-only",
                 "--families", "single, two hops"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.count("=== single, 1200 tokens") == 2 and out.count("no encoder input") == 4 and out.count("--- one of: ") == 2
    assert len(re.findall(r"--- expected: \d{7}\n", out)) == 2


@pytest.mark.skipif(not ENGINE.exists(), reason="needs the engine's programs")
def test_pocket_through_the_engine(tmp_path, capsys):
    arguments = ["ruler", POCKET, "--engine", ENGINE, "--wording", "pocket", "--lengths", "240", "--families",
                 "single,multi-key", "-o", tmp_path / "out"]
    assert main([str(argument) for argument in arguments]) == 0
    single, multi_key = json.loads((tmp_path / "out/ruler.json").read_text())["groups"]
    assert single["items"] == 20 and single["score"] > 90 and multi_key["score"] > 80
    for form in FORMS[1:]:  # it was not trained on them, but is asked
        assert main([str(argument) for argument in [*arguments[:-1], tmp_path / form, "--form", form, "-n", "2"]]) == 0
