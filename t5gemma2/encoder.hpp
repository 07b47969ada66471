// The encoder (paper §2, Figure 2): Gemma 3 layers with bidirectional attention.
//
//   Q = X Wq   K = X Wk   V = X Wv   O = softmax(Q K^T / sqrt(s), masked) V Wo        X [n, d], O [n, d]
//
//   s is query_pre_attn_scalar.
//
// The formula leaves out QK-norm and RoPE (projections.hpp). The paper leaves out: in local layers the window
// extends to both sides, about half of it to each (mask.hpp); a last RMSNorm ends the encoder.
//
// Many tokens come in chunks (chunks.hpp): of each layer first K and V of all tokens, then all the rest chunk by
// chunk.
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2TextEncoder, T5Gemma2SelfAttention
#pragma once
#include <cstddef>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "attention.hpp"
#include "chunks.hpp"
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

/// The same for some of the tokens: X [rows, d], tokens first, first + 1, ..., over K and V of all -> O [rows, d].
inline Matrix self_attention(const Attention& w, const Matrix& X, const CosSin& rope, Index first,
                             const kernel::KeyPanels& keys) {
  const Matrix Q = queries(w, X, rope);
  const Matrix A = attention(Q, first, keys, w.heads, w.scale, EncoderMask{w.window});
  return linear(A, w.o_proj);
}

// ---- chunks ----

/// The angles of the rows of a chunk.
inline CosSin rows_of(const CosSin& rope, const Chunk& chunk) {
  return {chunk.of(rope.cos), chunk.of(rope.sin)};
}

/// Floating-point operations of a layer for each of n tokens.
inline double encoder_flops(const Layer& w, Index n) {
  return token_flops(w, visible_keys(EncoderMask{w.self_attn.window}, n / 2, n / 2, n).size());
}

/// A layer over many tokens, x [n, d] -> [n, d], in chunks that begin at multiples of kernel::block_queries.
inline Matrix encoder_layer_in_chunks(const Layer& w, Matrix x, const CosSin& rope,
                                      const std::vector<Chunk>& chunks, WeightedProgress& progress) {
  const double key_flops = key_value_flops(w.self_attn);
  const auto of_chunk = [&](const Chunk& chunk) {
    const Matrix X = rms_norm(chunk.of(x), w.pre_self_attn_layernorm, w.eps);
    return keys_values(w.self_attn, X, rows_of(rope, chunk));
  };
  const kernel::KeyPanels keys = keys_in_chunks(x.rows(), w.self_attn.heads, key_flops, progress, of_chunk);
  const double flops = encoder_flops(w, x.rows()) - key_flops;
  for (const Chunk& chunk : chunks) {
    chunk.of(x) = transformer_layer(w, chunk.of(x), {}, [&](const Matrix& X) {
      return self_attention(w.self_attn, X, rows_of(rope, chunk), chunk.first, keys);
    });
    progress.add(flops * static_cast<double>(chunk.count));
  }
  return x;
}

/// A layer: x [n, d] -> [n, d], the same bits in one chunk, which is traced, and in many.
inline Matrix encoder_layer(const Layer& w, Matrix x, const CosSin& rope, const Tap& tap,
                            WeightedProgress& progress) {
  check(w, x.cols());
  check(w.self_attn, x.cols());
  const Index n = x.rows();
  const double flops = encoder_flops(w, n);
  const std::vector<Chunk> chunks = chunks_of(n, query_step(w.self_attn.heads), flops);
  if (chunks.size() > 1 && !tap) return encoder_layer_in_chunks(w, std::move(x), rope, chunks, progress);
  x = transformer_layer(w, std::move(x), tap, [&](const Matrix& X) {
    return self_attention(w.self_attn, X, rope, tap / "self_attn");
  });
  progress.add(flops * static_cast<double>(n));
  return x;
}

// ---- the whole ----

/// Throws std::invalid_argument where w has fewer.
inline std::span<const Layer> first_layers(const Encoder& w, Index count) {
  check_argument(count >= 0 && count <= std::ssize(w.layers), "encoder layers", "0 to num_hidden_layers",
                 count);
  return std::span(w.layers).first(static_cast<std::size_t>(count));
}

/// The first `count` layers: x [n, d] -> [n, d]. Progress and errors are those of `encoder`.
inline Matrix encoder_layers(const Encoder& w, Index count, Matrix x, const Tap& tap = {},
                             const Progress& progress = {}) {
  check(w);
  check_shape(x, -1, w.config.hidden_size, "encoder x");
  const Ropes ropes = ropes_at(w.config, 0, x.rows());
  const std::span layers = first_layers(w, count);
  double flops = 0;
  for (const Layer& layer : layers) flops += encoder_flops(layer, x.rows()) * static_cast<double>(x.rows());
  WeightedProgress work(progress, x.rows(), flops);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i];
    x = encoder_layer(layer, std::move(x), ropes.of(layer.type), tap / "layers" / static_cast<Index>(i),
                      work);
  }
  return x;
}

/// x [n, d], embedded tokens, with image features in the places of image tokens -> H [n, d]. Progress counts
/// tokens, by the work that is done for all of them. Throws std::invalid_argument where w is incomplete or
/// shapes do not fit.
inline Matrix encoder(const Encoder& w, Matrix x, const Tap& tap = {}, const Progress& progress = {}) {
  x = encoder_layers(w, std::ssize(w.layers), std::move(x), tap, progress);
  return tap("norm", rms_norm(x, w.norm, w.config.rms_norm_eps));
}

}  // namespace t5gemma2
