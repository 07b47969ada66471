"""Comparisons of dicts, files, torch modules and the engine: bugs are named, and wrong arguments.

Run: pytest python/tests
"""

import gc
import json
import resource

import ml_dtypes
import numpy as np
import pytest
from programs import DATA, run
from safetensors.numpy import load_file, save_file

import t5gemma2
from t5gemma2 import assert_close, compare

BASIC = DATA / "basic"
FILE = BASIC / "reference.safetensors"
NORM = "model.decoder.norm"
X = np.random.default_rng(0).normal(size=(1, 7, 24)).astype(np.float32)


@pytest.fixture(scope="module")
def basic():
    return t5gemma2.load(BASIC)


@pytest.fixture
def reference():
    return load_file(FILE)


def text_of_program(*arguments) -> tuple[str, bool]:
    done = run("compare", *arguments)
    assert done.stderr == "" and done.returncode in (0, 1), done
    return done.stdout, done.returncode == 0


def wrong(tensors: dict, name: str = NORM, by: float = 0.01) -> dict:
    return tensors | {name: tensors[name] + np.float32(by)}


# ---- with the engine ----

@pytest.mark.parametrize("name", ["basic", "unequal", "images", "old_keys", "untied", "long_odd", "no_encoder",
                                  "one_token"])
def test_fixtures_pass(name):
    model, file = t5gemma2.load(DATA / name), DATA / name / "reference.safetensors"
    for theirs in (file, str(file), load_file(file)):
        report = compare(model, theirs)
        assert report.passed and report and not report.failures and not report.guesses, report
        text, passed = text_of_program(DATA / name, file)
        assert passed and str(report) == text


def test_the_text_is_the_programs(basic, reference, tmp_path):
    save_file(wrong(reference), tmp_path / "wrong.safetensors")
    report = compare(basic, tmp_path / "wrong.safetensors")
    assert (str(report), report.passed) == text_of_program(BASIC, tmp_path / "wrong.safetensors")
    assert report.text(all=True) == text_of_program(BASIC, tmp_path / "wrong.safetensors", "--all")[0]
    assert not report and [tensor["name"] for tensor in report.failures] == [NORM]
    assert compare(basic, wrong(reference)).failures == report.failures


def test_json_is_the_programs(basic, reference, tmp_path):
    save_file(wrong(reference), tmp_path / "wrong.safetensors")
    theirs = json.loads(text_of_program(BASIC, tmp_path / "wrong.safetensors", "--json")[0])
    ours = compare(basic, tmp_path / "wrong.safetensors")
    assert ours.to_json() == theirs and ours.tensors == theirs["tensors"] and ours.guesses == theirs["guesses"]
    json.dumps(ours.to_json())


def test_html_is_one_page(basic, reference):
    page = compare(basic, wrong(reference)).to_html()
    assert page.startswith("<!doctype html>") and NORM in page
    frame = compare(basic, wrong(reference))._repr_html_()
    assert frame.startswith("<iframe") and "<!doctype" in frame and frame.count('"') == 6


def test_a_trace_with_its_inputs(basic):
    ids, decoder_ids = [2, 5, 6, 7], [2, 8, 9]
    trace = basic.trace(ids, decoder_ids)
    assert compare(basic, trace, input_ids=ids, decoder_input_ids=decoder_ids).passed
    for form in (np.array, tuple, lambda ids: np.array([ids]), lambda ids: [ids]):
        assert compare(basic, dict(trace), input_ids=form(ids), decoder_input_ids=form(decoder_ids)).passed
    inputs = {"inputs.input_ids": np.array([ids]), "inputs.decoder_input_ids": np.array([decoder_ids], np.int32)}
    for form in (inputs, {name: value[0] for name, value in inputs.items()},
                 {name: value.tolist() for name, value in inputs.items()},
                 {name: tuple(value[0]) for name, value in inputs.items()}):
        assert compare(basic, dict(trace) | form).passed
    assert compare(basic, trace, input_ids=[2, 5, 6, 8], decoder_input_ids=decoder_ids).failures
    encoder = {name: x for name, x in trace.items() if name.startswith("model.encoder")}
    assert compare(basic, encoder, input_ids=ids).passed


