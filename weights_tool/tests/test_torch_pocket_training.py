"""Training: losses fall, interrupted runs make the very same model, what is exported loads, bad input is one line."""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("transformers")

import torch  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from transformers import AutoProcessor, AutoTokenizer, T5Gemma2ForConditionalGeneration  # noqa: E402

from t5gemma2_weights_tool.cli import main  # noqa: E402
from t5gemma2_weights_tool.pocket import fast, learners, model, pipeline, vocabulary  # noqa: E402
from t5gemma2_weights_tool.pocket.batches import Batches  # noqa: E402
from t5gemma2_weights_tool.pocket.files import read_losses  # noqa: E402
from t5gemma2_weights_tool.pocket.pipeline import scaled  # noqa: E402
from t5gemma2_weights_tool.pocket.recipe import STAGES, read_recipe  # noqa: E402
from t5gemma2_weights_tool.pocket.samples import NOTHING, Maker, cells_of  # noqa: E402
from t5gemma2_weights_tool.pocket.scenes import Name, Scene, Thing  # noqa: E402
from t5gemma2_weights_tool.pocket.training import Training, rate  # noqa: E402

SMOKE = read_recipe("smoke")


def train(folder, *more) -> int:
    return main(["train", "--recipe", "smoke", "--workers", "1", "-o", str(folder), *more])


