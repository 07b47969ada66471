"""Bugs of public ports, planted in transformers: each changes a model, or the module that it comes from."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn
from transformers.models.t5gemma2 import modeling_t5gemma2 as t5gemma2

from t5gemma2_weights_tool.inputs import Inputs

Plant = Callable  # (model, patch): patch(name, value) replaces a function of the module


@dataclass
class Bug:
    """`named`: what compare says, `alone` where it says so of the outputs of layers alone, "" where it cannot. `inputs`
    changes what the model is given, `tensors` what is recorded."""
    plant: Plant
    named: str
    alone: str | None = None
    inputs: Callable[[Inputs], Inputs] = lambda inputs: inputs
    tensors: Callable[[dict], dict] = lambda tensors: tensors


def layers(model, decoder: bool):
    return model.model.decoder.layers if decoder else model.model.encoder.text_model.layers


def both_sides(model):
    return [*layers(model, False), *layers(model, True)]


def is_decoder(module) -> bool:
    return isinstance(module, t5gemma2.T5Gemma2MergedAttention)


# ---- attention ----

def attention(change: Callable, where: Callable = lambda module: True) -> Plant:
    """`change(own, module, query, key, value, mask, **settings)` in place of eager attention."""
    def plant(_model, patch):
        own = t5gemma2.eager_attention_forward

        def changed(module, query, key, value, mask, **settings):
            call = change if where(module) else (lambda own, *rest, **more: own(*rest, **more))
            return call(own, module, query, key, value, mask, **settings)
        patch("eager_attention_forward", changed)
    return plant


def output(of: Callable, where: Callable = lambda module: True) -> Plant:
    """`of`: A [1, rows, heads, head_dim] -> as the wrong program has it."""
    def change(own, *inputs, **settings):
        A, weights = own(*inputs, **settings)
        return of(A), weights
    return attention(change, where)


def scores_mask(of: Callable, where: Callable = lambda module: True) -> Plant:
    """`of(mask [1, 1, rows, keys], rows)` -> visible, or the mask as it is."""
    def change(own, module, query, key, value, mask, **settings):
        rows = query.shape[2]
        seen = torch.ones(rows, key.shape[2], dtype=torch.bool) if mask is None else mask[0, 0] >= 0
        visible = of(seen.clone(), rows, module)
        new = torch.zeros(1, 1, *visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
        return own(module, query, key, value, new, **settings)
    return attention(change, where)


def kept(own_mask: Callable, local_only=False) -> Callable:
    """`own_mask(query [r, 1], key [1, r], window)` -> visible, for the tokens' own keys."""
    def of(seen, rows, module):
        if local_only and not module.is_sliding:
            return seen
        q, k = torch.arange(rows)[:, None], torch.arange(rows)[None]
        seen[:, :rows] = own_mask(q, k, module.config.sliding_window)
        return seen
    return of


def cross(of: Callable) -> Callable:
    def change(seen, rows, module):
        q, k = torch.arange(rows)[:, None], torch.arange(seen.shape[1] - rows)[None]
        seen[:, rows:] = of(q, k, seen.shape[1] - rows, module)
        return seen
    return change


def encoder_window(back: Callable, ahead: Callable) -> Plant:
    mask = kept(lambda q, k, w: ((q - k >= 0) & (q - k <= back(w))) | ((k - q > 0) & (k - q <= ahead(w))), True)
    return scores_mask(mask, lambda module: not is_decoder(module))


def decoder_window(of: Callable) -> Plant:
    return scores_mask(kept(lambda q, k, w: (k <= q) & (q - k < of(w)), True), is_decoder)


def rope(of: Callable, where: Callable = lambda *_: True) -> Plant:
    """`of(q, k, cos, sin)` in place of apply_rotary_pos_emb."""
    return lambda _model, patch: patch("apply_rotary_pos_emb", of)


def interleaved(q, k, cos, sin, **_):
    half = cos.shape[-1] // 2
    c, s = cos[:, None, :, :half], sin[:, None, :, :half]

    def turn(x):
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * c - b * s, b * c + a * s), -1).flatten(-2)
    return turn(q), turn(k)