def test_inputs_take_the_place_of_the_files(basic):
    assert compare(basic, FILE).passed
    assert not compare(basic, FILE, input_ids=[2, 5]).passed


def test_images_are_given(reference):
    model = t5gemma2.load(DATA / "images")
    file = DATA / "images/reference.safetensors"
    tensors = load_file(file)
    pixels = tensors.pop("inputs.pixel_values")
    assert compare(model, tensors, pixel_values=pixels).passed
    assert not compare(model, tensors, pixel_values=pixels + 1).passed
    assert not compare(model, file, pixel_values=pixels + 1).passed


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_a_rounded_model_is_not_guessed_about(dtype):
    report = compare(t5gemma2.load(BASIC, dtype=dtype), FILE)
    assert not report.passed and report.guesses == []
    assert compare(t5gemma2.load(BASIC, dtype=dtype), FILE, tolerance=1).passed


def test_the_models_own_errors(basic, reference):
    for inputs, message in (({"input_ids": [50000]}, "expected token ids from 0 to 63, found 50000"),
                            ({"pixel_values": np.zeros((1, 3, 8, 8), np.float32)}, "no vision encoder")):
        with pytest.raises(t5gemma2.Error, match=message):
            compare(basic, reference, **inputs)
    with pytest.raises(t5gemma2.Error, match="inputs.input_ids: expected"):
        compare(basic, {NORM: X})
    with pytest.raises(t5gemma2.Error, match="inputs.attention_mask"):
        compare(basic, reference | {"inputs.attention_mask": reference["inputs.input_ids"]})


# ---- two sides without a model ----

def test_files_and_dicts(reference, tmp_path):
    other = tmp_path / "other.safetensors"
    save_file(wrong(reference), other)
    for mine in (FILE, reference):
        for theirs in (str(FILE), dict(reference)):
            assert compare(mine, theirs).passed and not compare(mine, theirs).failures
    text, passed = text_of_program(FILE, other)
    for mine in (FILE, reference):
        for theirs in (other, wrong(reference)):
            report = compare(mine, theirs)
            assert (str(report), report.passed) == (text, passed)
            assert [one["name"] for one in report.failures] == [NORM]


def test_traces_are_dicts(basic):
    first, second = basic.trace([2, 5]), basic.trace([2, 6])
    assert compare(first, first).passed and not compare(first, second).passed


@pytest.mark.parametrize("shape", [(), (5,), (1,), (3, 4), (1, 3, 4), (2, 3, 4, 5), (1, 2, 3, 4, 5)])
def test_arrays_of_any_number_of_axes(shape):
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    report = compare({"a": x}, {"a": x * np.float32(1 + 1e-6)})
    assert report.passed and [one["name"] for one in report.tensors] == ["a"] and "alone" not in str(report)
    assert not compare({"a": x}, {"a": x * np.float32(1.01)}).passed
    assert compare({"a": x}, {"a": x * np.float32(1.01)}, tolerance=0.1).passed
    assert compare({"a": x}, {"a": x * np.float32(1.01)}, tolerance={"a": 0.1}).passed


@pytest.mark.parametrize("shape", [(0,), (0, 4), (1, 0, 4), (1, 4, 0)])
def test_arrays_without_numbers(shape):
    assert compare({"a": np.zeros(shape, np.float32)}, {"a": np.zeros(shape, np.float32)}).passed


@pytest.mark.parametrize("form", [
    np.asfortranarray, lambda x: np.repeat(x, 2, 2)[:, :, ::2], lambda x: x[:, ::-1][:, ::-1],
    lambda x: np.broadcast_to(x, x.shape), lambda x: np.frombuffer(x.tobytes(), np.float32).reshape(x.shape)])
