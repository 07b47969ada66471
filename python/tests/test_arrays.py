"""Arrays: what a unit takes, what it returns, and what it says to anything else.

Run: pytest python/tests
"""

import array
import ctypes
import gc
import mmap
import re
import subprocess
import sys
import threading
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import t5gemma2

F32, F16, BF16 = np.float32, np.float16, ml_dtypes.bfloat16
RNG = np.random.default_rng(5)
ATTENTION = {"query_pre_attn_scalar": 4, "rope_theta": 1e4}


def numbers(*shape: int, dtype=F32) -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def taken(value) -> np.ndarray:
    """The numbers as a unit sees them."""
    return t5gemma2.softcap(value, None)


def same(ours: np.ndarray, expected) -> bool:
    expected = np.asarray(expected).astype(F32)
    return ours.dtype == F32 and ours.shape == expected.shape and np.array_equal(ours, expected, equal_nan=True)


def alone(code: str) -> str:
    """What a new interpreter prints: a crash must not end the others' tests."""
    head = "import ctypes, gc, sys, threading, time, resource\nimport numpy as np, t5gemma2\n"
    done = subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def attention_weights(d=6, heads=4, kv=2, dh=4, **others) -> dict[str, np.ndarray]:
    weights = {"q_proj": numbers(heads * dh, d), "k_proj": numbers(kv * dh, d), "v_proj": numbers(kv * dh, d),
               "o_proj": numbers(d, heads * dh), "q_norm": numbers(dh), "k_norm": numbers(dh)}
    return {f"{name}.weight": array for name, array in (weights | others).items()}


def layer_weights(d=6, **others) -> dict[str, np.ndarray]:
    weights = {f"self_attn.{name}": array for name, array in attention_weights(d).items()}
    weights |= {"mlp.gate_proj.weight": numbers(7, d), "mlp.up_proj.weight": numbers(7, d),
                "mlp.down_proj.weight": numbers(d, 7)}
    for norm in ("pre_self_attn", "post_self_attn", "pre_feedforward", "post_feedforward"):
        weights[f"{norm}_layernorm.weight"] = numbers(d)
    return weights | others


def siglip_weights(d=6, **others) -> dict[str, np.ndarray]:
    matrices = {f"self_attn.{name}_proj": (d, d) for name in ("q", "k", "v", "out")}
    matrices |= {"mlp.fc1": (7, d), "mlp.fc2": (d, 7)}
    weights = {f"{name}.weight": numbers(*shape) for name, shape in matrices.items()}
    weights |= {f"{name}.bias": numbers(shape[0]) for name, shape in matrices.items()}
    for norm in ("layer_norm1", "layer_norm2"):
        weights |= {f"{norm}.weight": numbers(d), f"{norm}.bias": numbers(d)}
    return weights | others


def feed_forward_weights(d=6, **others) -> dict[str, np.ndarray]:
    return {"gate_proj.weight": numbers(7, d), "up_proj.weight": numbers(7, d),
            "down_proj.weight": numbers(d, 7)} | others


# ---- what is taken ----

def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def at_an_odd_address(x: np.ndarray) -> np.ndarray:
    return np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)


VIEWS = {
    "contiguous": lambda x: x, "transposed": lambda x: x.T, "by columns": np.asfortranarray,
    "every other": lambda x: x[::2, 1::2], "reversed": lambda x: x[::-1, ::-1], "reversed rows": lambda x: x[::-1],
    "broadcast": lambda x: np.broadcast_to(x[:, :1], x.shape),
    "broadcast rows": lambda x: np.broadcast_to(x[0], x.shape),
    "read-only": read_only, "no rows": lambda x: x[:0], "no columns": lambda x: x[:, :0], "one row": lambda x: x[2],
    "one column": lambda x: x[:, 2], "axes of 1": lambda x: x[None, :, None], "odd address": at_an_odd_address,
    "axes in any order": lambda x: x.reshape(2, 4, 5).transpose(2, 0, 1),
}


