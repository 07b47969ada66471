// The encoder (paper §2, Figure 2): Gemma 3 layers in which every token sees to both sides.
//
//   Q = X Wq   K = X Wk   V = X Wv   O = softmax(Q K^T / sqrt(s), masked) V Wo        X [n, d], O [n, d]
//
// The paper leaves out: q and k are normalised per head and turned by RoPE; in local layers a token sees
// about half the window to each side (mask.hpp); a last RMSNorm ends the encoder. Reference: transformers
// T5Gemma2TextEncoder, T5Gemma2SelfAttention.
#pragma once
#include "embedding.hpp"
#include "layer.hpp"

namespace t5gemma2 {

struct Encoder {
  TextConfig config;
  Embedding embed_tokens;
  std::vector<Layer> layers;
  Vector norm;  // [d]
};

/// X [n, d] -> O [n, d].
inline Matrix self_attention(const AttentionWeights& w, const Matrix& X, const Rotation& turn,
                             const Tap& tap = {}) {
  Matrix Q = tap("q_proj", linear(X, w.q_proj));
  Matrix K = tap("k_proj", linear(X, w.k_proj));
  const Matrix V = tap("v_proj", linear(X, w.v_proj));
  Q = rotate(tap.heads("q_norm", w.heads.heads, rms_norm_heads(std::move(Q), w.q_norm, w.eps)), turn);
  K = rotate(tap.heads("k_norm", w.heads.kv_heads, rms_norm_heads(std::move(K), w.k_norm, w.eps)), turn);
  const EncoderMask sees{w.window};
  if (tap.wants("weights"))
    tap.stacked("weights", w.heads.heads, attention_weights(Q, K, w.heads, w.scale, sees));
  const Matrix A = attention(Q, w.heads, w.scale, KeySegment{K, V, sees});
  return tap("o_proj", linear(A, w.o_proj));
}

/// x [n, d], embedded tokens (and, in their place, image features) -> H [n, d].
inline Matrix encoder(const Encoder& w, Matrix x, const Tap& tap = {}, const Progress& progress = {}) {
  check_shape(x, -1, w.config.hidden_size, "encoder x");
  const Rotations turns = rotations(w.config, 0, x.rows());
  const auto layers = static_cast<Index>(w.layers.size());
  for (Index i = 0; i < layers; ++i) {
    if (progress) progress(i, layers);
    const Layer& layer = w.layers[static_cast<std::size_t>(i)];
    const Tap here = tap / "layers" / i;
    x = transformer_layer(layer, std::move(x), here, [&](const Matrix& X) {
      return self_attention(layer.self_attn, X, turns.of(layer.type), here / "self_attn");
    });
  }
  if (progress) progress(layers, layers);
  return tap("norm", rms_norm(std::move(x), w.norm, w.config.rms_norm_eps));
}

}  // namespace t5gemma2