def test_arrays_of_any_layout(form):
    assert compare({"a": X}, {"a": form(X)}).passed and compare({"a": form(X)}, {"a": X}).passed


def test_unaligned_arrays():
    raw = np.frombuffer(b"x" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(X.shape)
    assert not raw.flags.aligned and compare({"a": X}, {"a": raw}).passed


@pytest.mark.parametrize("kind, passes", [(ml_dtypes.bfloat16, 1e-2), (np.float16, 1e-3)])
def test_rounded_arrays_may_differ_more(kind, passes):
    for mine, theirs in ((X.astype(kind), X), (X, X.astype(kind))):
        assert compare({"a": mine}, {"a": theirs}).passed
        assert not compare({"a": mine}, {"a": theirs}, tolerance=1e-6).passed
        assert not compare({"a": mine}, {"a": (np.float32(1) + 3 * passes) * theirs.astype(np.float32)}).passed


def test_arrays_are_read_when_they_are_compared():
    x = X.copy()
    report = compare({"a": X}, {"a": x})
    x[:] = 0
    assert report.passed and report.text() == str(report) and not compare({"a": X}, {"a": x}).passed


def test_dicts_are_left_as_they_are(basic, reference):
    before = {name: value.copy() for name, value in reference.items()}
    compare(basic, reference, input_ids=[2, 5])
    assert reference.keys() == before.keys() and all(np.array_equal(reference[name], before[name]) for name in before)


def test_nothing_in_common_is_no_success():
    for mine, theirs in (({}, {}), ({}, {"a": X}), ({"a": X}, {}), ({"a": X}, {"b": X})):
        report = compare(mine, theirs)
        assert not report.passed and report.tensors == [] and str(report).startswith("FAILED: 0 compared")
        with pytest.raises(AssertionError):
            assert_close(mine, theirs)


def test_whole_numbers_are_equal_or_not():
    ids = np.arange(6)
    for shape in ((6,), (1, 6), (2, 3), (1, 2, 3)):
        assert compare({"a": ids.reshape(shape)}, {"a": ids.reshape(shape)}).passed
        assert not compare({"a": ids.reshape(shape)}, {"a": ids.reshape(shape) + 1}).passed


@pytest.mark.parametrize("mine, theirs", [(np.nan, np.nan), (np.inf, 1), (1, np.nan), (np.inf, -np.inf)])
def test_nan_and_infinity_never_pass(mine, theirs):
    one, other = X.copy(), X.copy()
    one[0, 3, 5], other[0, 3, 5] = mine, theirs
    assert not compare({"a": one}, {"a": other}).passed
    assert not compare({"a": one}, {"a": other}, tolerance=1e30).passed


@pytest.mark.parametrize("change, named", [
    (lambda x: x[0], "the batch axis is missing: [7, 24]"),
    (lambda x: x * np.float32(2), "all numbers are multiplied by 2"),
    (lambda x: np.ascontiguousarray(x.transpose(0, 2, 1)), ""), (lambda x: x[:, :3], "")])
def test_another_shape_or_scale(change, named):
    report = compare({"a": X}, {"a": change(X)})
    assert not report.passed and (not named or named in report.guesses[0]["guess"]), report


# ---- names of TransformerLens ----

def hooks(trace, heads: int, size: int) -> dict[str, np.ndarray]:
    """What run_with_cache would hold."""
    made = {"encoder_ln_final.hook_out": trace["model.encoder.text_model.norm"], "unembed.hook_out": trace["lm_head"],
            "decoder_blocks.1.hook_resid_post": trace["model.decoder.layers.1"],
            "decoder_blocks.0.hook_resid_mid": trace["model.decoder.layers.0"]}
    for side, path, attention in (("encoder", "model.encoder.text_model", "attn"),
                                  ("decoder", "model.decoder", "self_attn")):
        q = trace[f"{path}.layers.0.self_attn.q_proj"]
        made[f"{side}_blocks.0.{attention}.hook_q"] = q.reshape(1, q.shape[1], heads, size)
        made[f"{side}_blocks.0.{attention}.hook_pattern"] = trace[f"{path}.layers.0.self_attn.weights"]
        made[f"{side}_blocks.0.mlp.hook_out"] = trace[f"{path}.layers.0.mlp"]
    made["decoder_blocks.0.self_attn.hook_v"] = trace["model.decoder.layers.0.self_attn.v_proj[1]"][:, :, None]
    return made


@pytest.mark.parametrize("batch", [True, False])
def test_names_of_transformer_lens(batch):
    model = t5gemma2.load()
    ids, decoder_ids = model.tokenize("sort: ox cat"), [2, 893, 5]
    cache = hooks(model.trace(ids, decoder_ids), 4, 32)
    if not batch:
        cache = {name: x[0] for name, x in cache.items()}
    report = compare(model, cache, input_ids=ids, decoder_input_ids=decoder_ids)
    assert report.passed and len(report.tensors) == 10, report
    assert "decoder_blocks.0.hook_resid_mid" in str(report)
    hook_ids = {"encoder_embed.hook_in": np.array([ids]), "decoder_embed.hook_in": np.array([decoder_ids])}
    if batch:
        assert compare(model, cache | hook_ids).passed
    name = "decoder_blocks.0.mlp.hook_out"
    failed = compare(model, cache | {name: cache[name] * 2}, input_ids=ids, decoder_input_ids=decoder_ids)
    assert "model.decoder.layers.0.mlp" in [one["name"] for one in failed.failures]
    assert compare(cache, model.trace(ids, decoder_ids)).passed


# ---- torch modules ----

def modeling():
    """transformers' own code, or nothing to test."""
    pytest.importorskip("torch")
    return pytest.importorskip("transformers.models.t5gemma2.modeling_t5gemma2")


def module_of(folder, **settings):
    code = modeling()
    return code.T5Gemma2ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager", dtype="float32",
                                                                 **settings).eval()


