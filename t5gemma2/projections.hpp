// Queries, keys and values (paper §2; equations 1 to 3 of merged attention), for the tokens X [m, d] of a
// side and for the encoder output H [n, d]:
//
//   Q = rope(norm(X Wq))                                  [m, query heads*dh]
//   K = rope(norm(X Wk))    V = X Wv                      [m, kv heads*dh]
//   K =      norm(H Wk)     V = H Wv      encoder side    [n, kv heads*dh]
//
// The equations leave out QK-norm and RoPE, which the paper's text names without saying where they apply:
// QK-norm to queries and to all keys, the encoder side's too; RoPE to queries and the tokens' own keys, not
// to the encoder side's keys. So the order of H's rows does not matter to the decoder, and a score against H
// depends on the query's absolute position, not on a distance.
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2SelfAttention, T5Gemma2MergedAttention
#pragma once
#include <cmath>
#include <utility>

#include "config.hpp"
#include "linear.hpp"
#include "mask.hpp"
#include "rms_norm.hpp"
#include "rope.hpp"
#include "tensor.hpp"
#include "trace.hpp"

namespace t5gemma2 {

/// The parameters of self-attention in the encoder, and of merged attention in the decoder: the same set of
/// matrices, with values of their own in every layer. Names are a layer's in the checkpoint.
struct Attention {
  Weight q_proj;  // [query heads*dh, d]   self_attn.q_proj.weight
  Weight k_proj;  // [kv heads*dh, d]      self_attn.k_proj.weight
  Weight v_proj;  // [kv heads*dh, d]      self_attn.v_proj.weight
  Weight o_proj;  // [d, query heads*dh]   self_attn.o_proj.weight
  Vector q_norm;  // [dh]                  self_attn.q_norm.weight
  Vector k_norm;  // [dh]                  self_attn.k_norm.weight
  Heads heads;
  float eps = unset;         // of q_norm and k_norm
  float scale = unset;       // of the scores: 1 / sqrt(query_pre_attn_scalar)
  Index window = no_window;  // of a local layer
};

/// Throws std::invalid_argument naming the field unless w is complete and takes rows of d numbers.
inline void check(const Attention& w, Index d) {
  check(w.heads);
  const Index q = w.heads.query * w.heads.dim, kv = w.heads.kv * w.heads.dim;
  check(w.q_proj, q, d, "q_proj");
  check(w.k_proj, kv, d, "k_proj");
  check(w.v_proj, kv, d, "v_proj");
  check(w.o_proj, d, q, "o_proj");
  check_shape(w.q_norm, w.heads.dim, 1, "q_norm");
  check_shape(w.k_norm, w.heads.dim, 1, "k_norm");
  check_eps(w.eps, "eps");
  check_argument(w.scale > 0 && std::isfinite(w.scale), "scale", "a number above 0", w.scale);
  check_argument(w.window > 0, "window", "1 or more", w.window);
}

/// The same, and unless `rope` has a row for each row of X.
inline void check(const Attention& w, const Matrix& X, const CosSin& rope) {
  check(w, X.cols());
  check_argument(w.heads.dim % 2 == 0, "heads.dim", "an even number, for RoPE", w.heads.dim);
  check_shape(rope.cos, X.rows(), w.heads.dim / 2, "rope cos");
  check_shape(rope.sin, X.rows(), w.heads.dim / 2, "rope sin");
}

/// K and V, one row per token.
struct KeyValue {
  Matrix K, V;  // [rows, kv heads*dh]
};

/// X [m, d] -> Q [m, query heads*dh]. Throws std::invalid_argument where w is incomplete or shapes do not
/// fit; so do the others.
inline Matrix queries(const Attention& w, const Matrix& X, const CosSin& rope, const Tap& tap = {}) {
  check(w, X, rope);
  Matrix Q = tap("q_proj", linear(X, w.q_proj));
  Q = tap.heads("q_norm", w.heads.query, rms_norm_heads(Q, w.q_norm, w.eps));
  return apply_rope(std::move(Q), rope);
}

/// X [m, d] -> K, V [m, kv heads*dh].
inline KeyValue keys_values(const Attention& w, const Matrix& X, const CosSin& rope, const Tap& tap = {}) {
  check(w, X, rope);
  Matrix K = tap("k_proj", linear(X, w.k_proj));
  K = tap.heads("k_norm", w.heads.kv, rms_norm_heads(K, w.k_norm, w.eps));
  return {apply_rope(std::move(K), rope), tap("v_proj", linear(X, w.v_proj))};
}

/// H [n, d] -> K, V [n, kv heads*dh], without RoPE; n may be 0.
inline KeyValue encoder_keys_values(const Attention& w, const Matrix& H, const Tap& tap = {}) {
  check(w, H.cols());
  Matrix K = tap("k_proj[1]", linear(H, w.k_proj));
  K = tap.heads("k_norm[1]", w.heads.kv, rms_norm_heads(K, w.k_norm, w.eps));
  return {std::move(K), tap("v_proj[1]", linear(H, w.v_proj))};
}

}  // namespace t5gemma2
