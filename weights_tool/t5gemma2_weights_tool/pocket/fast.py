"""Training speed on a CPU: an attention of our own for transformers' models, and compiled layers.

PyTorch's fused attention has a slow backward pass in bfloat16 on a CPU, and is no faster than two products and a
softmax for inputs as short as these. The query heads that share a key head are the rows of one product here. Layers are
compiled for all shapes at once, so that batches may be as long as their longest sample.
"""
import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

ATTENTION = "pocket"
VARIANTS = 64  # of a compiled layer: with and without a mask, of a picture, of one sample, ...


def attention(_module, query, key, value, attention_mask, dropout=0.0, scaling=None, **_):
    """transformers' attention interface: [batch, heads, tokens, size] -> [batch, tokens, heads, size]."""
    batch, heads, tokens, size = query.shape
    groups, keys = key.shape[1:3]
    rows = heads // groups * tokens
    scores = (query * scaling).reshape(batch, groups, rows, size) @ key.transpose(2, 3)
    scores = scores.reshape(batch, heads, tokens, keys).float()
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(torch.float32).min)
    weights = scores.softmax(-1).to(value.dtype).reshape(batch, groups, rows, keys)
    return (weights @ value).reshape(batch, heads, tokens, size).transpose(1, 2), None


def mask(*args, **options):
    """sdpa's, and never left out for a kernel that would know by itself what is causal."""
    return sdpa_mask(*args, **options | {"allow_is_causal_skip": False})


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, mask)


def compile_layers(layers) -> None:
    """Compile each layer in place; the first steps take a while."""
    torch._dynamo.config.cache_size_limit = torch._dynamo.config.recompile_limit = VARIANTS
    for layer in layers:
        layer.compile(dynamic=True)