def inputs_of(model, torch_tensors: bool = False) -> dict:
    ids = [model.tokenize("merge: the red fox and the old dog in the garden say no " * 3)]
    inputs = {"input_ids": np.array(ids), "decoder_input_ids": np.array([[2, *range(300, 340)]])}
    if not torch_tensors:
        return inputs
    torch = pytest.importorskip("torch")
    return {name: torch.from_numpy(value) for name, value in inputs.items()}


@pytest.fixture(scope="module")
def pocket():
    return t5gemma2.load()


@pytest.mark.parametrize("torch_tensors", [False, True])
def test_a_right_module_passes(torch_tensors, pocket):
    module = module_of(pocket.folder)
    report = compare(pocket, module, **inputs_of(pocket, torch_tensors))
    assert report.passed and len(report.tensors) == 246, str(report)
    assert not [name for _, one in module.named_modules() for name in one._forward_hooks]


def test_ids_without_a_batch_axis_run_a_module(pocket):
    inputs = {name: value[0].tolist() for name, value in inputs_of(pocket).items()}
    assert compare(pocket, module_of(pocket.folder), **inputs).passed


def test_a_module_sees_images():
    model, tensors = t5gemma2.load(DATA / "images"), load_file(DATA / "images/reference.safetensors")
    inputs = {name: tensors[f"inputs.{name}"] for name in ("input_ids", "decoder_input_ids", "pixel_values")}
    report = compare(model, module_of(DATA / "images"), **inputs)
    assert report.passed and any("vision_tower" in tensor["name"] for tensor in report.tensors), report


