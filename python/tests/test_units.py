"""Every unit gives what transformers' module gives, on arrays of odd shapes and weights of every kind.

Run: pytest python/tests
"""

import random
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.activations import ACT2FN
from transformers.generation import logits_process
from transformers.masking_utils import (
    create_bidirectional_mask,
    create_causal_mask,
    create_sliding_window_causal_mask,
)
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.siglip.configuration_siglip import SiglipVisionConfig
from transformers.models.siglip.modeling_siglip import SiglipEncoderLayer
from transformers.models.t5gemma2 import modeling_t5gemma2 as theirs
from transformers.models.t5gemma2.configuration_t5gemma2 import T5Gemma2DecoderConfig, T5Gemma2TextConfig

import t5gemma2

CLOSE = 1e-5  # of the largest number
SEEDS = st.integers(0, 2**32 - 1)
STORED = st.sampled_from([torch.float32, torch.float16, torch.bfloat16])
WINDOWS = st.none() | st.integers(1, 12) | st.sampled_from([31, 32, 33, 64, 500])
WIDTHS = st.integers(1, 70)
LENGTHS = st.integers(1, 12) | st.sampled_from([31, 33, 64, 65])


def few(examples: int):
    """The same examples at every run."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


@pytest.fixture(scope="module", autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def check(ours: np.ndarray, expected: torch.Tensor, *, largest: float | None = None) -> None:
    """`largest`: where numbers may cancel, the largest of what is added up."""
    expected = expected.numpy()
    assert ours.dtype == np.float32 and ours.shape == expected.shape
    assert np.isfinite(expected).all()
    if largest is None:
        largest = np.abs(expected).max(initial=0)
    difference = np.abs(ours - expected).max(initial=0)
    assert difference <= CLOSE * largest


def numbers(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sums(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """How large x W^T is where nothing cancels."""
    return x.abs() @ weight.abs().T


def largest(x: torch.Tensor) -> float:
    return float(x.abs().max()) if x.numel() else 0


def stored(module: torch.nn.Module, seed: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Random weights of the type, no norm's 0; the module has the same in float32."""
    torch.manual_seed(seed)
    weights = {}
    for name, parameter in module.state_dict().items():
        size = parameter.shape[-1] ** -0.5 if parameter.ndim == 2 else 0.5
        weights[name] = (torch.randn(parameter.shape) * size).to(dtype)
    module.load_state_dict({name: weight.float() for name, weight in weights.items()})
    module.eval()
    return weights


# ---- row by row ----

@few(120)
@given(SEEDS, st.lists(st.integers(0, 5), max_size=3), WIDTHS, STORED, st.sampled_from([0.0, 1e-6, 1e-2]))
def test_rms_norm(seed, leading, d, dtype, eps):
    module = theirs.T5Gemma2RMSNorm(d, eps=eps)
    weights = stored(module, seed, dtype)
    x = numbers(seed + 1, *leading, d)
    check(t5gemma2.rms_norm(x, weights["weight"], eps=eps), module(x))


@few(120)
@given(SEEDS, st.lists(st.integers(0, 5), max_size=3), WIDTHS, WIDTHS, STORED)
def test_linear(seed, leading, inputs, outputs, dtype):
    module = torch.nn.Linear(inputs, outputs, bias=False)
    weights = stored(module, seed, dtype)
    x = numbers(seed + 1, *leading, inputs)
    check(t5gemma2.linear(x, weights["weight"]), module(x), largest=largest(sums(x, module.weight)))


@few(60)
@given(SEEDS, st.lists(st.integers(0, 5), min_size=1, max_size=4), st.sampled_from([0.1, 1, 30]))
def test_gelu_tanh(seed, shape, size):
    x = numbers(seed, *shape) * size
    check(t5gemma2.gelu_tanh(x), ACT2FN["gelu_pytorch_tanh"](x), largest=largest(x))