def turned(x, cos, sin):
    return x * cos[:, None] + t5gemma2.rotate_half(x) * sin[:, None]


def rope_parameters(change: Callable) -> Plant:
    """`change(rotary_emb)`: inverse frequencies are its buffers, one for each type of layer."""
    def plant(model, _patch):
        for rotary in (model.model.encoder.text_model.rotary_emb, model.model.decoder.rotary_emb):
            change(rotary)
    return plant


def without_factor(rotary):
    rotary.full_attention_inv_freq *= rotary.config.rope_parameters["full_attention"]["factor"]


def local_base(rotary):
    factor = rotary.config.rope_parameters["full_attention"]["factor"]
    rotary.full_attention_inv_freq = rotary.sliding_attention_inv_freq.clone() / factor


def local_rope(rotary):
    rotary.full_attention_inv_freq = rotary.sliding_attention_inv_freq.clone()


def global_base_everywhere(rotary):
    factor = rotary.config.rope_parameters["full_attention"]["factor"]
    rotary.sliding_attention_inv_freq = rotary.full_attention_inv_freq.clone() * factor


def scaling(of: Callable) -> Plant:
    def plant(model, _patch):
        for layer in both_sides(model):
            layer.self_attn.scaling = of(layer.self_attn)
    return plant


class OnEncoderKeys(nn.Module):
    """k_norm that does something else at its second call, on the encoder output."""

    def __init__(self, norm, second: Callable):
        super().__init__()
        self.norm, self.second, self.calls = norm, second, 0

    def forward(self, x):
        self.calls += 1
        return self.norm(x) if self.calls % 2 else self.second(self.norm, x)


def encoder_keys(second: Callable) -> Plant:
    def plant(model, _patch):
        for layer in layers(model, True):
            layer.self_attn.k_norm = OnEncoderKeys(layer.self_attn.k_norm, lambda norm, x, a=layer.self_attn: second(norm, x, model, a))
    return plant


def turned_keys(norm, x, model, attention):
    rotary = model.model.decoder.rotary_emb
    cos, sin = rotary(x, torch.arange(x.shape[2])[None], attention.layer_type)
    return turned(norm(x), cos, sin)


def drop_recorded(*ends: str) -> Callable:
    return lambda tensors: {name: x for name, x in tensors.items() if not name.endswith(ends)}


# ---- norms ----

def norms(of: Callable, which: Callable = lambda name: True) -> Plant:
    """`of(norm, x)` in place of RMSNorm.forward."""
    def plant(model, _patch):
        for name, module in model.named_modules():
            if isinstance(module, t5gemma2.T5Gemma2RMSNorm) and "mm_soft" not in name and which(name):
                module.forward = lambda x, norm=module: of(norm, x)
    return plant


def rms(norm, x, offset=1.0, eps=None, mean=0.0):
    x = x - mean
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + (norm.eps if eps is None else eps)) * (offset + norm.weight)


def left_out(*ends: str) -> Plant:
    return norms(lambda norm, x: x, lambda name: name.endswith(ends))


# ---- the rest ----

def activation(of: Callable) -> Plant:
    def plant(model, _patch):
        for layer in both_sides(model):
            layer.mlp.act_fn.forward = of
    return plant


def embeddings(of: Callable) -> Plant:
    def plant(model, _patch):
        for module in (model.model.encoder.text_model.embed_tokens, model.model.decoder.embed_tokens):
            module.forward = lambda ids, own=module: of(own, ids)
    return plant


def scaled_rows(power: float) -> Callable:
    def of(own, ids):
        x = nn.functional.embedding(ids, own.weight) * own.weight.shape[1] ** power
        x[ids == own.eoi_token_index] = own.eoi_embedding
        return x
    return of