def test_record_is_what_a_module_computes(pocket):
    inputs = inputs_of(pocket)
    recorded = t5gemma2.record(module_of(pocket.folder), **inputs)
    assert np.array_equal(recorded["inputs.input_ids"], inputs["input_ids"])
    assert {name for name, x in recorded.items() if x.dtype == np.float32} == set(pocket.trace([2, 5], [2]))
    assert compare(recorded, recorded).passed and compare(pocket, recorded).passed


def test_two_modules(pocket):
    one, other = module_of(pocket.folder), module_of(pocket.folder)
    assert compare(one, other, **inputs_of(pocket)).passed
    other.model.decoder.layers[2].mlp.down_proj.weight.data *= 1.5
    failures = compare(one, other, **inputs_of(pocket)).failures
    assert failures[0]["name"] == "model.decoder.layers.2.mlp.down_proj"


def layers_of(module):
    return [*module.model.encoder.text_model.layers, *module.model.decoder.layers]


def plant_scale(module, _patch):
    for layer in layers_of(module):
        layer.self_attn.scaling = 1.0


def plant_gelu(module, _patch):
    torch = pytest.importorskip("torch")
    for layer in layers_of(module):
        layer.mlp.act_fn.forward = torch.nn.functional.gelu


def plant_norm(module, _patch):
    torch = pytest.importorskip("torch")
    for name, one in module.named_modules():
        if type(one).__name__ == "T5Gemma2RMSNorm" and "mm_soft" not in name:
            one.forward = lambda x, own=one: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + own.eps) * own.weight


def plant_rope(module, _patch):
    for side in (module.model.encoder.text_model, module.model.decoder):
        side.rotary_emb.full_attention_inv_freq *= side.config.rope_parameters["full_attention"]["factor"]


def plant_heads(_module, patch):
    own = modeling().eager_attention_forward

    def swapped(*inputs, **settings):
        A, weights = own(*inputs, **settings)
        return A.flip(2), weights
    patch(modeling(), "eager_attention_forward", swapped)


@pytest.mark.parametrize("plant, named", [
    (plant_scale, "scores are not scaled"), (plant_gelu, "gelu is the exact one (erf), not the tanh form"),
    (plant_norm, "norm weights are used without 1 +"), (plant_rope, "RoPE without its factor"),
    (plant_heads, "heads are in the opposite order before o_proj")])
def test_a_planted_bug_is_named(plant, named, pocket, monkeypatch, tmp_path):
    module = module_of(pocket.folder)
    plant(module, monkeypatch.setattr)
    report = compare(pocket, module, **inputs_of(pocket))
    assert not report.passed and report.guesses and named in report.guesses[0]["guess"], report
    tensors = t5gemma2.record(module, **inputs_of(pocket))
    file = tmp_path / "bug.safetensors"
    save_file({name: np.ascontiguousarray(x) for name, x in tensors.items()}, file)
    assert str(compare(pocket, tensors)) == str(report)
    assert str(compare(pocket, file)) == text_of_program(pocket.folder, file)[0]
    with pytest.raises(AssertionError) as failed:
        assert_close(pocket, module, **inputs_of(pocket))
    assert str(failed.value).strip() == str(report).strip()


def test_what_is_right_raises_nothing(pocket):
    assert_close(pocket, module_of(pocket.folder), **inputs_of(pocket))
    assert_close({"a": X}, {"a": X * 2}, tolerance=1)


def test_a_module_in_bfloat16(pocket):
    torch = pytest.importorskip("torch")
    recorded = t5gemma2.record(module_of(pocket.folder).to(torch.bfloat16), **inputs_of(pocket))
    assert recorded["lm_head"].dtype == ml_dtypes.bfloat16
    assert compare(recorded, dict(recorded)).passed
    trace = pocket.trace(*inputs_of(pocket).values(), only="model.encoder.text_model.layers.0*")
    near = {name: recorded[name] for name in trace}
    assert compare(trace, near, tolerance=0.05).passed and not compare(trace, near, tolerance=1e-5).passed


