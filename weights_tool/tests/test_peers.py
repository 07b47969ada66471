"""bench-peers without the engines it compares with: pages of recorded figures, calls between processes, errors."""
import io
import json
import math
import os
import stat

import numpy as np
import pytest

from t5gemma2_weights_tool import names
from t5gemma2_weights_tool.adapt import t5gemma2_name
from t5gemma2_weights_tool.cli import main
from t5gemma2_weights_tool.config import read_preset
from t5gemma2_weights_tool.errors import UserError
from t5gemma2_weights_tool.gemma3 import open_gemma3
from t5gemma2_weights_tool.peers import command, our_engine, worker
from t5gemma2_weights_tool.peers import measure as peers_measure
from t5gemma2_weights_tool.peers.engines import ENGINES, IMAGES, REFERENCE, TEXTS, Engine, Files
from t5gemma2_weights_tool.peers.logits import log_probabilities
from t5gemma2_weights_tool.peers.measure import Ids, Plan, measure
from t5gemma2_weights_tool.peers.tables import Figures
from t5gemma2_weights_tool.random_checkpoint import write_random
from t5gemma2_weights_tool.storage import Checkpoint

PLAN = Plan(lengths=(8, 16), threads=(2, 1), steps=4, repeats=3, images=True)


class Stub:
    """A worker whose engine takes as long as it is told."""

    def __init__(self, engine: Engine, seconds: float, off: float) -> None:
        self.engine, self.version, self.off = engine, f"{engine.name} 1", off
        self.times = {"seconds": [4 * seconds, seconds], "image_seconds": seconds, "first_token": seconds,
                      "peak_memory": 700, "set_threads": None, "text_seconds": seconds,
                      "long_input": {"length": 64, "seconds": 40.4, "encode": 1234.5, "decode": 6.25, "memory": 7890.1},
                      "machine": {"processor": "A processor", "isa": "avx2",
                                  "limits": [{"threads": 2, "flops_per_second": 2e11, "bytes_per_second": 3e10}]}}

    def call(self, method: str, *arguments):
        if method == "log_probabilities":
            return [-1.0 - self.off] * arguments[2]
        return self.times[method]


