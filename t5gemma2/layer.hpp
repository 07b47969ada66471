// One transformer layer (paper §2, "Gemma 3 building block"), the same on both sides but for what attends:
//
//   x = x + post_norm(attend(pre_norm(x)))          encoder: self-attention; decoder: merged attention
//   x = x + post_norm(feed_forward(pre_norm(x)))
//
// Reference: transformers T5Gemma2EncoderLayer, T5Gemma2DecoderLayer.
#pragma once
#include "attention.hpp"
#include "feed_forward.hpp"
#include "rms_norm.hpp"
#include "rope.hpp"
#include "trace.hpp"

namespace t5gemma2 {

/// Self-attention of the encoder and merged attention of the decoder have the same weights.
struct AttentionWeights {
  Weight q_proj;  // [heads*dh, d]      self_attn.q_proj.weight
  Weight k_proj;  // [kv_heads*dh, d]   self_attn.k_proj.weight
  Weight v_proj;  // [kv_heads*dh, d]   self_attn.v_proj.weight
  Weight o_proj;  // [d, heads*dh]      self_attn.o_proj.weight
  Vector q_norm;  // [dh]               self_attn.q_norm.weight
  Vector k_norm;  // [dh]               self_attn.k_norm.weight
  HeadCount heads{};
  float eps = 0;
  float scale = 0;  // 1 / sqrt(query_pre_attn_scalar)
  Index window = everything;
};

struct Layer {
  LayerType type = LayerType::full_attention;
  AttentionWeights self_attn;
  FeedForward mlp;
  Vector pre_self_attn_layernorm, post_self_attn_layernorm;      // [d]
  Vector pre_feedforward_layernorm, post_feedforward_layernorm;  // [d]
  float eps = 0;
};

/// The rotations of both layer types for one run of positions.
struct Rotations {
  Rotation sliding_attention, full_attention;

  const Rotation& of(LayerType type) const {
    return type == LayerType::full_attention ? full_attention : sliding_attention;
  }
};

/// For positions first_position .. first_position + rows - 1.
inline Rotations rotations(const TextConfig& config, Index first_position, Index rows) {
  const auto turn = [&](LayerType type) {
    return rotation(config.rope(type), config.head_dim, first_position, rows);
  };
  return {turn(LayerType::sliding_attention), turn(LayerType::full_attention)};
}

/// x [rows, d] -> [rows, d]; attend(normalised x) -> [rows, d].
template <class Attend>
Matrix transformer_layer(const Layer& w, Matrix x, const Tap& tap, const Attend& attend) {
  Matrix h = tap("pre_self_attn_layernorm", rms_norm(x, w.pre_self_attn_layernorm, w.eps));
  h = tap("self_attn", attend(h));
  x += tap("post_self_attn_layernorm", rms_norm(std::move(h), w.post_self_attn_layernorm, w.eps));
  h = tap("pre_feedforward_layernorm", rms_norm(x, w.pre_feedforward_layernorm, w.eps));
  h = tap("mlp", feed_forward(w.mlp, h, tap / "mlp"));
  x += tap("post_feedforward_layernorm", rms_norm(std::move(h), w.post_feedforward_layernorm, w.eps));
  return tap("", std::move(x));
}

}  // namespace t5gemma2