def test_a_module_in_float64(pocket):
    module = module_of(pocket.folder).double()
    assert compare(pocket, module, input_ids=np.array([[2, 5, 6]]), decoder_input_ids=np.array([[2, 7]])).passed


def test_a_module_that_fails_keeps_no_hooks(pocket):
    module = module_of(pocket.folder)
    with pytest.raises(Exception, match=".+"):
        compare(pocket, module, input_ids=np.array([[10**6]]), decoder_input_ids=np.array([[2]]))
    assert not [name for _, one in module.named_modules() for name in one._forward_hooks]


def test_torch_tensors_of_every_kind(basic, reference):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(reference[NORM])
    for form in (x, torch.nn.Parameter(x), x.clone().requires_grad_() * 1, x.mT.contiguous().mT, x.bfloat16(), x.half(),
                 torch.cat((x, x))[:1]):
        assert compare(basic, reference | {NORM: form}).passed
    ids = {name: torch.from_numpy(value) for name, value in reference.items() if name.startswith("inputs.")}
    assert compare(basic, reference | ids).passed
    assert compare(basic, reference | {NORM: x.double()}).passed
    assert compare(basic, reference | {NORM: torch._neg_view(-x)}).passed
    with pytest.raises(TypeError, match=NORM):
        compare(basic, reference | {NORM: x.to(torch.complex64)})


# ---- tolerances ----

def test_tolerance():
    theirs = {"a": X, "b": X}
    mine = {"a": X * np.float32(1.01), "b": X * np.float32(1.001)}
    assert [one["name"] for one in compare(mine, theirs).failures] == ["a", "b"]
    assert [one["name"] for one in compare(mine, theirs, tolerance=5e-3).failures] == ["a"]
    assert compare(mine, theirs, tolerance=np.float32(0.1)).passed and compare(mine, theirs, tolerance=1).passed
    assert [one["name"] for one in compare(mine, theirs, tolerance={"a": 0.1}).failures] == ["b"]
    assert compare(mine, theirs, tolerance={"*": 0.1}).passed
    assert compare(mine, theirs, tolerance={"*": 1e-9, "?": 0.1}).passed
    assert not compare(mine, theirs, tolerance={"?": 0.1, "*": 1e-9}).passed
    assert not compare(mine, mine | {"a": X}, tolerance=0).passed and compare(mine, mine, tolerance=0).passed


def test_tolerance_is_the_programs(basic, reference, tmp_path):
    save_file(wrong(reference), tmp_path / "wrong.safetensors")
    for ours, flags in ((1e-1, ["--tolerance", "1e-1"]), ({"*.norm": 0.1}, ["--tolerance", "*.norm=0.1"]),
                        ({"*.weights": 1e-9}, ["--tolerance", "*.weights=1e-9"])):
        report = compare(basic, tmp_path / "wrong.safetensors", tolerance=ours)
        assert (str(report), report.passed) == text_of_program(BASIC, tmp_path / "wrong.safetensors", *flags)


@pytest.mark.parametrize("tolerance", [-1, float("nan"), {"a": -1}, "x", "0.5", True, [1], {"a": "x"}, {5: 1},
                                       {"a": None}, object()])
def test_wrong_tolerances(tolerance):
    with pytest.raises((TypeError, ValueError), match="tolerance"):
        compare({"a": X}, {"a": X}, tolerance=tolerance)


# ---- what is refused ----

def one_line(error: pytest.ExceptionInfo) -> None:
    assert "\n" not in str(error.value) and "incompatible function arguments" not in str(error.value), error.value


@pytest.mark.parametrize("side", [5, None, [X], X, 1.5, b"file", object(), {1, 2}])
def test_wrong_types(side, basic):
    for call, name in ((lambda: compare(basic, side), "theirs"), (lambda: compare({}, side), "theirs"),
                       (lambda: compare(side, {}), "mine"), (lambda: assert_close(side, {}), "mine")):
        with pytest.raises(TypeError, match=f"{name}: expected a .*found {type(side).__name__}") as error:
            call()
        one_line(error)


