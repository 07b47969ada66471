"""Ablations: each variant against transformers where they coincide, training that goes on after a stop, the report."""
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("transformers")

import torch  # noqa: E402
from test_torch_pocket_training import interrupt_at, losses  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from torch import nn  # noqa: E402
from transformers import T5Gemma2ForConditionalGeneration, T5GemmaModuleConfig  # noqa: E402
from transformers.models.t5gemma.modeling_t5gemma import T5GemmaCrossAttention  # noqa: E402

from t5gemma2_weights_tool.ablate import architectures, decoder_only, measure, results  # noqa: E402
from t5gemma2_weights_tool.ablate.variants import VARIANTS, Answers  # noqa: E402
from t5gemma2_weights_tool.cli import main  # noqa: E402
from t5gemma2_weights_tool.model import load_config, load_model  # noqa: E402
from t5gemma2_weights_tool.pocket import items, retrieval, vocabulary  # noqa: E402
from t5gemma2_weights_tool.pocket.batches import encoder_decoder  # noqa: E402
from t5gemma2_weights_tool.pocket.evaluation import groups  # noqa: E402
from t5gemma2_weights_tool.pocket.files import locked, read_losses  # noqa: E402
from t5gemma2_weights_tool.pocket.recipe import STAGES, read_recipe  # noqa: E402
from t5gemma2_weights_tool.pocket.samples import BOS, EOS, NOTHING, Maker  # noqa: E402

ROOT = Path(__file__).parents[2]
POCKET = ROOT / "examples/pocket"
SMOKE = read_recipe("smoke")
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    vocabulary.write(folder)
    return Maker(Tokenizer.from_file(str(folder / "tokenizer.json")), 64, 16)


def fresh(name: str, maker, recipe=SMOKE) -> nn.Module:
    """Every parameter counts."""
    pieces = maker.tokenizer.get_vocab_size()
    variant = VARIANTS[name]
    model = variant.fresh(variant.recipe(recipe, pieces), pieces).eval()
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def drawn(maker, task: str, kind: str | None = None, length: int | None = None, count: int = 3) -> list:
    rng = Random(5)
    return [maker.sample_of(items.draw(task, rng, False, kind, length)) for _ in range(count)]


@pytest.fixture(params=["sorting", "question", "retrieval"])
def batch(request, maker):
    """Longer than the windows, padded, with pictures."""
    length = 96 if request.param == "retrieval" else None
    return encoder_decoder(drawn(maker, request.param, "which image" if request.param == "question" else None, length))[0]


@torch.no_grad()
def logits(model, batch, **more) -> torch.Tensor:
    return model(**{**batch, **more}, use_cache=False).logits


def equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(((one - other).abs().max() / other.abs().max()) <= TOLERANCE)


def test_base_is_the_model_class_of_the_recipe(maker, batch):
    """The published weights of the recipe, read by the project's loader and by base."""
    model = load_model(POCKET, load_config(POCKET))
    base = VARIANTS["base"].fresh(read_recipe("pocket"), maker.tokenizer.get_vocab_size()).eval()
    assert type(base) is type(model) is T5Gemma2ForConditionalGeneration
    base.load_state_dict(model.state_dict())
    assert equal(logits(base, batch), logits(model, batch))


def test_untied_is_base_until_they_are_trained(maker, batch):
    base, untied = fresh("base", maker), fresh("base", maker)
    architectures.untie(untied)
    assert equal(logits(untied, batch), logits(base, batch))
    with torch.no_grad():
        untied.model.encoder.text_model.embed_tokens.weight.mul_(2)
        base.model.encoder.text_model.embed_tokens.weight.mul_(2)
    assert untied.lm_head.out_proj.weight is untied.model.decoder.embed_tokens.weight
    assert not equal(logits(untied, batch), logits(base, batch))


def test_untied_decoder_side_is_one_table(maker, batch):
    untied = fresh("untied", maker)
    tables = [name for name, one in untied.named_parameters() if one.shape == untied.lm_head.out_proj.weight.shape]
    assert tables == ["model.encoder.text_model.embed_tokens.weight", "model.decoder.embed_tokens.weight"]
    before = logits(untied, batch)
    with torch.no_grad():
        untied.lm_head.out_proj.weight[7:9].add_(1)
    changed = (logits(untied, batch) - before).abs().amax((0, 1)) > 1e-6
    assert changed[7:9].all()


