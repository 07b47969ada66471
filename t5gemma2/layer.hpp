// One transformer layer (paper §2, "Gemma 3 building block"), the same on both sides but for its attention:
//
//   x = x + post_norm(attend(pre_norm(x)))          encoder: self-attention; decoder: merged attention
//   x = x + post_norm(feed_forward(pre_norm(x)))
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2EncoderLayer, T5Gemma2DecoderLayer
#pragma once
#include <cstddef>
#include <iterator>
#include <span>
#include <utility>

#include "config.hpp"
#include "feed_forward.hpp"
#include "progress.hpp"
#include "projections.hpp"
#include "rms_norm.hpp"
#include "trace.hpp"

namespace t5gemma2 {

struct Layer {
  LayerType type{};
  Attention self_attn;
  FeedForward mlp;
  Vector pre_self_attn_layernorm, post_self_attn_layernorm;      // [d]
  Vector pre_feedforward_layernorm, post_feedforward_layernorm;  // [d]
  float eps = unset;                                             // of these four
};

/// Throws std::invalid_argument naming the field unless w is complete and takes rows of d numbers; self_attn
/// and mlp are checked where they are used.
inline void check(const Layer& w, Index d) {
  check_argument(w.type != LayerType{}, "layer type", "sliding_attention or full_attention", "none");
  check_shape(w.pre_self_attn_layernorm, d, 1, "pre_self_attn_layernorm");
  check_shape(w.post_self_attn_layernorm, d, 1, "post_self_attn_layernorm");
  check_shape(w.pre_feedforward_layernorm, d, 1, "pre_feedforward_layernorm");
  check_shape(w.post_feedforward_layernorm, d, 1, "post_feedforward_layernorm");
  check_eps(w.eps, "layer eps");
}

/// Floating-point operations of a layer for a token that sees so many keys: two for each number of its matrices,
/// four for each number of its query and each key.
inline double token_flops(const Layer& w, Index keys) {
  const Attention& a = w.self_attn;
  const Index outputs = 2 * a.q_proj.rows + 2 * a.k_proj.rows + 3 * w.mlp.gate_proj.rows;
  return static_cast<double>(2 * outputs * a.q_proj.cols + 4 * a.q_proj.rows * keys);
}

/// Those of K and V alone.
inline double key_value_flops(const Attention& w) {
  return static_cast<double>(4 * w.k_proj.rows * w.k_proj.cols);
}

/// x [rows, d] -> [rows, d]; attend(normalised x) -> [rows, d]. Throws std::invalid_argument where w is
/// incomplete or shapes do not fit.
template <class Attend>
Matrix transformer_layer(const Layer& w, Matrix x, const Tap& tap, const Attend& attend) {
  check(w, x.cols());
  Matrix h = tap("pre_self_attn_layernorm", rms_norm(x, w.pre_self_attn_layernorm, w.eps));
  h = tap("self_attn", attend(h));
  check_shape(h, x.rows(), x.cols(), "what attends");
  x += tap("post_self_attn_layernorm", rms_norm(h, w.post_self_attn_layernorm, w.eps));
  h = tap("pre_feedforward_layernorm", rms_norm(x, w.pre_feedforward_layernorm, w.eps));
  h = tap("mlp", feed_forward(w.mlp, h, tap / "mlp"));
  x += tap("post_feedforward_layernorm", rms_norm(h, w.post_feedforward_layernorm, w.eps));
  return tap("", std::move(x));
}

/// All layers, one after the other: x [rows, d] -> [rows, d]; attend(number of the layer, normalised x, tap
/// of its self_attn) -> [rows, d]. Progress counts layers. Throws as transformer_layer does.
template <class Attend>
Matrix transformer_layers(std::span<const Layer> layers, Matrix x, const Tap& tap, const Progress& progress,
                          const Attend& attend) {
  const Index all = std::ssize(layers);
  for (Index i = 0; i < all; ++i) {
    if (progress) progress(i, all);
    const auto number = static_cast<std::size_t>(i);
    const Tap here = tap / "layers" / i;
    x = transformer_layer(layers[number], std::move(x), here,
                          [&](const Matrix& X) { return attend(number, X, here / "self_attn"); });
  }
  if (progress) progress(all, all);
  return x;
}

}  // namespace t5gemma2