def test_the_model_stands_first(basic, reference):
    for mine in (reference, basic, FILE):
        with pytest.raises(TypeError, match="[Mm]odel") as error:
            compare(mine, basic)
        assert "mine" in str(error.value)


@pytest.mark.parametrize("value", [X > 0, X.astype(np.complex64), X.astype(">f4"), None, "x", 1.0,
                                   np.array([["x"]]), [[1.5]], X.tolist(), {}, object(), np.array([None])])
def test_wrong_arrays(value):
    for mine, theirs in (({"a.b": value}, {"a.b": X}), ({"a.b": X}, {"a.b": value})):
        with pytest.raises(TypeError, match="^a.b: expected a float32, float16 or bfloat16 array") as error:
            compare(mine, theirs)
        one_line(error)


@pytest.mark.parametrize("number", [2**24 + 1, -2**24 - 1, 2**60, np.uint64(2**64 - 1), np.int64(-2**63)])
def test_whole_numbers_that_float32_has_not(number):
    whole = np.array([number])
    with pytest.raises(ValueError, match="a: expected whole numbers from"):
        compare({"a": whole}, {"a": whole})


def test_float64_is_compared_as_float32():
    assert compare({"a": X}, {"a": X.astype(np.float64)}).passed
    assert not compare({"a": X}, {"a": X.astype(np.float64) + 1}).passed


def test_a_wrong_type_is_told_with_its_shape():
    with pytest.raises(TypeError, match=r"a: expected a float32.*found ndarray of complex64, shape \(1, 7, 24\)"):
        compare({"a": X}, {"a": X.astype(np.complex64)})


def test_a_name_of_theirs_alone_is_not_close():
    t5gemma2.assert_close({"a": X, "b": X}, {"a": X})
    with pytest.raises(AssertionError, match="b"):
        t5gemma2.assert_close({"a": X}, {"a": X, "b": X})


@pytest.mark.parametrize("ids", ["x", 5, 1.5, [1.5], [None], np.zeros((2, 3), int), np.array([1.0]), {}])
def test_wrong_ids(ids, basic, reference):
    for theirs in (reference, FILE):
        with pytest.raises(TypeError, match="input_ids: expected token ids") as error:
            compare(basic, theirs, input_ids=ids)
        one_line(error)


def test_names_are_texts():
    with pytest.raises(TypeError, match="name|key"):
        compare({5: X}, {5: X})
    with pytest.raises((TypeError, ValueError)):
        compare({"\ud800": X}, {"\ud800": X})


@pytest.mark.parametrize("file, message", [
    ("none.safetensors", "found nothing"), (".", "found a folder"), ("text.safetensors", "text.safetensors"),
    ("empty.safetensors", "empty.safetensors"), ("text.json", "text.json"), ("none.json", "none.json")])
def test_wrong_files(file, message, basic, tmp_path):
    for name in ("text.safetensors", "text.json"):
        (tmp_path / name).write_text("no tensors here")
    (tmp_path / "empty.safetensors").touch()
    for mine, theirs in ((basic, tmp_path / file), (tmp_path / file, {}), ({}, tmp_path / file)):
        with pytest.raises(t5gemma2.Error, match=message):
            compare(mine, theirs)


# ---- memory ----

def test_a_thousand_comparisons_keep_nothing(basic):
    ids = [2, 5, 6]
    trace = dict(basic.trace(ids, ids))
    bad = {"a": X.astype(np.complex64)}

    def work():
        compare({"a": X}, {"a": X + 1}).to_json()
        compare(basic, trace, input_ids=ids, decoder_input_ids=ids)
        with pytest.raises(TypeError):
            compare({"a": X}, bad)
        compare(FILE, {NORM: X})
    for _ in range(50):
        work()
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1000):
        work()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096