def losses(folder, stage) -> list[float]:
    return [line["loss"] for line in read_losses(Path(folder) / stage / "loss.jsonl")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """All stages of the smoke recipe; 100 steps of the last."""
    folder = tmp_path_factory.mktemp("training")
    assert train(folder) == 0
    return folder


def test_losses_fall(trained):
    for stage, steps in (("language", 10), ("ul2", 10), ("vision", 10), ("tasks", 100), ("keys", 10), ("mixed", 20)):
        found = losses(trained, stage)
        tenth = max(1, steps // 10)
        assert len(found) == steps
        assert stage == "mixed" or sum(found[-tenth:]) < 0.95 * sum(found[:tenth]), stage  # mixed begins with what is learned
    assert sum(losses(trained, "tasks")[-10:]) < 0.7 * sum(losses(trained, "tasks")[:10])


def test_the_library_loads_it(trained):
    model, info = T5Gemma2ForConditionalGeneration.from_pretrained(trained / "model", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert model.dtype == torch.bfloat16 and model.generation_config.decoder_start_token_id == 2
    assert AutoTokenizer.from_pretrained(trained / "model").bos_token_id == 2
    assert AutoProcessor.from_pretrained(trained / "model").image_seq_length == 16
    assert sum(file.stat().st_size for file in (trained / "model").iterdir()) < 9_000_000


def test_a_second_run_has_nothing_to_do(trained, capsys):
    before = (trained / "model/model.safetensors").read_bytes()
    assert train(trained) == 0 and "tasks:" not in capsys.readouterr().err.replace("tasks: ", "", 0).split("model: ")[0]
    assert (trained / "model/model.safetensors").read_bytes() == before


def interrupt_at(monkeypatch, stage: str, at: int) -> None:
    """SIGTERM while a step's batch is made."""
    get = Batches.__getitem__

    def interrupted(self, step):
        if (self.stage.name, step) == (stage, at):
            signal.raise_signal(signal.SIGTERM)
        return get(self, step)
    monkeypatch.setattr(Batches, "__getitem__", interrupted)


def test_interrupted_run_goes_on_exactly(tmp_path, monkeypatch, capsys):
    scale = ("--steps-scale", "0.3")
    assert train(tmp_path / "whole", *scale) == 0
    for stage, step in (("language", 1), ("ul2", 0), ("vision", 2), ("tasks", 7), ("tasks", 20), ("keys", 1), ("mixed", 4)):
        with monkeypatch.context() as patch:
            interrupt_at(patch, stage, step)
            assert train(tmp_path / "parts", *scale) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith(f"weights_tool: {stage}: stopped after {step + 1} of ") and "goes on" in line
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert train(tmp_path / "parts", *scale) == 0
    for stage in STAGES:
        assert losses(tmp_path / "parts", stage) == losses(tmp_path / "whole", stage), stage
    one, other = ((tmp_path / name / "model/model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert one == other


def test_a_stop_while_the_last_checkpoint_is_written_stops(tmp_path, monkeypatch, capsys):
    save = Training.save

    def interrupted(self, step):
        save(self, step)
        if (self.stage.name, step) == ("language", 10):
            signal.raise_signal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(Training, "save", interrupted)
        assert train(tmp_path) == 1
    assert "language: stopped after its last step" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "ul2").exists() and train(tmp_path, "--stage", "ul2") == 0


def test_an_interrupt_while_a_worker_starts_ends_all(tmp_path):
    command = [sys.executable, "-m", "t5gemma2_weights_tool", "train", "--recipe", "smoke", "--workers", "2", "-o", tmp_path]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as leader:
        children = Path(f"/proc/{leader.pid}/task/{leader.pid}/children")
        deadline = time.monotonic() + 60
        while not any(b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children.read_text().split()):
            assert leader.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(leader.pid, signal.SIGINT)
        assert leader.wait(120) in (1, 130)


def test_killed_run_repeats_the_steps_since_its_checkpoint(tmp_path, monkeypatch):
    """No checkpoint of the last steps, but their losses in the log, its last line cut off."""
    assert train(tmp_path, "--stage", "language") == 0
    whole = losses(tmp_path, "language")
    with monkeypatch.context() as patch:
        patch.setattr("t5gemma2_weights_tool.pocket.training.Training.save", lambda *_: None)
        shutil.rmtree(tmp_path / "language")
        assert train(tmp_path, "--stage", "language") == 0
    log = tmp_path / "language/loss.jsonl"
    log.write_text(log.read_text()[:-9])
    assert train(tmp_path, "--stage", "language") == 0
    assert losses(tmp_path, "language") == whole


def test_two_workers_do_what_one_does(tmp_path):
    for workers in ("1", "2"):
        arguments = ["train", "--recipe", "smoke", "--stage", "language", "-o", str(tmp_path / workers)]
        assert main([*arguments, "--workers", workers]) == 0
    assert losses(tmp_path / "2", "language") == pytest.approx(losses(tmp_path / "1", "language"), rel=1e-4)


def last_line(folder, capsys, *more) -> str:
    assert train(folder, *more) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("weights_tool: ")
    return line


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def test_truncated_checkpoint(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    assert sorted(file.name for file in (tmp_path / "tasks").glob("*.pt")) == ["000075.pt", "000100.pt"]
    truncate(tmp_path / "tasks/000100.pt")
    assert train(tmp_path) == 0
    assert "000100.pt: truncated or damaged" in (said := capsys.readouterr().err) and "the checkpoint before it" in said
    assert losses(tmp_path, "tasks") == losses(trained, "tasks")
    for file in (tmp_path / "tasks").glob("*.pt"):
        truncate(file)
    assert "000075.pt: truncated or damaged" in last_line(tmp_path, capsys)


def test_another_recipe(trained, capsys):
    assert "recipe.stages[0].steps: expected 20 (or another output folder), found 10" in last_line(
        trained, capsys, "--steps-scale", "2")


def test_folder_that_cannot_be(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert f"{tmp_path}/file/x: cannot write: Not a directory" in last_line(tmp_path / "file/x", capsys)


def test_second_run_in_a_folder(tmp_path, capsys):
    from t5gemma2_weights_tool.pocket.pipeline import prepared
    with prepared(SMOKE, tmp_path):
        assert "another run is training there" in last_line(tmp_path, capsys)


def test_disk_full(tmp_path, capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        assert "000010.pt: cannot write: File too large" in last_line(tmp_path, capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "language").glob("*.pt*"))


def test_not_enough_memory(tmp_path, monkeypatch, capsys):
    def scores(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
    monkeypatch.setattr(learners.Gemma3Learner, "scores", scores)
    assert "not enough memory for 8 samples of text a step" in last_line(tmp_path, capsys)


def test_nothing_to_export(tmp_path, capsys):
    train(tmp_path, "--stage", "language")
    assert main(["export", str(tmp_path), "-o", str(tmp_path / "m")]) == 1
    assert "expected a checkpoint of the stages vision, tasks, keys, mixed, found none" in capsys.readouterr().err


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    vocabulary.write(folder)
    return Maker(Tokenizer.from_file(str(folder / "tokenizer.json")), 64, 16)


@pytest.mark.parametrize("stage", SMOKE.stages, ids=STAGES)
def test_batches_are_made_by_step_and_shared_out(stage, maker):
    for step in (0, stage.steps - 1):
        whole, again = (Batches(stage, 1, maker)[step] for _ in range(2))
        parts = [Batches(stage, 1, maker, worker, 2)[step] for worker in range(2)]
        assert torch.equal(whole.labels, again.labels)
        assert whole.samples == parts[0].samples == sum(len(part.labels) for part in parts) == len(whole.labels)
        width = parts[1].labels.shape[1]
        assert torch.equal(whole.labels[1::2, :width], parts[1].labels)
    assert not all(torch.equal(Batches(stage, seed, maker)[0].labels, whole.labels) for seed in (1, 2))


@pytest.mark.parametrize("stage, step, family, samples, hashed", [
    ("language", 0, "text", 24, "1e87a06e45c93186"),
    ("ul2", 2499, "denoise", 47, "168fc8268802ec0a"),
    ("vision", 0, "scenes", 48, "21d35926fdbd588b"),
    ("tasks", 0, "images", 32, "56149040d486c34a"),
    ("tasks", 5000, "text", 64, "e8ca6a9a62e6f117"),
    ("keys", 0, "keys alone", 96, "8491ade25e6159eb"),
    ("keys", 899, "hops alone", 64, "e6918add0893e317"),
    ("mixed", 0, "two pictures", 24, "109e0f4d2f466f52"),
    ("mixed", 1000, "keys", 50, "4b17feba24e6916a"),
    ("mixed", 6000, "counts", 64, "35a3de12154fc400"),
])
def test_what_the_pocket_model_was_trained_on(stage, step, family, samples, hashed, maker):
    """Generators, vocabulary and recipe made the shipped model: they must not change in silence."""
    recipe = read_recipe("pocket")
    batch = Batches(recipe.stage(stage), recipe.seed, maker)[step]
    found = blake2b(digest_size=8)
    for tensor in (*(batch.inputs[name] for name in sorted(batch.inputs)), batch.labels):
        found.update(tensor.numpy().tobytes())
    assert (batch.family, batch.samples, found.hexdigest()) == (family, samples, hashed)


def test_the_model_that_is_shipped():
    """Recipe, tokenizer and sizes are those that made it, and the library loads it without a warning."""
    recipe = read_recipe("pocket")
    made_by = json.dumps(recipe.up_to("mixed"), sort_keys=True)
    assert blake2b(made_by.encode(), digest_size=8).hexdigest() == "3d15a3e7f5fe3f3f"
    folder = Path(__file__).parents[2] / "examples/pocket"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 9_000_000
    assert json.loads((folder / "tokenizer.json").read_text()) == vocabulary.tokenizer_json()
    shipped, info = T5Gemma2ForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    sizes = model.t5gemma2_config(recipe.sizes, shipped.config.vocab_size)
    assert shipped.config.decoder.to_dict().items() >= {name: recipe.sizes.text[name] for name in recipe.sizes.text}.items()
    assert shipped.config.encoder.text_config.rope_parameters == sizes.encoder.text_config.rope_parameters


def test_a_stage_that_stops_sooner_than_planned():
    """Rate, growth and start are those of the longer stage."""
    recipe = read_recipe("pocket")
    tasks = recipe.stage("tasks")
    assert (tasks.steps, tasks.schedule) == (11827, 24000)
    whole, scaled_tasks = replace(tasks, steps=24000, schedule=0), scaled(recipe, 0.5).stage("tasks")
    assert all(rate(recipe, tasks, step) == rate(recipe, whole, step) for step in (0, 99, 5000, 11826))
    assert (scaled_tasks.steps, scaled_tasks.schedule) == (5914, 12000) and scaled(recipe, 0.5).stage("ul2").schedule == 0


def test_bfloat16_on_a_processor_without_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "with").write_text("flags : fma avx512_bf16 avx2")
    (tmp_path / "without").write_text("flags : fma avx512f avx2")
    assert [pipeline.computes_bfloat16(tmp_path / name) for name in ("with", "without", "no")] == [True, False, True]
    monkeypatch.setattr(pipeline, "computes_bfloat16", lambda: False)
    monkeypatch.setattr(pipeline, "run", lambda *_: None)
    pipeline.train(replace(SMOKE, bfloat16=True), tmp_path / "slow")
    assert "note: bfloat16: this processor has no instructions for it" in capsys.readouterr().err
    pipeline.train(SMOKE, tmp_path / "usual")
    assert "note:" not in capsys.readouterr().err


def test_encoder_reads_bos_and_no_eos(maker):
    stage = replace(SMOKE.stage("tasks"), families=SMOKE.stage("tasks").families[1:2])
    batch = Batches(stage, 1, maker)[0]
    ids, mask, labels = batch.inputs["input_ids"], batch.inputs["attention_mask"], batch.labels
    assert (ids[:, 0] == 2).all() and not (ids == 1).any() and ((ids == 0) == (mask == 0)).all()
    assert (ids == 7).sum() == 16 * len(batch.inputs["pixel_values"])
    assert (batch.inputs["decoder_input_ids"][:, 0] == 2).all() and ((labels == 1).sum(1) == 1).all()


def test_what_lies_in_a_cell():
    things = [Thing(Name("large", "green", "cross"), 0.30, 0.05, 0.1, (0, 0, 0)),
              Thing(Name("small", "red", "circle"), 0.95, 0.99, 0.1, (0, 0, 0)),
              Thing(Name("small", "red", "circle"), 0.55, 0.55, 0.1, (0, 0, 0)),
              Thing(Name("small", "red", "circle"), 0.65, 0.65, 0.1, (0, 0, 0))]
    cells = cells_of(Scene(tuple(things), (255, 255, 255), False), 16)
    assert cells[:, 1] == pytest.approx([5, 3, 1, -0.3, -0.3]) and cells[:, 15] == pytest.approx([1, 0, 0, 0.3, 0.46])
    assert (cells[:, 10] == NOTHING).all() and (cells[0] == 0).sum() == 13 and (cells[1:, 0] == NOTHING).all()


@pytest.mark.parametrize("make", [
    lambda kind: (model.fresh_gemma3(model.gemma3_config(SMOKE.sizes, 99), 0, kind), {}),
    lambda kind: (model.fresh_t5gemma2(model.t5gemma2_config(SMOKE.sizes, 99), 0, kind),
                  {"decoder_input_ids": torch.arange(60).view(2, 30) + 9}),
], ids=["gemma3", "t5gemma2"])
def test_attention_of_training_is_the_library_s(make):
    ids, mask = torch.arange(80).view(2, 40) + 10, torch.ones(2, 40, dtype=torch.long)
    mask[1, 33:] = 0
    for masked in ({}, {"attention_mask": mask}):
        eager, ours = (built(input_ids=ids, use_cache=False, **more, **masked).logits
                       for built, more in (make("eager"), make(fast.ATTENTION)))
        seen = mask.bool() if masked and eager.shape[1] == 40 else slice(None)
        torch.testing.assert_close(ours[seen], eager[seen], atol=1e-5, rtol=1e-5)


def test_recipe_of_a_run_is_kept(trained):
    assert read_recipe(str(trained / "recipe.json")) == SMOKE
    config = json.loads((trained / "model/config.json").read_text())
    assert config["architectures"] == ["T5Gemma2ForConditionalGeneration"]


def test_another_tokenizer(tmp_path, capsys):
    train(tmp_path, "--stage", "language")
    file = tmp_path / "tokenizer/tokenizer.json"
    file.write_text(file.read_text().replace("zebra", "zebro"))
    assert "tokenizer.json: pieces: expected those this version makes" in last_line(tmp_path, capsys)