def decoder_hears(of: Callable) -> Plant:
    """`of(H)`: what the decoder is given."""
    def plant(model, _patch):
        own = model.model.decoder.forward

        def forward(*inputs, encoder_hidden_states=None, encoder_attention_mask=None, **more):
            H = of(encoder_hidden_states)
            return own(*inputs, encoder_hidden_states=H, encoder_attention_mask=torch.ones(H.shape[:2]), **more)
        model.model.decoder.forward = forward
    return plant


def bfloat16_products(model, _patch):
    for layer in both_sides(model):
        for module in layer.modules():
            if isinstance(module, nn.Linear):
                module.forward = lambda x, own=module: nn.functional.linear(x.bfloat16(), own.weight.bfloat16()).float()


def wrong_prefix(inputs: Inputs) -> Inputs:
    ids = inputs.decoder_input_ids.copy()
    ids[0, 0] = 0
    return replace(inputs, decoder_input_ids=ids)


def each(of: Callable) -> Callable:
    return lambda tensors: {name: of(name, x) for name, x in tensors.items()}


def nothing(_model, _patch):
    pass


def local_everywhere(seen, rows, module):
    q, k = torch.arange(rows)[:, None], torch.arange(rows)[None]
    w = module.config.sliding_window
    if is_decoder(module):
        seen[:, :rows] = (k <= q) & (q - k < w)
    else:
        seen[:, :rows] = torch.where(k <= q, q - k < (w + 1) // 2, k - q < w // 2 + 1)
    return seen


def flipped_heads(own, module, query, key, value, mask, **settings):
    return own(module, query.flip(1), key, value, mask, **settings)


def tiled_heads(own, module, query, key, value, mask, **settings):
    groups, module.num_key_value_groups = module.num_key_value_groups, 1
    try:
        return own(module, query, key.repeat(1, groups, 1, 1), value.repeat(1, groups, 1, 1), mask, **settings)
    finally:
        module.num_key_value_groups = groups


def softcapped(own, *inputs, **settings):
    return own(*inputs, **{**settings, "softcap": 50.0})


def two_softmaxes(own, module, query, key, value, mask, **settings):
    m = query.shape[2]
    A, P = own(module, query, key[:, :, :m], value[:, :, :m], mask[..., :m], **settings)
    B, C = own(module, query, key[:, :, m:], value[:, :, m:], mask[..., m:], **settings)
    return A + B, torch.cat((P, C), -1)


def silu_like(x):
    return x * torch.sigmoid(1.702 * x)


BUGS = {
    "transposed heads": Bug(output(lambda A: A.transpose(1, 2)), "heads are not transposed back before o_proj"),
    "swapped heads of A": Bug(output(lambda A: A.flip(2)), "heads are in the opposite order before o_proj"),
    "interleaved heads of A": Bug(output(lambda A: A.transpose(2, 3).contiguous().view(A.shape)), "heads are interleaved before o_proj"),
    "tiled key/value heads": Bug(attention(tiled_heads), "query head h uses key/value head h mod kv heads"),
    "key/value heads swapped": Bug(attention(lambda own, mod, q, k, v, *rest, **more: own(mod, q, k.flip(1), v.flip(1), *rest, **more)),
                                   "key/value heads are in the opposite order"),
    "query heads swapped": Bug(attention(flipped_heads), "query heads are in the opposite order"),
    "two heads swapped": Bug(output(lambda A: A[:, :, [1, 0, 2, 3]]), "heads are exchanged: 0 and 1 before o_proj", alone='query heads are exchanged: 0 and 1'),
    "strange mask": Bug(scores_mask(kept(lambda q, k, w: (k <= q) & ((q - k) % 3 != 1)), is_decoder), "another mask: query 13 sees 9 of the keys 1 to 13 of 26", alone=''),
    "encoder window longer to the left": Bug(encoder_window(lambda w: (w + 1) // 2, lambda w: w // 2), "the encoder's window is off by +1 token to the left"),
    "encoder window shorter to the left": Bug(encoder_window(lambda w: (w + 1) // 2 - 2, lambda w: w // 2), "the encoder's window is off by -1 token to the left"),
    "encoder window longer to the right": Bug(encoder_window(lambda w: (w + 1) // 2 - 1, lambda w: w // 2 + 1), "the encoder's window is off by +1 token to the right"),
    "encoder window shorter to the right": Bug(encoder_window(lambda w: (w + 1) // 2 - 1, lambda w: w // 2 - 1), "the encoder's window is off by -1 token to the right"),
    "encoder window not halved": Bug(encoder_window(lambda w: w - 1, lambda w: w - 1), "reaches sliding_window tokens to either side"),
    "encoder window halved twice": Bug(encoder_window(lambda w: w // 4, lambda w: w // 4), "halved twice"),
    "causal encoder": Bug(scores_mask(kept(lambda q, k, w: k <= q), lambda a: not is_decoder(a) and not a.is_sliding), "the encoder is causal, in global layers"),
    "decoder window longer": Bug(decoder_window(lambda w: w + 1), "the decoder's window is off by +1 token"),
    "decoder window shorter": Bug(decoder_window(lambda w: w - 1), "the decoder's window is off by -1 token"),
    "decoder window two longer": Bug(decoder_window(lambda w: w + 2), "the decoder's window is off by +2 tokens"),
    "decoder not causal": Bug(scores_mask(kept(lambda q, k, w: k >= 0), is_decoder), "the decoder is not causal: every token sees all others"),
    "decoder window to both sides": Bug(scores_mask(kept(lambda q, k, w: (q - k).abs() < w, True), is_decoder), "the decoder is not causal: in local layers the window holds to either side"),
    "decoder sees the next token": Bug(scores_mask(kept(lambda q, k, w: k <= q + 1), lambda a: is_decoder(a) and not a.is_sliding), "the next token is visible"),
    "decoder does not see itself": Bug(scores_mask(kept(lambda q, k, w: k < q), lambda a: is_decoder(a) and not a.is_sliding), "a token does not see itself"),
    "every layer local": Bug(lambda model, patch: (scores_mask(local_everywhere)(model, patch), rope_parameters(local_rope)(model, patch)), "every layer is local"),
    "window in global layers": Bug(scores_mask(local_everywhere), "global layers have the window, too"),
    "no windows": Bug(scores_mask(kept(lambda q, k, w: k >= 0), lambda a: not is_decoder(a)), "local layers have no window"),
    "truncated encoder side": Bug(decoder_hears(lambda H: H[:, :-3]), "the encoder side is truncated: its last 3 tokens are not there", alone='the encoder side is truncated: its last 3 tokens are not visible'),
    "encoder side without its first token": Bug(decoder_hears(lambda H: H[:, 1:]), "the encoder side is truncated: its first token is not there", alone='the encoder side is truncated: its first token is not visible'),
    "masked encoder side": Bug(scores_mask(cross(lambda q, k, n, a: k < n - 2), is_decoder), "the encoder side is truncated: its last 2 tokens are not visible"),
    "causal encoder side": Bug(scores_mask(cross(lambda q, k, n, a: k <= q), is_decoder), "the encoder output is masked causally"),
    "encoder side in global layers only": Bug(scores_mask(cross(lambda q, k, n, a: torch.full((1, n), not a.is_sliding)), is_decoder), "visible in global layers only"),
    "two softmaxes": Bug(attention(two_softmaxes, is_decoder), "two softmaxes"),
    "no k_norm on H": Bug(encoder_keys(lambda norm, x, *_: x), "k_norm[1] (k_norm of the encoder output) is left out"),
    "no k_norm on H, not recorded": Bug(encoder_keys(lambda norm, x, *_: x), "k_norm[1] (k_norm of the encoder output) is left out", tensors=drop_recorded("k_norm[1]")),
    "RoPE on H": Bug(encoder_keys(turned_keys), "RoPE on the encoder output's keys", tensors=drop_recorded("k_norm[1]")),
    "RoPE on H, recorded": Bug(encoder_keys(turned_keys), "k_norm[1] is recorded after RoPE", alone="RoPE on the encoder output's keys"),
    "RoPE without its factor": Bug(rope_parameters(without_factor), "RoPE without its factor"),
    "local base in global layers": Bug(rope_parameters(local_base), "the local base (rope_theta) is used in global layers, with the global factor"),
    "local RoPE in global layers": Bug(rope_parameters(local_rope), "the local base (rope_theta) is used in global layers, without a factor"),
    "global base in local layers": Bug(rope_parameters(global_base_everywhere), "the global base (rope_theta) is used in local layers, with the local factor"),
    "interleaved RoPE": Bug(rope(interleaved), "RoPE turns neighbouring numbers"),
    "RoPE the other way": Bug(rope(lambda q, k, cos, sin, **_: (turned(q, cos, -sin), turned(k, cos, -sin))), "RoPE turns the other way"),
    "no RoPE on keys": Bug(rope(lambda q, k, cos, sin, **_: (turned(q, cos, sin), k)), "no RoPE on keys"),
    "norm weights without 1 +": Bug(norms(lambda norm, x: rms(norm, x, 0)), "norm weights are used without 1 +"),
    "QK-norm without 1 +": Bug(norms(lambda norm, x: rms(norm, x, 0), lambda name: name.endswith(("q_norm", "k_norm"))), "norm weights are used without 1 +"),
    "1 + twice": Bug(norms(lambda norm, x: rms(norm, x, 2)), "norm weights get 1 + twice"),
    "LayerNorm": Bug(norms(lambda norm, x: rms(norm, x, mean=x.mean(-1, keepdim=True))), "the norm subtracts the mean"),
    "another eps": Bug(norms(lambda norm, x: rms(norm, x, eps=1e-5)), "rms_norm_eps is 1e-05"),
    "no post-norms": Bug(left_out("post_self_attn_layernorm", "post_feedforward_layernorm"), "the norms behind attention and feed-forward are left out"),
    "no post-attention norm": Bug(left_out("post_self_attn_layernorm"), "post_self_attn_layernorm is left out"),
    "no post-attention norm, not recorded": Bug(left_out("post_self_attn_layernorm"), "post_self_attn_layernorm is left out", tensors=drop_recorded("post_self_attn_layernorm")),
    "no QK-norm": Bug(left_out("q_norm", "k_norm"), "QK-norm is left out"),
    "no last norm": Bug(left_out("decoder.norm"), "norm is left out, in the decoder"),
    "embedding not scaled": Bug(embeddings(scaled_rows(0)), "the embedding is not scaled by sqrt(d)"),
    "embedding scaled twice": Bug(embeddings(scaled_rows(1)), "the embedding is scaled by d"),
    "eoi is an ordinary token": Bug(embeddings(lambda own, ids: nn.functional.embedding(ids, own.weight) * own.weight.shape[1] ** 0.5), "has its row of the embedding"),
    "query scale from the head size": Bug(scaling(lambda a: a.head_dim ** -0.5), "scores are scaled by 1/sqrt(head_dim)"),
    "query scale from d / heads": Bug(scaling(lambda a: (a.config.hidden_size / a.config.num_attention_heads) ** -0.5), "scores are scaled by 1/sqrt(d / heads)"),
    "no query scale": Bug(scaling(lambda a: 1.0), "scores are not scaled"),
    "score softcap": Bug(attention(softcapped), "scores have a softcap of 50"),
    "exact gelu": Bug(activation(nn.functional.gelu), "gelu is the exact one"),
    "quick gelu": Bug(activation(silu_like), "gelu is x * sigmoid(1.702 x)"),
    "silu": Bug(activation(nn.functional.silu), "the activation is silu"),
    "bfloat16 products": Bug(bfloat16_products, "products"),
    "wrong prefix": Bug(nothing, "the decoder begins with token 0", inputs=wrong_prefix),
    "no batch axis": Bug(nothing, "the batch axis is missing", tensors=each(lambda name, x: x[0]), alone='the batch axis is missing'),
}