@few(60)
@given(SEEDS, st.lists(st.integers(0, 5), min_size=1, max_size=4), st.sampled_from([0.5, 30.0, None]))
def test_softcap(seed, shape, cap):
    """transformers has no function for it: T5Gemma2ForConditionalGeneration.forward."""
    logits = numbers(seed, *shape) * 40
    check(t5gemma2.softcap(logits, cap), logits if cap is None else torch.tanh(logits / cap) * cap)


@few(80)
@given(SEEDS, st.lists(st.integers(0, 5), max_size=2), WIDTHS, WIDTHS, STORED)
def test_feed_forward(seed, leading, d, intermediate, dtype):
    module = theirs.T5Gemma2MLP(SimpleNamespace(hidden_size=d, intermediate_size=intermediate, dropout_rate=0,
                                                hidden_activation="gelu_pytorch_tanh"))
    weights = stored(module, seed, dtype)
    x = numbers(seed + 1, *leading, d)
    product = sums(x, module.gate_proj.weight) * sums(x, module.up_proj.weight)
    check(t5gemma2.feed_forward(x, weights), module(x), largest=largest(sums(product, module.down_proj.weight)))


# ---- a layer's settings ----

@dataclass
class Settings:
    """Of one layer, for transformers and for the module."""
    heads: int
    kv_heads: int
    head_dim: int
    d: int
    window: int | None
    theta: float
    factor: float
    scalar: int
    eps: float

    @property
    def layer_type(self) -> str:
        return "full_attention" if self.window is None else "sliding_attention"

    @property
    def ours(self) -> dict:
        return {"query_pre_attn_scalar": self.scalar, "rope_theta": self.theta, "rope_factor": self.factor,
                "sliding_window": self.window, "rms_norm_eps": self.eps}

    def config(self, kind: type) -> T5Gemma2TextConfig | T5Gemma2DecoderConfig:
        rope = {"rope_type": "linear", "rope_theta": self.theta, "factor": self.factor}
        config = kind(hidden_size=self.d, intermediate_size=2 * self.d + 1, num_hidden_layers=1,
                      num_attention_heads=self.heads, num_key_value_heads=self.kv_heads, head_dim=self.head_dim,
                      layer_types=[self.layer_type], sliding_window=self.window or 4096, vocab_size=8,
                      query_pre_attn_scalar=self.scalar, rms_norm_eps=self.eps, dropout_rate=0.0,
                      rope_parameters={"full_attention": dict(rope), "sliding_attention": dict(rope)})
        config._attn_implementation = "eager"
        return config