@pytest.mark.parametrize("dtype", [F32, F16, BF16])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views_of_numpy(view, dtype):
    x = view(numbers(8, 5, dtype=dtype))
    before = x.copy()
    assert same(taken(x), x)
    assert same(t5gemma2.gelu_tanh(x), t5gemma2.gelu_tanh(np.ascontiguousarray(x.astype(F32))))
    assert np.array_equal(x, before)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_any_view(data):
    """Slices with any steps of axes in any order."""
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    x = numbers(*shape, dtype=data.draw(st.sampled_from([F32, F16, BF16])))
    x = x.transpose(data.draw(st.permutations(range(x.ndim))))
    x = x[tuple(data.draw(st.slices(extent)) for extent in x.shape)]
    assert same(taken(x), x)


TORCH = {
    "contiguous": lambda x: x, "transposed": lambda x: x.T, "every other": lambda x: x[::2, 1::2],
    "expanded": lambda x: x[:, :1].expand(8, 5), "no rows": lambda x: x[:0], "axes of 1": lambda x: x[None, :, None],
    "with a gradient": lambda x: x.requires_grad_(), "of an operation": lambda x: x.requires_grad_() * 2,
    "Parameter": torch.nn.Parameter,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("view", TORCH.values(), ids=TORCH)
def test_views_of_torch(view, dtype):
    x = view(torch.from_numpy(numbers(8, 5)).to(dtype))
    assert same(taken(x), x.detach().float().numpy())


@pytest.mark.parametrize("dtype", [F16, BF16])
def test_every_number_of_16_bits(dtype):
    x = np.arange(2**16, dtype=np.uint16).view(dtype)
    assert same(taken(x), x)


def test_other_buffers(tmp_path):
    x = numbers(3, 4)
    mapped = np.memmap(tmp_path / "x", F32, "w+", shape=(3, 4))
    mapped[:] = x
    assert same(taken(mapped), x)
    assert same(taken(memoryview(x)), x)
    assert same(taken(array.array("f", x[0])), x[0])
    anonymous = mmap.mmap(-1, x.nbytes)
    anonymous.write(x.tobytes())
    assert same(taken(memoryview(anonymous).cast("f", (3, 4))), x)
    assert same(taken(memoryview((ctypes.c_float * 4)(*x[0]))), x[0])
    assert same(taken((x + 1j * x[::-1]).astype(np.complex64).imag), x[::-1])


@pytest.mark.parametrize("make", ["(ctypes.c_float * 3)(1, 2, 3)", "((ctypes.c_float * 3) * 1)((1, 2, 3))"])
def test_arrays_of_ctypes(make):
    """Their buffers have no strides."""
    assert alone(f"print(t5gemma2.softcap({make}, None).ravel())") == "[1. 2. 3.]\n"


@pytest.mark.parametrize("make", ["np.ones((), np.float32)", "np.float32(1)", "np.float16(1)", "ctypes.c_float(1)"])
def test_no_axes(make):
    """Elementwise functions take a number; rows need an axis."""
    assert alone(f"print(t5gemma2.softcap({make}, None).shape, t5gemma2.gelu_tanh({make}).shape)") == "() ()\n"
    message = alone(f"""
W = np.ones((1, 1), np.float32)
mlp = {{"gate_proj.weight": W, "up_proj.weight": W, "down_proj.weight": W}}
for unit in (lambda x: t5gemma2.rms_norm(x, W[0]), lambda x: t5gemma2.linear(x, W),
             lambda x: t5gemma2.feed_forward(x, mlp)):
    try:
        print(unit({make}))
    except ValueError as error:
        print(error)
""")
    assert re.fullmatch(r"(x: expected .+, found \[\]\n){3}", message)


def test_bfloat16_without_axes():
    assert alone("import ml_dtypes\nprint(t5gemma2.softcap(np.ones((), ml_dtypes.bfloat16), None))") == "1.0\n"


@pytest.mark.parametrize("dtype", [F32, F16, BF16])
def test_weights_in_any_layout(dtype):
    """Linear gives the same bits, whatever the layout of the weight."""
    x, W = numbers(3, 6), numbers(5, 6, dtype=dtype)
    expected = t5gemma2.linear(x, W.astype(F32))
    layouts = [W, np.asfortranarray(W), np.repeat(W, 2, axis=1)[:, ::2], W[::-1].copy()[::-1], read_only(W),
               at_an_odd_address(W), torch.from_numpy(W.astype(F32)).to({F32: torch.float32, F16: torch.float16}.get(
                   dtype, torch.bfloat16))]
    for layout in layouts:
        ours = t5gemma2.linear(x, layout)
        difference = np.abs(ours - expected).max()
        assert difference <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("axes", [1, 2])
def test_axes_of_1_come_back(axes):
    x, H = numbers(*[1] * axes, 3, 6), numbers(5, 6)
    weights, layer = attention_weights(), layer_weights()
    units = [lambda x: t5gemma2.self_attention(x, weights, **ATTENTION),
             lambda x: t5gemma2.merged_attention(x, H, weights, **ATTENTION),
             lambda x: t5gemma2.transformer_layer(x, layer, H, **ATTENTION),
             lambda x: t5gemma2.rope(x, head_dim=2, theta=1e4),
             lambda x: t5gemma2.attention(x, H, H, num_attention_heads=2, num_key_value_heads=2, scale=1)]
    for unit in units:
        plain = unit(x.reshape(3, 6))
        assert np.array_equal(unit(x), plain.reshape(x.shape))
    many = H.reshape(1, 1, 5, 6)
    assert np.array_equal(t5gemma2.merged_attention(x, many, weights, **ATTENTION), units[1](x))


def test_no_rows():
    """No decoder tokens, or no encoder tokens."""
    x, none, weights = numbers(3, 6), numbers(0, 6), attention_weights()
    assert t5gemma2.merged_attention(none, x, weights, **ATTENTION).shape == (0, 6)
    assert t5gemma2.transformer_layer(none, layer_weights(), x, **ATTENTION).shape == (0, 6)
    ours = t5gemma2.merged_attention(x, none, weights, **ATTENTION)
    assert np.isfinite(ours).all() and ours.shape == (3, 6)
    for unit in (lambda x: t5gemma2.rms_norm(x, x[:1].sum(0)), lambda x: t5gemma2.linear(x, numbers(6, 6)),
                 lambda x: t5gemma2.rope(x, head_dim=6, theta=1e4), t5gemma2.gelu_tanh,
                 lambda x: t5gemma2.feed_forward(x, feed_forward_weights())):
        assert unit(none).shape == (0, 6)
    for n in (0, 2):
        assert t5gemma2.merged_mask(0, n).shape == (0, n)


def test_no_columns():
    """A sum of nothing is 0; the memory of others was 7."""
    others = [np.full((2, 5), 7, F32) for _ in range(1000)]
    del others
    assert same(t5gemma2.linear(numbers(2, 0), numbers(5, 0)), np.zeros((2, 5)))


def test_dicts_of_any_kind():
    """A state_dict is an OrderedDict; names that a unit does not know are left alone."""
    x, weights = numbers(3, 6), attention_weights()
    expected = t5gemma2.self_attention(x, weights, **ATTENTION)
    more = {"other.weight": "no array", 3: None} | weights
    for kind in (OrderedDict(weights), OrderedDict(more), more):
        assert np.array_equal(t5gemma2.self_attention(x, kind, **ATTENTION), expected)


def test_masks_in_any_layout():
    Q, K, V = numbers(3, 8), numbers(5, 4), numbers(5, 4)
    mask = RNG.random((3, 5)) < 0.5
    mask[range(3), range(3)] = True

    def attended(mask):
        return t5gemma2.attention(Q, K, V, mask, num_attention_heads=2, num_key_value_heads=1, scale=0.5)

    expected = attended(mask)
    for layout in (np.asfortranarray(mask), np.repeat(mask, 2, axis=1)[:, ::2], mask[::-1].copy()[::-1],
                   read_only(mask), torch.from_numpy(mask)):
        assert np.array_equal(attended(layout), expected)


# ---- what comes back ----

def test_results_are_ones_own():
    """Writable, and alive while any view of them is."""
    x = numbers(50, 40)
    for result in (t5gemma2.gelu_tanh(x), t5gemma2.softcap(x, None), t5gemma2.rms_norm(x, x[0]),
                   t5gemma2.linear(x, numbers(3, 40)), t5gemma2.rope(x, head_dim=4, theta=1e4)):
        assert result.dtype == F32 and result.flags.writeable and result.flags.c_contiguous
        assert not np.shares_memory(result, x)
        view, before = result[3:7].T, result[3:7].T.copy()
        del result
        gc.collect()
        for _ in range(20):
            t5gemma2.gelu_tanh(x)
        assert np.array_equal(view, before)
        view += 1
        assert np.array_equal(view, before + 1)
    seen = t5gemma2.merged_mask(3, 2)
    assert seen.dtype == np.bool_ and seen.flags.writeable


def test_nothing_is_kept():
    """References to what came in are given back, errors or not."""
    x, W = numbers(3, 6), numbers(5, 6)
    counts = sys.getrefcount(x), sys.getrefcount(W)
    for _ in range(20):
        t5gemma2.linear(x, W)
        t5gemma2.linear(x.T.copy().T, W[::-1])
        for wrong in (W.T, None, "W"):
            with pytest.raises((TypeError, ValueError)):
                t5gemma2.linear(x, wrong)
    assert (sys.getrefcount(x), sys.getrefcount(W)) == counts


def test_memory_is_given_back():
    grown = alone("""
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

x, W = np.ones((200, 300), np.float32), np.ones((400, 300), np.float32)
def all_units():
    t5gemma2.linear(x, W), t5gemma2.linear(x, W[::-1]), t5gemma2.gelu_tanh(x), t5gemma2.merged_mask(300, 400)
    t5gemma2.preprocess_image(np.zeros((50, 50, 3), np.uint8), image_size=100)
    for wrong in (W.T, W[0]):
        try:
            t5gemma2.linear(x, wrong)
        except ValueError:
            pass
for _ in range(10):
    all_units()
before = resident()
for _ in range(100):
    all_units()
print(resident() - before)
""")
    assert int(grown) < 10e6  # one result of each call kept: 150 MB


def test_contiguous_weights_are_not_copied():
    """64 MB in float32, 32 MB in float16, which would be 64 MB as a copy."""
    peaks = alone("""
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

x, half = np.ones((1, 2048), np.float32), np.ones((8192, 2048), np.float16)
W = half.astype(np.float32)
before = peak()
t5gemma2.linear(x, W), t5gemma2.linear(x, half)
print(peak() - before)
t5gemma2.linear(x, W[::-1])
print(peak() - before)
""")
    contiguous, reversed_rows = map(int, peaks.split())
    assert contiguous < 10e6
    assert reversed_rows > 50e6


def test_weights_that_are_made_when_asked_for():
    """The dict does not hold the memory."""
    assert alone("""
class Made:
    def __init__(self, number): self.number = number
    def __dlpack_device__(self): return (1, 0)
    def __dlpack__(self, **_): return np.full((2000, 2000), self.number, np.float32).__dlpack__()

weights = {"gate_proj.weight": Made(1), "up_proj.weight": Made(2), "down_proj.weight": Made(3)}
print(set(t5gemma2.feed_forward(np.full((1, 2000), 1 / 2000, np.float32), weights).round().ravel().tolist()))
""") == "{10094.0}\n"


def test_a_dict_that_is_emptied_meanwhile():
    """By another thread, which runs beside the computation."""
    assert alone("""
def made():
    return {name + "_proj.weight": np.full((2048, 2048), 1e-2, np.float32) for name in ("gate", "up", "down")}

x = np.ones((1024, 2048), np.float32)
expected, weights, result = t5gemma2.feed_forward(x, made()), made(), []
thread = threading.Thread(target=lambda: result.append(t5gemma2.feed_forward(x, weights)))
thread.start()
time.sleep(0.02)
weights.clear()
thread.join()
print(np.array_equal(result[0], expected))
""") == "True\n"


def test_threads():
    x, weights = numbers(40, 6), layer_weights()
    expected = t5gemma2.transformer_layer(x, weights, **ATTENTION)
    equal = []

    def run():
        equal.extend(np.array_equal(t5gemma2.transformer_layer(x, weights, **ATTENTION), expected) for _ in range(20))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert equal == [True] * 80


def test_nan_passes_through():
    """In the rows that it touches, no others."""
    x, weights, layer = numbers(4, 6), feed_forward_weights(), layer_weights()
    x[1, 2] = np.nan
    rows = [t5gemma2.rms_norm(x, x[0]), t5gemma2.linear(x, numbers(5, 6)), t5gemma2.feed_forward(x, weights),
            t5gemma2.attention(x, x[2:], x[2:], num_attention_heads=1, num_key_value_heads=1, scale=1)]
    for result in rows:
        assert np.array_equal(np.isnan(result).all(1), [False, True, False, False])
        assert np.isfinite(result[[0, 2, 3]]).all()
    for elementwise in (t5gemma2.gelu_tanh(x), t5gemma2.softcap(x, 30), t5gemma2.softcap(x, None)):
        assert np.array_equal(np.isnan(elementwise), np.isnan(x))
    assert np.isnan(t5gemma2.transformer_layer(x, layer, **ATTENTION)).all()
    assert np.isnan(t5gemma2.transformer_layer(x, layer, numbers(3, 6), **ATTENTION))[1:].all()  # later tokens see it


# ---- errors ----

def message(error: type, call) -> str:
    with pytest.raises(error) as raised:
        call()
    assert raised.type is error or issubclass(raised.type, t5gemma2.Error)
    text = raised.value.args[0]
    assert "\n" not in text, text
    return text


def names(text: str, argument: str) -> bool:
    """Alone, or behind the function's name as in "rope theta"; a weight also without its path and `.weight`."""
    line = re.fullmatch("([^:]+): expected .+, found .+", text)
    subject = line[1] if line else ""
    module = re.sub("[.]weight$", "", argument)
    forms = {argument, module, module.split(".")[-1], ".".join(argument.split(".")[-2:])}
    return subject in forms or subject.replace(" ", ".") in forms or subject.replace(" ", "_") in forms or (
        subject.split(" ")[-1] in forms)


NO_ARRAYS = [np.ones((2, 3)), np.ones((2, 3), int), np.ones((2, 3), bool), np.ones((2, 3), complex),
             np.ones((2, 3), ">f4"), np.ones((2, 3), object), np.ones((2, 3), ml_dtypes.float8_e4m3fn), [[1.0, 2, 3]],
             1.5, "numbers", b"12345678", torch.ones(2, 3, dtype=torch.float64), torch.ones(2, 3).to_sparse(),
             torch.ones(2, 3, device="meta"), torch.nn.Linear(3, 2), None, np.ndarray]


@pytest.mark.parametrize("value", NO_ARRAYS, ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}")
def test_no_arrays(value):
    W = numbers(2, 3)
    text = message(TypeError, lambda: t5gemma2.rms_norm(value, W[0]))
    assert names(text, "x") and text.startswith("x: expected a float32, float16 or bfloat16 array, found ")
    assert names(message(TypeError, lambda: t5gemma2.rms_norm(W, value)), "weight")
    assert names(message(TypeError, lambda: t5gemma2.gelu_tanh(value)), "x")
    assert names(message(TypeError, lambda: t5gemma2.softcap(value, 1)), "logits")
    assert names(message(TypeError, lambda: t5gemma2.sample(value)), "scores")
    weights = feed_forward_weights(**{"up_proj.weight": value})
    assert names(message(TypeError, lambda: t5gemma2.feed_forward(numbers(2, 6), weights)), "up_proj.weight")
    layer = layer_weights(**{"self_attn.k_norm.weight": value})
    found = message(TypeError, lambda: t5gemma2.transformer_layer(numbers(2, 6), layer, **ATTENTION))
    assert names(found, "self_attn.k_norm.weight")


def test_what_was_found_is_told():
    assert message(TypeError, lambda: t5gemma2.gelu_tanh(np.ones((2, 3)))) == (
        "x: expected a float32, float16 or bfloat16 array, found ndarray of float64, shape (2, 3)")
    assert message(TypeError, lambda: t5gemma2.gelu_tanh([1.0])) == (
        "x: expected a float32, float16 or bfloat16 array, found list")


def test_vectors_of_the_wrong_size():
    x = numbers(2, 3)
    text = message(ValueError, lambda: t5gemma2.rms_norm(x, numbers(4)))
    assert names(text, "weight") and "[3]" in text and "[4]" in text
    text = message(ValueError, lambda: t5gemma2.rms_norm(x, numbers(3, 1)))
    assert names(text, "weight") and "[3, 1]" in text


def test_matrices_of_the_wrong_size():
    x = numbers(2, 3)
    for W in (numbers(5, 4), numbers(3, 5), numbers(0, 3), numbers(3), numbers(1, 5, 3)):
        text = message(ValueError, lambda W=W: t5gemma2.linear(x, W))
        assert names(text, "weight") or names(text, "x"), text


def larger(x: np.ndarray) -> np.ndarray:
    return numbers(*(extent + 1 for extent in x.shape))


@pytest.mark.parametrize("name", feed_forward_weights())
def test_a_wrong_weight_of_feed_forward(name):
    weights = feed_forward_weights()
    weights[name] = larger(weights[name])
    assert names(message(ValueError, lambda: t5gemma2.feed_forward(numbers(2, 6), weights)), name)


@pytest.mark.parametrize("name", layer_weights())
def test_a_wrong_weight_of_a_layer(name):
    weights = layer_weights()
    weights[name] = larger(weights[name])
    assert names(message(ValueError, lambda: t5gemma2.transformer_layer(numbers(2, 6), weights, **ATTENTION)), name)


@pytest.mark.parametrize("name", siglip_weights())
def test_a_wrong_weight_of_siglip(name):
    weights = siglip_weights()
    weights[name] = larger(weights[name])
    text = message(ValueError, lambda: t5gemma2.siglip_layer(numbers(2, 6), weights, num_attention_heads=2))
    assert names(text, name)


@pytest.mark.parametrize("name", layer_weights())
def test_a_missing_weight(name):
    weights = layer_weights()
    del weights[name]
    text = message(KeyError, lambda: t5gemma2.transformer_layer(numbers(2, 6), weights, **ATTENTION))
    assert names(text, "weights") and text.startswith(f"weights: expected {name}, found ")
    assert all(other in text for other in weights)


def test_no_weights():
    x = numbers(2, 6)
    assert message(KeyError, lambda: t5gemma2.feed_forward(x, {})) == "weights: expected gate_proj.weight, found none"
    for wrong in (None, [numbers(2, 6)], numbers(2, 6), "weights"):
        assert names(message(TypeError, lambda wrong=wrong: t5gemma2.feed_forward(x, wrong)), "weights")


@pytest.mark.parametrize("shape", [(), (6,), (2, 3, 6), (3, 5)])
def test_sequences_of_the_wrong_shape(shape):
    """More than one sequence, or none; rows that are too short."""
    x, wrong, weights = numbers(3, 6), numbers(*shape) if shape else np.ones((), F32), attention_weights()
    text = message(ValueError, lambda: t5gemma2.self_attention(wrong, weights, **ATTENTION))
    assert names(text, "X") or (shape == (3, 5) and names(text, "q_proj.weight"))
    assert names(message(ValueError, lambda: t5gemma2.merged_attention(x, wrong, weights, **ATTENTION)), "H")
    assert names(message(ValueError, lambda: t5gemma2.transformer_layer(x, layer_weights(), wrong, **ATTENTION)), "H")
    assert names(message(ValueError, lambda: t5gemma2.rope(wrong, head_dim=6, theta=1e4)), "x")


ABOVE_0 = [0, -1, float("nan"), float("inf")]


@pytest.mark.parametrize(("setting", "values"), [
    ("query_pre_attn_scalar", ABOVE_0), ("rope_theta", ABOVE_0), ("rope_factor", ABOVE_0), ("sliding_window", [0, -1]),
    ("rms_norm_eps", [-1, float("nan"), float("inf")])])
def test_settings_out_of_range(setting, values):
    x, weights, layer = numbers(3, 6), attention_weights(), layer_weights()
    for value in values:
        chosen = ATTENTION | {setting: value}
        for call in (lambda s: t5gemma2.self_attention(x, weights, **s),
                     lambda s: t5gemma2.merged_attention(x, x, weights, **s),
                     lambda s: t5gemma2.transformer_layer(x, layer, **s)):
            assert names(message(ValueError, lambda call=call, chosen=chosen: call(chosen)), setting)


def test_arguments_out_of_range():
    x = numbers(3, 8)

    def attended(Q=x, K=x[:, :4], V=x[:, :4], mask=None, heads=2, kv=1, scale=0.5):
        t5gemma2.attention(Q, K, V, mask, num_attention_heads=heads, num_key_value_heads=kv, scale=scale)

    calls = {
        "n": [lambda: t5gemma2.encoder_mask(-1), lambda: t5gemma2.merged_mask(3, -1)],
        "m": [lambda: t5gemma2.decoder_mask(-1), lambda: t5gemma2.merged_mask(-1, 3)],
        "sliding_window": [lambda: t5gemma2.encoder_mask(3, 0), lambda: t5gemma2.decoder_mask(3, -1),
                           lambda: t5gemma2.merged_mask(3, 3, 0)],
        "cap": [lambda: t5gemma2.softcap(x, 0), lambda: t5gemma2.softcap(x, float("nan"))],
        "eps": [lambda: t5gemma2.rms_norm(x, x[0], eps=-1)],
        "head_dim": [lambda size=size: t5gemma2.rope(x, head_dim=size, theta=1e4) for size in (0, -2, 3)],
        "theta": [lambda: t5gemma2.rope(x, head_dim=4, theta=0)],
        "factor": [lambda: t5gemma2.rope(x, head_dim=4, theta=1e4, factor=0)],
        "first_position": [lambda: t5gemma2.rope(x, head_dim=4, theta=1e4, first_position=-1),
                           lambda: t5gemma2.rope(x, head_dim=4, theta=1e4, first_position=2**63 - 1)],
        "num_attention_heads": [lambda: attended(heads=0), lambda: attended(heads=-2)],
        "num_key_value_heads": [lambda: attended(kv=0), lambda: attended(kv=-1)],
        "scale": [lambda scale=scale: attended(scale=scale) for scale in ABOVE_0],
        "mask": [lambda shape=shape: attended(mask=np.ones(shape, bool)) for shape in ((3, 4), (4, 3), (3,), (1, 3, 3))]
        + [lambda: attended(mask=np.zeros((3, 3), bool))],
        "Q": [lambda: attended(Q=x[:, :7])], "K": [lambda: attended(K=x), lambda: attended(K=x[:0, :4], V=x[:0, :4])],
        "V": [lambda: attended(V=x[:2, :4]), lambda: attended(V=x)],
    }
    wrong = []
    for argument, every in calls.items():
        for call in every:
            text = message(ValueError, call)
            wrong += [] if names(text, argument) else [(argument, text)]
    assert wrong == []


NO_MASKS = [np.zeros((3, 3), F32), np.ones((3, 3), np.uint8), np.ones((3, 3), int), "mask", [[True] * 3] * 3]


@pytest.mark.parametrize("mask", NO_MASKS, ids=lambda mask: f"{type(mask).__name__}-{getattr(mask, 'dtype', '')}")
def test_masks_are_bool(mask):
    """Numbers that are added to scores, as transformers' masks are, mean the opposite."""
    x = numbers(3, 8)
    assert names(message(TypeError, lambda: t5gemma2.attention(
        x, x, x, mask, num_attention_heads=2, num_key_value_heads=2, scale=1)), "mask")


@pytest.mark.parametrize("tokens", [2**31, 2**32, 2**40, 2**62])
def test_masks_that_are_too_large(tokens):
    for call in (f"encoder_mask({tokens})", f"decoder_mask({tokens})", f"merged_mask({tokens}, 1)",
                 f"merged_mask({tokens}, {tokens})", f"merged_mask(1, {tokens})"):
        assert alone(f"""
resource.setrlimit(resource.RLIMIT_AS, (1 << 33, 1 << 33))
try:
    t5gemma2.{call}
except (MemoryError, ValueError):
    print("refused")
""") == "refused\n"


def test_memory_that_is_not_there():
    """A tensor of torch's FakeTensorMode has an address of none."""
    assert alone("""
import torch, warnings
warnings.simplefilter("ignore")
try:
    t5gemma2.gelu_tanh(torch._subclasses.FakeTensorMode().from_tensor(torch.ones(3)))
except TypeError as error:
    print(error)
""").startswith("x: expected ")


@pytest.mark.parametrize("make", ["ids.append(ids)", "for _ in range(10**5): ids = [ids]"])
def test_ids_in_lists_without_end(make):
    assert alone(f"""
ids = []
{make}
try:
    t5gemma2.load().encode(ids)
except (TypeError, ValueError):
    print("refused")
""") == "refused\n"


def images() -> dict:
    good = np.zeros((5, 7, 3), np.uint8)
    return {"float32": good.astype(F32), "int64": good.astype(int), "bool": good.astype(bool), "grey": good[..., 0],
            "one channel": good[..., :1], "four channels": np.zeros((5, 7, 4), np.uint8), "a batch": good[None],
            "channels first": np.zeros((3, 5, 7), np.uint8), "list": [[[0, 0, 0]]], "bytes": b"pixels", "None": None,
            "float tensor": torch.zeros(5, 7, 3)}


@pytest.mark.parametrize("image", images().values(), ids=images())
def test_no_images(image):
    """Numbers from 0 to 1 would all be black."""
    assert names(message(TypeError, lambda: t5gemma2.preprocess_image(image)), "image")


def test_images_in_any_layout():
    pixels = RNG.integers(0, 256, (5, 7, 3), np.uint8)
    expected = t5gemma2.preprocess_image(pixels, image_size=6)
    channels_first = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    for layout in (np.asfortranarray(pixels), pixels[::-1].copy()[::-1], np.repeat(pixels, 2, axis=1)[:, ::2],
                   read_only(pixels), torch.from_numpy(pixels), channels_first.permute(1, 2, 0)):
        assert np.array_equal(t5gemma2.preprocess_image(layout, image_size=6), expected)


def test_images_of_no_size():
    for shape in ((0, 5, 3), (5, 0, 3)):
        text = message(ValueError, lambda shape=shape: t5gemma2.preprocess_image(np.zeros(shape, np.uint8)))
        assert text.startswith("image") and ", found 0" in text
    image = np.zeros((5, 5, 3), np.uint8)
    for size in (0, -1):
        text = message(ValueError, lambda size=size: t5gemma2.preprocess_image(image, image_size=size))
        assert names(text, "image_size")


@pytest.mark.parametrize("path", ["none.png", "", "a\0b", "\udcff.png"])
def test_files_that_are_not_there(path):
    assert "expected" in message(t5gemma2.Error, lambda: t5gemma2.preprocess_image(path))


@pytest.mark.parametrize("count", [0, 2, -1, 9])
def test_image_tokens_that_do_not_fit(count):
    weights = {"mm_soft_emb_norm.weight": numbers(6), "mm_input_projection_weight": numbers(6, 5)}
    text = message(ValueError, lambda: t5gemma2.image_tokens(numbers(16, 6), weights, mm_tokens_per_image=count))
    assert names(text, "patches" if count == 9 else "mm_tokens_per_image")


def test_logits_without_a_token():
    for logits in (np.full(3, -np.inf, F32), numbers(0), np.array([1, np.nan], F32), np.array([1, np.inf], F32)):
        text = message(t5gemma2.Error, lambda logits=logits: t5gemma2.sample(logits))
        assert names(text, "logits") or names(text, "scores")
    assert names(message(ValueError, lambda: t5gemma2.sample(numbers(1, 3))), "scores")
    for setting, value in {"temperature": 0, "top_k": -1, "top_p": 2, "min_p": -1, "typical_p": 0}.items():
        text = message(ValueError, lambda chosen={setting: value}: t5gemma2.sample(numbers(3), **chosen))
        assert names(text, setting)
