"""What the paper compares T5Gemma 2 with (section 2), each a change of transformers' own model, in place.

X is the decoder's input [m, d], H the encoder's output [n, d], E an embedding table [V, d]; one head is written, and norms
and RoPE are not. base is equations (1) to (5), with one table for three places:

    Q = X Wq    K = [X; H] Wk    V = [X; H] Wv    A = softmax(Q K^T / sqrt(dh), masked by M) V    O = A Wo      m x d
    M = [own past, in local layers its last `sliding_window` tokens | all of H]                           m x (m+n)
    x = E[id] sqrt(d) on both sides    logits = X_last E^T                                                     m x V
"""
import copy

import torch
from torch import nn
from transformers import T5Gemma2ForConditionalGeneration
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.t5gemma2.modeling_t5gemma2 import (
    T5Gemma2MergedAttention,
    T5Gemma2SelfAttention,
    eager_attention_forward,
)

Model = T5Gemma2ForConditionalGeneration
GLOBAL = "full_attention"


def keep(_model: Model) -> None:
    """base: merged attention and one embedding, as published."""


def untie(model: Model) -> None:
    """untied: x = E_encoder[id] sqrt(d) in the encoder; x = E_decoder[id] sqrt(d) and logits = X_last E_decoder^T in the decoder."""
    decoder = model.model.decoder
    decoder.embed_tokens = copy.deepcopy(decoder.embed_tokens)
    model.lm_head.out_proj.weight = decoder.embed_tokens.weight


def hide_encoder_in_local_layers(model: Model) -> None:
    """global-cross: M = [own past | nothing] in local layers, M = [own past | all of H] in global ones."""
    for layer in model.model.decoder.layers:
        if layer.attention_type != GLOBAL:
            layer.self_attn = OwnSideAttention.of(layer.self_attn)


def split(model: Model) -> None:
    """split: self-attention over X, then cross-attention over H with weights and norms of its own, in every layer."""
    layers = model.model.decoder.layers
    for i, layer in enumerate(layers):
        layers[i] = SplitLayer(layer)


class OwnSideAttention(T5Gemma2SelfAttention):
    """A decoder layer's attention without the encoder, called as merged attention is:

        Q = X Wq    K = X Wk    V = X Wv    A = softmax(Q K^T / sqrt(dh), masked by own past) V    O = A Wo    m x d
    """

    @classmethod
    def of(cls, merged: T5Gemma2MergedAttention) -> "OwnSideAttention":
        """With its weights."""
        own = cls(merged.config, merged.layer_idx)
        own.load_state_dict(merged.state_dict())
        return own

    def forward(self, hidden_states, position_embeddings, merged_attention_mask, encoder_hidden_states, **_):
        """X [batch, m, d], M [batch, 1, m, m+n], H [batch, n, d] -> O [batch, m, d], and the two weights merged attention has."""
        own_past = merged_attention_mask[..., :-encoder_hidden_states.shape[1]]
        return (*super().forward(hidden_states, position_embeddings, own_past), None)


class CrossAttention(nn.Module):
    """Of the decoder's tokens over the encoder's; no RoPE, as in T5Gemma:

        Q = X Wq    K = H Wk    V = H Wv    A = softmax(Q K^T / sqrt(dh), masked by padding) V    O = A Wo    m x d
    """

    def __init__(self, start: T5Gemma2MergedAttention):
        """Weights of its own that start as those of `start`."""
        super().__init__()
        self.config, self.head_dim, self.scaling = start.config, start.head_dim, start.scaling
        self.num_key_value_groups = start.num_key_value_groups
        for name in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm"):
            self.add_module(name, copy.deepcopy(getattr(start, name)))

    def heads(self, projected: torch.Tensor) -> torch.Tensor:
        """[batch, tokens, heads * dh] -> [batch, heads, tokens, dh]"""
        return projected.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def forward(self, X: torch.Tensor, H: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[batch, m, d], [batch, n, d], [batch, 1, m, n] -> [batch, m, d]"""
        Q = self.q_norm(self.heads(self.q_proj(X)))
        K = self.k_norm(self.heads(self.k_proj(H)))
        V = self.heads(self.v_proj(H))
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        A, _ = attend(self, Q, K, V, mask, scaling=self.scaling)
        return self.o_proj(A.flatten(2))


class SplitLayer(nn.Module):
    """A decoder layer with two attentions, each between norms of its own:

        X1 = X  + norm(SelfAttention(norm(X)))
        X2 = X1 + norm(CrossAttention(norm(X1), H))
        X3 = X2 + norm(MLP(norm(X2)))                        m x d
    """

    def __init__(self, layer: nn.Module):
        """From a layer with merged attention; cross-attention and its norms start as a copy of it."""
        super().__init__()
        self.pre_self_attn_layernorm, self.post_self_attn_layernorm = layer.pre_self_attn_layernorm, layer.post_self_attn_layernorm
        self.self_attn = OwnSideAttention.of(layer.self_attn)
        self.pre_cross_attn_layernorm = copy.deepcopy(layer.pre_self_attn_layernorm)
        self.post_cross_attn_layernorm = copy.deepcopy(layer.post_self_attn_layernorm)
        self.cross_attn = CrossAttention(layer.self_attn)
        self.pre_feedforward_layernorm, self.post_feedforward_layernorm = layer.pre_feedforward_layernorm, layer.post_feedforward_layernorm
        self.mlp = layer.mlp

    def forward(self, X, position_embeddings, merged_attention_mask, _positions, _cache, _use_cache, H, **_):
        """[batch, m, d], M [batch, 1, m, m+n], H [batch, n, d] -> [batch, m, d]; the order is that of transformers' call."""
        own, _, _ = self.self_attn(self.pre_self_attn_layernorm(X), position_embeddings, merged_attention_mask, H)
        X = X + self.post_self_attn_layernorm(own)
        read = self.cross_attn(self.pre_cross_attn_layernorm(X), H, merged_attention_mask[..., -H.shape[1]:])
        X = X + self.post_cross_attn_layernorm(read)
        return X + self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(X)))


def extra_norms(model: Model) -> int:
    """Parameters of the norms that `split` adds: the paper's arithmetic, and `t5gemma2-inspect`, leave them out."""
    return sum(parameter.numel() for name, parameter in model.named_parameters()
               if "cross_attn" in name and "norm" in name)
