// The encoder (paper §2, Figure 2): Gemma 3 layers with bidirectional attention.
//
//   Q = X Wq   K = X Wk   V = X Wv   O = softmax(Q K^T / sqrt(s), masked) V Wo        X [n, d], O [n, d]
//
//   s is query_pre_attn_scalar.
//
// The formula leaves out QK-norm and RoPE (projections.hpp). The paper leaves out: in local layers the window
// extends to both sides, about half of it to each (mask.hpp); a last RMSNorm ends the encoder.
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2TextEncoder, T5Gemma2SelfAttention
#pragma once
#include <iterator>
#include <vector>

#include "attention.hpp"
#include "embedding.hpp"
#include "layer.hpp"
#include "progress.hpp"

namespace t5gemma2 {

struct Encoder {
  TextConfig config;
  Embedding embed_tokens;
  std::vector<Layer> layers;
  Vector norm;  // [d]
};

/// Throws std::invalid_argument naming the field unless w is complete; each layer is checked where it
/// is used.
inline void check(const Encoder& w) {
  check_argument(w.config.num_hidden_layers == std::ssize(w.layers), "encoder layers",
                 "as many as num_hidden_layers", w.layers.size());
  check_shape(w.norm, w.config.hidden_size, 1, "encoder norm");
  check_eps(w.config.rms_norm_eps, "encoder rms_norm_eps");
}

/// X [n, d] -> O [n, d]. Throws std::invalid_argument where w is incomplete or shapes do not fit.
inline Matrix self_attention(const Attention& w, const Matrix& X, const CosSin& rope, const Tap& tap = {}) {
  const Matrix Q = queries(w, X, rope, tap);
  const auto [K, V] = keys_values(w, X, rope, tap);
  const EncoderMask mask{w.window};
  tap_probabilities(tap, Q, K, w.heads, w.scale, mask, K.rows());
  const Matrix A = attention(Q, K, V, w.heads, w.scale, mask);
  return tap("o_proj", linear(A, w.o_proj));
}

/// x [n, d], embedded tokens, with image features in the places of image tokens -> H [n, d]. Progress counts
/// layers. Throws std::invalid_argument where w is incomplete or shapes do not fit.
inline Matrix encoder(const Encoder& w, Matrix x, const Tap& tap = {}, const Progress& progress = {}) {
  check(w);
  check_shape(x, -1, w.config.hidden_size, "encoder x");
  const Ropes ropes = ropes_at(w.config, 0, x.rows());
  const auto attend = [&](std::size_t i, const Matrix& X, const Tap& here) {
    return self_attention(w.layers[i].self_attn, X, ropes.of(w.layers[i].type), here);
  };
  x = transformer_layers(w.layers, std::move(x), tap, progress, attend);
  return tap("norm", rms_norm(x, w.norm, w.config.rms_norm_eps));
}

}  // namespace t5gemma2