@pytest.fixture
def known(monkeypatch):
    """Figures of engines of which the first takes 1 s for 4 tokens, the next 2 s, and so on."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    workers = [Stub(engine, i, 0 if engine.key == REFERENCE else 0.25 * i) for i, engine in enumerate(ENGINES, 1)]
    figures = measure(workers, PLAN, read_preset("tiny"), deadline=math.inf)
    return json.loads(json.dumps({"model": "model tiny", "tokenizer": False, "busy": 0.25, **figures}))


def test_ratios_are_of_speeds(known):
    figures = Figures(known)
    assert figures.rates["ours float32", "encode", 8, 2] == 8 / 4
    assert figures.rates["ours float32", "decode", 16, 1] == 4
    assert figures.ratio("ours float32", REFERENCE, "decode", 8, 1) == 4
    assert "| ours int8 / ours float32 | 0.33 |" in figures.ratios(2)
    assert "ours float32 / ours" not in figures.ratios(2)
    assert "| ours int8 / transformers float32 | 1.33 | 1.33 | 1.33 | 1.33 |" in figures.ratios(2)
    assert "| ours float32 / llama.cpp BF16 | 8.00 |" in figures.alone()
    assert "| ours float32 / transformers float32, as speeds | 4.00 |" in figures.images()


def test_speed_stands_beside_error(known):
    figures = Figures(known)
    assert "| ours float32 | 2.0 | 4.0 | 4.0 | 4.0 | 0.2 |" in figures.speeds(1)
    assert "| CTranslate2 float32 | 0.3 | 0.7 | 0.7 | 0.7 | 2 |" in figures.speeds(1)
    assert "| transformers bfloat16 | 1.2 | 1.2 |" in figures.agreement(alone=False)
    assert "CTranslate2" not in figures.agreement(alone=True)
    assert "| llama.cpp Q8_0 | 2.2 | 2.2 |" in figures.agreement(alone=True)


def test_medians(known):
    rows = {(row["engine"], row["what"], row["length"], row["threads"]): row for row in known["times"]}
    assert rows["ours float32", "encode", 8, 2]["seconds"] == [4] * PLAN.repeats
    assert {engine for engine, what, _, threads in rows if what == "image" and threads == 2} == set(IMAGES)
    assert not any(what == "image" and threads == 1 for _, what, _, threads in rows)
    rows["ours float32", "encode", 8, 2]["seconds"] = [1, 9, 2]
    assert Figures(known).rates["ours float32", "encode", 8, 2] == 8 / 2


@pytest.mark.parametrize("slow, deadline, repeats", [(45, math.inf, 3), (-1, math.inf, 1), (45, 0, 1)])
def test_slow_steps_and_late_rounds_are_not_repeated(monkeypatch, slow, deadline, repeats):
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(peers_measure, "SLOW", slow)
    workers = [Stub(ENGINES[0], 1, 0)]
    rows = peers_measure.rounds(workers, PLAN, Ids(read_preset("tiny")), deadline)
    assert {len(row["seconds"]) for row in rows} == {repeats}


def test_a_page_of_recorded_figures(known, tmp_path):
    pytest.importorskip("matplotlib")
    recorded, page = tmp_path / "figures.json", tmp_path / "docs/benchmarks.md"
    recorded.write_text(json.dumps(known))
    assert main(["bench-peers", "-q", "--figures", str(recorded), "-o", str(page)]) == 0
    text = page.read_text()
    assert "{" not in text and "A processor, avx2; 2 threads and 1 thread. Before the run the machine's load was 0.2." in text
    assert "(benchmarks.svg)" in text
    picture = page.with_suffix(".svg")
    assert all(engine.key in picture.read_text() for engine in ENGINES if engine.encodes)
    before = picture.read_bytes()
    main(["bench-peers", "-q", "--figures", str(recorded), "-o", str(page)])
    assert picture.read_bytes() == before and len(before) < 60_000


def test_long_inputs_are_added_to_an_earlier_run(known, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    recorded, page = tmp_path / "figures.json", tmp_path / "benchmarks.md"
    recorded.write_text(json.dumps(known))
    ours = Stub(ENGINES[0], 1, 0)
    monkeypatch.setattr(command, "long_figures",
                        lambda args: peers_measure.long_inputs(ours, args.long, max(args.threads), read_preset("tiny")))
    assert main(["bench-peers", "-q", "--figures", str(recorded), "--long", "64", "-m", "tiny", "-o", str(page)]) == 0
    row = "| 64 | 2 threads | 1,234 | 6.2 | 40 | 7,890 |"
    assert row in page.read_text()
    assert main(["bench-peers", "-q", "--figures", str(recorded), "-o", str(page)]) == 0
    assert row in page.read_text()  # it was written to the figures
    assert main(["bench-peers", "-q", "--figures", str(recorded), "--long", "64", "-o", str(page)]) == 1
    assert "model: expected random weights in the shapes of 270M-270M, which the other inputs go through, found model tiny" in (
        capsys.readouterr().err)


def test_many_texts_are_added_to_an_earlier_run(known, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    recorded, page = tmp_path / "figures.json", tmp_path / "benchmarks.md"
    recorded.write_text(json.dumps(known))
    engines = [Stub(engine, seconds, 0) for seconds, engine in enumerate(ENGINES, 1) if engine.key in TEXTS]
    monkeypatch.setattr(command, "text_figures",
                        lambda args: peers_measure.many_texts(engines, args.texts, max(args.threads), read_preset("tiny")))
    assert main(["bench-peers", "-q", "--figures", str(recorded), "--texts", "10", "-m", "tiny", "-o", str(page)]) == 0
    texts = peers_measure.texts_of(10, Ids(read_preset("tiny")))
    assert [len(text) for text in texts] == [20 + 281 * i // 10 for i in range(10)]
    tokens = sum(map(len, texts))
    assert f"10 texts, {tokens:,} tokens, 2 threads:" in page.read_text()
    assert f"| ours float32 | no padding | {tokens:,} |  |\n" in page.read_text()
    assert f"| transformers float32 | 8 at once, sorted by length, padded | {tokens / 4:.0f} | 4.00 |\n" in page.read_text()
    rows = json.loads(recorded.read_text())["many_texts"]["rows"]
    assert [len(row["seconds"]) for row in rows] == [3, 3, 1, 1]  # only the best number of texts at once is repeated


def error_line(arguments, capsys) -> str:
    assert main(["bench-peers", *map(str, arguments)]) == 1
    return capsys.readouterr().err.splitlines()[-1]


def test_a_missing_package_is_named(monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "xllamacpp" else object())
    assert error_line([], capsys) == ("weights_tool: this command needs xllamacpp: "
                                      "pip install 't5gemma2-weights-tool[peers]'")


def test_bad_arguments(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "need", lambda *_, **__: None)
    pytest.importorskip("matplotlib")
    assert "--engines: expected names out of ours,transformers,CTranslate2,llama.cpp, found vllm" in error_line(
        ["--engines", "ours,vllm"], capsys)
    assert f"{tmp_path}: --programs: expected a folder with t5gemma2-generate, found none" in error_line(
        ["--programs", tmp_path], capsys)


def test_ours_and_the_reference_always_run():
    assert [engine.key for engine in command.chosen_engines("llama.cpp")] == [
        "ours float32", "ours bfloat16", "ours int8", REFERENCE, "llama.cpp BF16", "llama.cpp Q8_0"]


def test_log_probabilities():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], np.float32)) + 300
    assert log_probabilities(logits, [1, 2]) == pytest.approx([math.log(0.25), math.log(0.8)], abs=1e-4)


def test_ids_are_the_same_each_time():
    ids = Ids(read_preset("tiny"))
    assert ids.encoder(9) == ids.encoder(9) and len(ids.encoder(9)) == 9 and ids.encoder(9)[0] == 2
    assert ids.decoder(9) != ids.encoder(9)


def test_timings_of_a_run():
    line = ("load 0.52 s | encode 512 tokens, 517.3 tok/s | read 1 token, 30.1 tok/s | decode 32 tokens, 31.5 tok/s"
            " | peak memory 634 MB")
    assert our_engine.told(line, "encode", "tok/s") == 517.3
    assert our_engine.told(line, "read", "tok/s") == 30.1
    assert our_engine.told(line, "peak memory", "MB") == 634
    with pytest.raises(UserError, match="timings: expected decode, in tok/s, found load"):
        our_engine.told("load 0.52 s", "decode", "tok/s")


@pytest.fixture
def files(tmp_path):
    """Of a model with a tokenizer, and a program that prints its arguments as if they were timings."""
    for name in ("model", "programs", "work"):
        (tmp_path / name).mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / "model" / name).write_text("{}")
    program = tmp_path / "programs/t5gemma2-generate"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] && { echo t5gemma2-generate 0.9 "(avx2)"; exit; }\n'
                       'case "$*" in *" --dtype int8 -t 2 "*) ;; *) echo "bad: $*" >&2; exit 1;; esac\n'
                       'case "$*" in *" --jsonl") read line\n'
                       'case "$line" in *n_predict*16*) ;; *) echo "bad: $line" >&2; exit 1;; esac; esac\n'
                       'echo "load 1 s | encode 3 tokens, 6.0 tok/s | decode 4 tokens, 8.0 tok/s | peak memory 700 MB" >&2\n')
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    embed = tmp_path / "programs/t5gemma2-embed"
    embed.write_text('#!/bin/sh\n[ "$(wc -l)" = 2 ] || exit 1\ncase "$*" in *" --jsonl -o "*.npy) ;; *) exit 1;; esac\n'
                     'echo "load 1 s | encode 5 tokens, 10.0 tok/s | peak memory 700 MB" >&2\n')
    embed.chmod(embed.stat().st_mode | stat.S_IEXEC)
    return Files(*(tmp_path / name for name in ("model", "programs", "work")))


def test_ours_in_a_process_of_its_own(files):
    with worker.Worker(Engine("ours", "int8", "our_engine"), files) as ours:
        assert ours.version == "0.9 (avx2)"
        assert sorted(os.listdir(files.work / "ours-int8")) == ["config.json", "model.safetensors"]
        ours.call("set_threads", 2)
        assert ours.call("seconds", [2, 5, 7], [2], 4) == [0.5, 0.5]
        long = ours.call("long_input", [2, 5, 7], [2], 16)
        assert ours.call("text_seconds", [[2, 5], [2, 6, 7]], 0) == 0.5
        assert (long["length"], long["encode"], long["decode"], long["memory"]) == (3, 6, 8, 700)
        ours.call("set_threads", 1)
        with pytest.raises(UserError, match=r"ours int8: UserError: t5gemma2-generate: bad: -m .*; .*ours-int8.log says more"):
            ours.call("seconds", [2, 5, 7], [2], 4)


def test_an_engine_whose_process_has_ended_is_said_to_have(files):
    with pytest.raises(UserError, match="ours int8"):
        with worker.Worker(Engine("ours", "int8", "our_engine"), files) as ours:
            ours.process.kill()
            ours.process.wait()
            ours.call("set_threads", 2)


def test_an_engine_that_cannot_load_says_why(files):
    with pytest.raises(UserError, match="other x: ModuleNotFoundError: No module named"):
        worker.Worker(Engine("other", "x", "no_such_engine"), files)


def test_a_call_is_a_line_each_way(monkeypatch):
    class Loaded:
        version = "1"

        def image_seconds(self) -> float:
            return 0.5
    monkeypatch.setattr(worker, "load", lambda question: Loaded())
    out = io.StringIO()
    worker.answers(['{"module": "m"}\n', '{"method": "image_seconds", "arguments": []}\n'], out)
    assert out.getvalue() == '{"value": "1"}\n{"value": 0.5}\n'


def test_the_decoder_as_a_gemma3(tmp_path):
    pytest.importorskip("gguf")
    from t5gemma2_weights_tool.peers.gguf_decoder import write_gguf
    write_random(read_preset("tiny"), tmp_path / "model", dtype="bfloat16")
    write_gguf(tmp_path / "model", tmp_path / "decoder.gguf", "BF16")
    stored, gemma3 = Checkpoint(tmp_path / "model"), open_gemma3(tmp_path / "decoder.gguf")
    assert gemma3.text["sliding_window"] == 5 and gemma3.text["rope_parameters"]["full_attention"]["factor"] == 8
    for name in ("embed_tokens.weight", *gemma3.layer_tensors()):
        ours = names.EMBEDDING if name.startswith("embed") else t5gemma2_name(names.DECODER, name)
        np.testing.assert_allclose(gemma3.read(name), stored.read(names.spell(ours, "hub")), atol=1e-6, err_msg=name)