def hide_encoder(batch: dict) -> dict:
    """An attention mask on which transformers' merged attention sees the decoder's own side alone."""
    return {**batch, "attention_mask": torch.zeros_like(batch["attention_mask"])}


def test_without_cross_attention_split_is_base_without_an_encoder(maker, batch):
    base, split = fresh("base", maker), fresh("base", maker)
    architectures.split(split)
    for layer in split.model.decoder.layers:
        nn.init.zeros_(layer.cross_attn.o_proj.weight)
    assert equal(logits(split, batch), logits(base, hide_encoder(batch)))


def test_split_reads_the_encoder_in_every_layer(maker, batch):
    split = fresh("split", maker)
    before = logits(split, batch)
    for layer in split.model.decoder.layers:
        kept = layer.cross_attn.o_proj.weight.detach().clone()
        nn.init.zeros_(layer.cross_attn.o_proj.weight)
        assert not equal(logits(split, batch), before)
        layer.cross_attn.o_proj.weight.data.copy_(kept)
    padded = batch["attention_mask"] == 0
    changed = {**batch, "input_ids": torch.where(padded, 9, batch["input_ids"])}
    assert equal(logits(split, changed), before)


def test_cross_attention_is_that_of_t5gemma(maker):
    """T5Gemma has cross-attention of its own, and no QK-norm."""
    base = fresh("base", maker)
    ours = architectures.CrossAttention(base.model.decoder.layers[1].self_attn)
    ours.q_norm = ours.k_norm = nn.Identity()
    text = SMOKE.sizes.text
    config = T5GemmaModuleConfig(**{name: text[name] for name in (
        "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "query_pre_attn_scalar")},
        num_hidden_layers=1, intermediate_size=8, cross_attention_hidden_size=text["hidden_size"], attn_logit_softcapping=None)
    config._attn_implementation = "eager"
    theirs = T5GemmaCrossAttention(config, 0).eval()
    theirs.load_state_dict(ours.state_dict())
    X, H = torch.randn(2, 5, text["hidden_size"]), torch.randn(2, 9, text["hidden_size"])
    seen = torch.rand(2, 1, 1, 9) < 0.7
    with torch.no_grad():
        expected, _ = theirs(X, torch.where(seen, 0.0, -torch.inf), H)
        assert equal(ours(X, H, seen), expected)


def test_global_cross_sees_the_encoder_in_global_layers_alone(maker, batch):
    """Like base with local layers whose encoder side is masked."""
    base, ours = fresh("base", maker), fresh("base", maker)
    architectures.hide_encoder_in_local_layers(ours)
    for layer in base.model.decoder.layers:
        if layer.attention_type != architectures.GLOBAL:
            layer.self_attn.register_forward_pre_hook(mask_encoder, with_kwargs=True)
    assert equal(logits(ours, batch), logits(base, batch))
    assert not equal(logits(ours, batch), logits(fresh("base", maker), batch))
    assert sum(type(layer.self_attn) is architectures.OwnSideAttention for layer in ours.model.decoder.layers) == 5


def mask_encoder(_module, args, given):
    mask = given["merged_attention_mask"].clone()
    mask[..., -given["encoder_hidden_states"].shape[1]:] = False
    return args, {**given, "merged_attention_mask": mask}


def test_decoder_only_padding_changes_nothing(maker):
    """A batch of streams, each as it is alone, and labels on the answer's tokens and eos."""
    model = fresh("decoder-only", maker)
    samples = drawn(maker, "question", "which image") + drawn(maker, "question", "how many")
    assert len({len(sample.encoder) for sample in samples}) > 1
    inputs, labels = decoder_only.one_stream(samples)
    together = logits(model, inputs)
    for row, sample in enumerate(samples):
        stream = decoder_only.stream(sample)
        assert stream == [*sample.encoder, BOS, *sample.answer]
        alone = logits(model, decoder_only.one_stream([sample])[0])
        begin = len(sample.encoder)
        assert equal(together[row, begin:len(stream)], alone[0, begin:len(stream)])
        assert labels[row, begin:len(stream)].tolist() == [*sample.answer, EOS]
        assert (labels[row, :begin] == NOTHING).all() and (labels[row, len(stream):] == NOTHING).all()


def test_decoder_only_is_causal_but_for_a_picture(maker):
    model = fresh("decoder-only", maker)
    sample, = drawn(maker, "question", "how many", count=1)
    inputs, _ = decoder_only.one_stream([sample])
    before = logits(model, inputs)[0]
    first = sample.encoder.index(7)
    later = {**inputs, "input_ids": inputs["input_ids"].clone()}
    later["input_ids"][0, first + 20:] = 9
    after = logits(model, later)[0]
    assert equal(after[:first + 16], before[:first + 16]) and not equal(after[first + 20:], before[first + 20:])
    pictures = {**inputs, "pixel_values": inputs["pixel_values"].clone()}
    pictures["pixel_values"][:, :, -8:, -8:] = 1  # the last patch reaches the picture's first token, and no token before
    after = logits(model, pictures)[0]
    assert equal(after[:first], before[:first]) and not equal(after[first], before[first])


@pytest.mark.parametrize("name", ["pocket", "smoke", "ablate"])
def test_decoder_only_is_as_large_as_base(maker, name):
    recipe, pieces = read_recipe(name), maker.tokenizer.get_vocab_size()
    count = {variant: sum(one.numel() for one in VARIANTS[variant].fresh(
        VARIANTS[variant].recipe(recipe, pieces), pieces).parameters()) for variant in ("base", "decoder-only")}
    text = VARIANTS["decoder-only"].recipe(recipe, pieces).sizes.text
    assert abs(count["decoder-only"] - count["base"]) <= 3 * text["hidden_size"] * text["num_hidden_layers"] / 2
    assert text["query_pre_attn_scalar"] == text["head_dim"] and text["head_dim"] % 2 == 0


@pytest.mark.parametrize("name", ["base", "split", "global-cross", "decoder-only"])
def test_answers_are_greedy(maker, name):
    """Token by token, as a forward pass of the whole answer chooses them."""
    model = fresh(name, maker)
    samples = drawn(maker, "question", "how many", count=8) + drawn(maker, "caption", "1 object")
    alike = [sample for sample in samples if len(sample.encoder) == len(samples[0].encoder)]
    longest = max(len(sample.answer) for sample in alike) + 1
    for sample, answer in zip(alike, Answers(VARIANTS[name], model, maker).generate(alike)):
        asked = replace(sample, answer=answer)
        inputs = VARIANTS[name].tensors["items"]([asked])[0]
        scores = logits(model, inputs)[0]
        begin = 0 if name != "decoder-only" else len(sample.encoder)
        assert scores[begin:begin + len(answer)].argmax(-1).tolist() == answer
        assert len(answer) == longest or scores[begin + len(answer)].argmax() == EOS


def ablate(folder, *more) -> int:
    return main(["ablate", "--smoke", "--workers", "1", "-n", "1", "-o", str(folder), *more])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All variants, one seed."""
    folder = tmp_path_factory.mktemp("ablation")
    assert ablate(folder) == 0
    return folder


def test_every_variant_is_measured(done):
    result = json.loads((done / "ablation.json").read_text())
    assert list(result["variants"]) == list(VARIANTS)
    page = (done / "README.md").read_text()
    for name, runs in result["variants"].items():
        run, = runs
        stages = STAGES[1:] if name not in ("decoder-only", "no-ul2") else STAGES if name == "decoder-only" else STAGES[2:]
        assert tuple(run["training"]) == stages and f"| {name} |" in page
        for stage in run["training"].values():
            assert stage["steps"] == 10 == len(stage["losses"]["loss"]) and stage["seconds_per_step"] > 0
            assert all(math.isfinite(loss) for loss in stage["losses"]["loss"])
        asked = [(group["task"], group["kind"], group["length"]) for group in run["groups"]]
        assert asked == groups(measure.kinds_trained(SMOKE))
        assert {length for task, _, length in asked if task == "retrieval"} == {240, 480, 960, 1920}
        assert all(group["items"] == 1 for group in run["groups"])
    for plot in ("tasks", "length", "loss"):
        assert (done / f"{plot}.svg").read_text().startswith("<?xml")


def test_what_is_counted(done):
    """base's and what the paper's arithmetic adds (tests/against_transformers has t5gemma2-inspect count the same)."""
    runs = {name: runs[0] for name, runs in json.loads((done / "ablation.json").read_text())["variants"].items()}
    text, base = SMOKE.sizes.text, runs["base"]["parameters"]
    d, heads, layers = text["hidden_size"], text["num_attention_heads"] + text["num_key_value_heads"], text["num_hidden_layers"]
    pieces = Tokenizer.from_file(str(done / "tokenizer/tokenizer.json")).get_vocab_size()
    assert runs["untied"]["parameters"] - base == (pieces + 1) * d
    cross = layers * 2 * heads * text["head_dim"] * d
    assert runs["split"]["extra_norms"] == layers * (2 * d + 2 * text["head_dim"])
    assert runs["split"]["parameters"] - base - runs["split"]["extra_norms"] == cross
    assert runs["global-cross"]["parameters"] == runs["no-ul2"]["parameters"] == runs["from-scratch"]["parameters"] == base
    assert all(run["extra_norms"] == 0 for name, run in runs.items() if name != "split")


def test_the_adapted_share_a_parent_and_data(done):
    """The same families at the same steps; what is untied starts where base does, and from-scratch does not."""
    def families(name, stage):
        return [line["family"] for line in read_losses(done / name / "seed-1" / stage / "loss.jsonl")]
    for name, variant in VARIANTS.items():
        assert all(families(name, stage) == families("base", stage) for stage in variant.stages if stage != "language")
    first = {name: losses(done / name / "seed-1", "ul2")[0] for name in VARIANTS if name != "no-ul2"}
    assert first["untied"] == pytest.approx(first["base"], rel=1e-6)
    assert len({round(loss, 4) for loss in first.values()}) == len(first) - 1
    assert sorted(file.name for file in (done / "parent").iterdir()) == ["seed-1"]


def test_base_is_trained_as_train_does(done, tmp_path):
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(json.loads((done / "plan.json").read_text())["recipe"]))
    assert main(["train", "--recipe", str(file), "--workers", "1", "-o", str(tmp_path / "training")]) == 0
    assert losses(tmp_path / "training", "language") == losses(done / "parent/seed-1", "language")
    for stage in STAGES[1:]:
        assert losses(tmp_path / "training", stage) == losses(done / "base/seed-1", stage), stage


def test_a_second_run_has_nothing_to_do(done, capsys):
    before = (done / "ablation.json").read_bytes()
    assert ablate(done) == 0 and "step" not in capsys.readouterr().err
    assert (done / "ablation.json").read_bytes() == before


@pytest.mark.parametrize("name", ["untied", "decoder-only"])
def test_more_items_are_measured_without_training(done, tmp_path, name, capsys):
    shutil.copytree(done, tmp_path / "ablation")
    assert ablate(tmp_path / "ablation", "--variants", name, "-n", "2") == 0
    assert ": step " not in capsys.readouterr().err
    result, = results.collected(tmp_path / "ablation")[name]
    assert result["items"] == 2
    assert "1 or 2 held-out items of each kind (not as many for all" in (tmp_path / "ablation/README.md").read_text()


@pytest.mark.parametrize("name, first", [("split", "parent"), ("decoder-only", "decoder-only")])
def test_interrupted_goes_on_exactly(done, tmp_path, name, first, monkeypatch, capsys):
    for stage, step in (("language", 3), ("ul2", 0), ("mixed", 4)):
        with monkeypatch.context() as patch:
            interrupt_at(patch, stage, step)
            assert ablate(tmp_path, "--variants", name) == 1
        assert f"{stage}: stopped after {step + 1} of 10 steps" in capsys.readouterr().err
    assert ablate(tmp_path, "--variants", name) == 0
    assert losses(tmp_path / first / "seed-1", "language") == losses(done / first / "seed-1", "language")
    for stage in STAGES[1:]:
        assert losses(tmp_path / name / "seed-1", stage) == losses(done / name / "seed-1", stage), stage
    assert results.collected(tmp_path)[name][0]["groups"] == results.collected(done)[name][0]["groups"]


def test_base_can_be_exported(done, tmp_path):
    assert main(["export", str(done / "base/seed-1"), "-o", str(tmp_path / "model")]) == 0
    assert T5Gemma2ForConditionalGeneration.from_pretrained(tmp_path / "model").dtype == torch.bfloat16


def test_minutes_make_the_steps(tmp_path, capsys):
    """And they stay when more is asked for."""
    recipe = json.loads((Path(measure.__file__).parents[1] / "pocket/recipes/smoke.json").read_text())
    for stage in recipe["stages"]:
        stage["steps"], stage["schedule"] = 4000, 0
    file = tmp_path / "long.json"
    file.write_text(json.dumps(recipe))
    arguments = ["ablate", "-o", str(tmp_path / "out"), "--recipe", str(file), "--workers", "1", "-n", "1"]
    assert main([*arguments, "--variants", "base", "--minutes", "0.05"]) == 0
    plan = json.loads((tmp_path / "out/plan.json").read_text())
    assert {name: tuple(stages) for name, stages in plan["seconds"].items()} == {"parent": STAGES[:1], "base": STAGES[1:]}
    a_step_of_each = sum(seconds for stages in plan["seconds"].values() for seconds in stages.values())
    assert {stage["steps"] for stage in plan["recipe"]["stages"]} == {max(1, round(3 / a_step_of_each))}
    assert main([*arguments, "--variants", "untied", "--seeds", "2"]) == 0
    assert json.loads((tmp_path / "out/plan.json").read_text()) == plan
    assert [one["seed"] for one in results.collected(tmp_path / "out")["untied"]] == [1, 2]
    capsys.readouterr()
    assert main([*arguments, "--minutes", "7"]) == 1
    assert "plan.json: minutes: expected 7" in capsys.readouterr().err
    assert main(["ablate", "-o", str(tmp_path / "out"), "--smoke"]) == 1
    assert "plan.json: recipe: expected smoke" in capsys.readouterr().err


def damage(file: Path, change) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("name, change, message", [
    ("plan.json", lambda plan: plan.update(asked=None), "plan.json: asked: expected what the plan was made for"),
    ("plan.json", lambda plan: plan["recipe"]["stages"].pop(), "plan.json: stages: expected language, ul2"),
    ("base/seed-1/result.json", lambda result: result.update(groups=[]), "result.json: content: expected what weights_tool"),
    ("base/seed-1/result.json", lambda result: result.update(seed=2), "result.json: variant, seed: expected base, seed-1"),
])
def test_a_damaged_file_is_named(done, tmp_path, name, change, message, capsys):
    shutil.copytree(done, tmp_path / "ablation")
    damage(tmp_path / "ablation" / name, change)
    assert ablate(tmp_path / "ablation") == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("weights_tool: ") and message in line


def test_one_run_at_a_time(tmp_path, capsys):
    with locked(tmp_path, "at work"):
        assert ablate(tmp_path) == 1
    assert capsys.readouterr().err == f"weights_tool: {tmp_path}: another run is at work there\n"


@pytest.mark.parametrize("arguments, message", [
    (["--variants", "base,tied"], "ablate: --variants: expected some of base, untied, split"),
    (["--recipe", "nothing"], "nothing"),
])
def test_bad_input_is_one_line(tmp_path, arguments, message, capsys):
    assert main(["ablate", "-o", str(tmp_path), *arguments]) == 1
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith("weights_tool: ") and message in line


def result_of(seed: int, right: int) -> dict:
    groups = [{"task": "dates", "kind": "a", "length": None, "items": 10, "right": right},
              {"task": "retrieval", "kind": "single", "length": retrieval.TRAINED, "items": 10, "right": 4},
              {"task": "retrieval", "kind": "single", "length": 480, "items": 10, "right": 2}]
    return {"seed": seed, "groups": groups}


def test_scores_and_noise():
    base, other = [result_of(1, 8), result_of(2, 9), result_of(3, 7)], [result_of(1, 6), result_of(2, 7), result_of(3, 5)]
    assert results.by_task(base[0]) == {"dates": 80, "retrieval": 40} and results.score(base[0]) == 60
    assert results.retrieval(base[0]) == {240: 40, 480: 20}
    assert results.differences(other, base) == [-10, -10, -10]
    assert results.verdict([-10, -10, -10]) == "yes, worse than base (± 0.0)"
    assert results.verdict([-10, 5, 1]).startswith("no (") and results.verdict([3]) == "one seed: cannot tell"
    assert results.verdict([4, 5, 6]) == "yes, better than base (± 2.5)"  # 5 > 4.30 * 1 / sqrt(3)
    assert results.verdict([1, 2, 6]) == "no (± 6.6)"      # 3 < 4.30 * 2.65 / sqrt(3)
    assert results.differences(other, base[1:]) == [-10, -10] and results.verdict([]) == "no seed in common with base"
    assert results.spread([80.0]) == "80.0" and results.spread([80.0, 82.0]) == "81.0 ± 1.4"