@st.composite
def layers(draw, least_d: int = 1) -> Settings:
    """Heads * head_dim is d by chance only."""
    kv_heads, group = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    heads, half = kv_heads * group, draw(st.integers(1, 20))
    return Settings(heads=heads, kv_heads=kv_heads, head_dim=2 * half,
                    d=heads * draw(st.integers(-(-least_d // heads), 9)), window=draw(WINDOWS),
                    theta=draw(st.sampled_from([100.0, 10_000.0, 1e6])),
                    factor=draw(st.sampled_from([1.0, 2.5, 8.0])), scalar=half * draw(st.integers(1, 8)),
                    eps=draw(st.sampled_from([1e-6, 1e-3])))


def angles(config, x: torch.Tensor, first: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    positions = torch.arange(first, first + x.shape[1])[None]
    return theirs.T5Gemma2RotaryEmbedding(config)(x, positions, config.layer_types[0])


def encoder_mask(config, n: int) -> torch.Tensor:
    """0 where a key is seen, as T5Gemma2TextEncoder makes it."""
    window = None
    if config.layer_types[0] == "sliding_attention":
        window = theirs.sliding_window_mask_function(config.sliding_window, is_causal=False)
    return create_bidirectional_mask(config, torch.zeros(1, n, config.hidden_size), None, and_mask_function=window,
                                     allow_is_bidirectional_skip=False)


def decoder_mask(config, m: int) -> torch.Tensor:
    """The same as T5Gemma2Decoder makes it, of its own tokens."""
    sliding = config.layer_types[0] == "sliding_attention"
    create = create_sliding_window_causal_mask if sliding else create_causal_mask
    return create(config, torch.zeros(1, m, config.hidden_size), None, past_key_values=None,
                  position_ids=torch.arange(m)[None], allow_is_causal_skip=False)


def merged_mask(config, m: int, n: int) -> torch.Tensor:
    x, H = torch.zeros(1, m, config.hidden_size), torch.zeros(1, n, config.hidden_size)
    cross = create_bidirectional_mask(config=config, inputs_embeds=x, attention_mask=None, encoder_hidden_states=H,
                                      allow_is_bidirectional_skip=False)
    return torch.cat([decoder_mask(config, m), cross], dim=-1)


# ---- attention ----

@few(80)
@given(SEEDS, layers(), LENGTHS, st.integers(0, 100_000))
def test_rope(seed, layer, rows, first):
    config = layer.config(T5Gemma2TextConfig)
    x = numbers(seed, 1, rows, layer.heads * layer.head_dim)
    heads = x.view(1, rows, layer.heads, layer.head_dim).transpose(1, 2)
    turned, _ = theirs.apply_rotary_pos_emb(heads, heads, *angles(config, x, first))
    ours = t5gemma2.rope(x, head_dim=layer.head_dim, theta=layer.theta, factor=layer.factor, first_position=first)
    check(ours, turned.transpose(1, 2).reshape(x.shape))


def check_mask(ours: np.ndarray, expected: torch.Tensor) -> None:
    assert ours.dtype == np.bool_ and np.array_equal(ours, (expected == 0).numpy()[0, 0])


@few(160)
@given(layers(), LENGTHS, LENGTHS)
def test_masks(layer, m, n):
    config = layer.config(T5Gemma2DecoderConfig)
    check_mask(t5gemma2.encoder_mask(n, layer.window), encoder_mask(config, n))
    check_mask(t5gemma2.decoder_mask(m, layer.window), decoder_mask(config, m))
    check_mask(t5gemma2.merged_mask(m, n, layer.window), merged_mask(config, m, n))


@pytest.mark.parametrize("window", range(1, 9))
def test_every_small_mask(window):
    """Even and odd windows, smaller and larger than the text."""
    layer = Settings(heads=1, kv_heads=1, head_dim=2, d=1, window=window, theta=1e4, factor=1, scalar=1, eps=1e-6)
    config = layer.config(T5Gemma2DecoderConfig)
    for n in range(1, 10):
        check_mask(t5gemma2.encoder_mask(n, window), encoder_mask(config, n))
        check_mask(t5gemma2.decoder_mask(n, window), decoder_mask(config, n))
        check_mask(t5gemma2.merged_mask(n, window, window), merged_mask(config, n, window))


@few(120)
@given(SEEDS, layers(), LENGTHS, LENGTHS, st.sampled_from(["none", "some", "decoder", "merged"]))
def test_attention(seed, layer, m, keys, kind):
    """Without a mask, with a random one, and with those of a decoder."""
    if kind == "decoder":
        keys = m
    seen = {"none": None, "some": np.random.default_rng(seed).random((m, keys)) < 0.5,
            "decoder": t5gemma2.decoder_mask(m, layer.window),
            "merged": t5gemma2.merged_mask(m, keys, layer.window)}[kind]
    if kind == "merged":
        keys += m
    if kind == "some":
        seen[range(m), np.arange(m) % keys] = True
    Q = numbers(seed, 1, m, layer.heads * layer.head_dim)
    K, V = numbers(seed + 1, 2, 1, keys, layer.kv_heads * layer.head_dim)
    q, k, v = (x.view(1, x.shape[1], -1, layer.head_dim).transpose(1, 2) for x in (Q, K, V))
    hidden = None if seen is None else torch.where(torch.from_numpy(seen), 0.0, torch.finfo().min)
    module = SimpleNamespace(num_key_value_groups=layer.heads // layer.kv_heads, training=False)
    scale = layer.scalar**-0.5
    expected, _ = theirs.eager_attention_forward(module, q, k, v, hidden, scaling=scale)
    ours = t5gemma2.attention(Q, K, V, seen, num_attention_heads=layer.heads, num_key_value_heads=layer.kv_heads,
                              scale=scale)
    check(ours, expected.reshape(Q.shape))


def attended(module, *sides: torch.Tensor) -> float:
    """How large the output is where nothing cancels: of values as large as the largest."""
    value = max(largest(module.v_proj(side)) for side in sides)
    return value * float(module.o_proj.weight.abs().sum(1).max())


@few(120)
@given(SEEDS, layers(), LENGTHS, STORED)
def test_self_attention(seed, layer, n, dtype):
    config = layer.config(T5Gemma2TextConfig)
    module = theirs.T5Gemma2SelfAttention(config, 0)
    weights = stored(module, seed, dtype)
    X = numbers(seed + 1, 1, n, layer.d)
    expected, _ = module(X, angles(config, X), encoder_mask(config, n))
    check(t5gemma2.self_attention(X, weights, **layer.ours), expected, largest=attended(module, X))


@few(120)
@given(SEEDS, layers(), LENGTHS, LENGTHS, STORED)
def test_merged_attention(seed, layer, m, n, dtype):
    config = layer.config(T5Gemma2DecoderConfig)
    module = theirs.T5Gemma2MergedAttention(config, 0)
    weights = stored(module, seed, dtype)
    X, H = numbers(seed + 1, 1, m, layer.d), numbers(seed + 2, 1, n, layer.d)
    expected, _, _ = module(X, angles(config, X), merged_mask(config, m, n), H)
    ours = t5gemma2.merged_attention(X, H, weights, **layer.ours)
    check(ours, expected, largest=attended(module, X, H))


# A norm makes a row large in which all numbers cancelled, and its errors with it; of eight numbers some remain.
LAYERS = layers(least_d=8)


@few(100)
@given(SEEDS, LAYERS, LENGTHS, STORED)
def test_encoder_layer(seed, layer, n, dtype):
    config = layer.config(T5Gemma2TextConfig)
    module = theirs.T5Gemma2EncoderLayer(config, 0)
    weights = stored(module, seed, dtype)
    x = numbers(seed + 1, 1, n, layer.d)
    expected = module(x, angles(config, x), encoder_mask(config, n))
    check(t5gemma2.transformer_layer(x, weights, **layer.ours), expected)


@few(100)
@given(SEEDS, LAYERS, LENGTHS, LENGTHS, STORED)
def test_decoder_layer(seed, layer, m, n, dtype):
    config = layer.config(T5Gemma2DecoderConfig)
    module = theirs.T5Gemma2DecoderLayer(config, 0)
    weights = stored(module, seed, dtype)
    x, H = numbers(seed + 1, 1, m, layer.d), numbers(seed + 2, 1, n, layer.d)
    expected = module(x, angles(config, x), merged_mask(config, m, n), encoder_hidden_states=H)
    check(t5gemma2.transformer_layer(x, weights, H, **layer.ours), expected)


# ---- images ----

@few(80)
@given(SEEDS, st.integers(1, 5), st.integers(1, 9), WIDTHS, LENGTHS, STORED, st.sampled_from([1e-6, 1e-2]))
def test_siglip_layer(seed, heads, head_dim, intermediate, patches, dtype, eps):
    hidden = heads * head_dim
    assume(hidden > 1)  # of one number LayerNorm leaves its bias alone
    config = SiglipVisionConfig(hidden_size=hidden, intermediate_size=intermediate, num_attention_heads=heads,
                                hidden_act="gelu_pytorch_tanh", layer_norm_eps=eps)
    config._attn_implementation = "eager"
    module = SiglipEncoderLayer(config)
    weights = stored(module, seed, dtype)
    x = numbers(seed + 1, 1, patches, hidden)
    check(t5gemma2.siglip_layer(x, weights, num_attention_heads=heads, layer_norm_eps=eps),
          module(x, attention_mask=None))


@few(80)
@given(SEEDS, st.integers(1, 5), st.integers(1, 4), WIDTHS, WIDTHS, STORED, st.sampled_from([1e-6, 1e-2]))
def test_image_tokens(seed, side, pooled, hidden, d, dtype, eps):
    """`side` tokens in a row, each of pooled * pooled patches."""
    vision = SimpleNamespace(hidden_size=hidden, layer_norm_eps=eps, image_size=14 * side * pooled, patch_size=14)
    module = theirs.T5Gemma2MultiModalProjector(SimpleNamespace(
        vision_config=vision, text_config=SimpleNamespace(hidden_size=d), mm_tokens_per_image=side**2))
    weights = stored(module, seed, dtype)
    patches = numbers(seed + 1, 1, (side * pooled)**2, hidden)
    ours = t5gemma2.image_tokens(patches, weights, mm_tokens_per_image=side**2, layer_norm_eps=eps)
    check(ours, module(patches)[0])


@few(80)
@given(SEEDS, st.integers(1, 60), st.integers(1, 60), st.integers(1, 50))
def test_preprocess_image(seed, width, height, size):
    pixels = np.frombuffer(random.Random(seed).randbytes(3 * width * height), np.uint8).reshape(height, width, 3)
    processor = Gemma3ImageProcessorPil(size={"height": size, "width": size})
    values = processor(images=Image.fromarray(pixels), return_tensors="pt")["pixel_values"][0]
    check(t5gemma2.preprocess_image(pixels, image_size=size), values, largest=1)


# ---- sampling ----

def chances(logits: torch.Tensor, temperature, top_k, top_p, min_p, typical_p) -> np.ndarray:
    """Of each token, by transformers' warpers in the order of its generate()."""
    warpers = [logits_process.TemperatureLogitsWarper(temperature)]
    warpers += [logits_process.TopKLogitsWarper(top_k)] if top_k else []
    warpers += [logits_process.TopPLogitsWarper(top_p)] if top_p < 1 else []
    warpers += [logits_process.MinPLogitsWarper(min_p)] if min_p > 0 else []
    warpers += [logits_process.TypicalLogitsWarper(typical_p)] if typical_p < 1 else []
    scores = logits[None].double()
    for warper in warpers:
        scores = warper(None, scores)
    return torch.softmax(scores[0], -1).numpy()


@few(25)
@given(SEEDS, st.integers(1, 40), st.sampled_from([0.3, 1.0, 3.0]), st.sampled_from([0, 1, 5, 50]),
       st.sampled_from([0.5, 0.9, 1.0]), st.sampled_from([0.0, 0.1]), st.sampled_from([0.5, 0.95, 1.0]))
def test_sample(seed, vocab, temperature, top_k, top_p, min_p, typical_p):
    """Tokens are drawn as often as transformers would draw them, no others ever."""
    chosen = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p, "typical_p": typical_p}
    logits = numbers(seed, vocab) * 2
    expected = chances(logits, **chosen)
    draws = 1000
    drawn = [t5gemma2.sample(logits, **chosen, seed=seed + draw) for draw in range(draws)]
    counts = np.bincount(drawn, minlength=vocab)
    assert (counts[expected == 0] == 0).all()
    deviation = np.sqrt(draws * expected * (1 - expected))
    assert (np.abs(counts - draws * expected) <= 5 * deviation + 2).all()
    assert t5gemma2.sample(logits, **chosen, seed=seed) == drawn[0]
