// A layer of SigLIP: every patch attends to every other, without mask or positions; LayerNorm comes before, and all
// linear layers have biases.
//
//   x = x + out_proj(attention(layer_norm1(x)))
//   x = x + fc2(gelu(fc1(layer_norm2(x))))                 gelu as in ../feed_forward.hpp
//
// Many patches come in chunks (../chunks.hpp): first K and V of all patches, then all the rest chunk by chunk.
//
// Reference: transformers models/siglip/modeling_siglip.py SiglipEncoderLayer
#pragma once
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "../attention.hpp"
#include "../chunks.hpp"
#include "../config.hpp"
#include "../feed_forward.hpp"
#include "../progress.hpp"
#include "../trace.hpp"
#include "layer_norm.hpp"

namespace t5gemma2 {

struct BiasedLinear {
  Weight weight;  // [out, in]
  Vector bias;    // [out]
};

/// Members are named as in the checkpoint, under encoder.vision_tower.
struct SiglipLayer {
  LayerNorm layer_norm1, layer_norm2;
  BiasedLinear q_proj, k_proj, v_proj, out_proj;  // self_attn.*
  BiasedLinear fc1, fc2;                          // mlp.*
};

// ---- checks ----

/// Throws std::invalid_argument naming the field unless rows of `hidden` numbers divide into `heads` heads.
inline void check_heads(Index heads, Index hidden) {
  const std::string divisor = "a divisor of hidden_size " + std::to_string(hidden);
  check_argument(heads > 0 && hidden > 0 && hidden % heads == 0, "num_attention_heads", divisor.c_str(),
                 heads);
}

/// Throws std::invalid_argument naming the field unless w is a layer `name` [out, in].
inline void check(const BiasedLinear& w, Index out, Index in, const std::string& name) {
  check_shape(w.weight, out, in, (name + " weight").c_str());
  check_argument(w.weight.data, (name + " weight").c_str(), "a stored matrix", "none");
  check_shape(w.bias, w.weight.rows, 1, (name + " bias").c_str());
}

/// Throws std::invalid_argument naming the field unless w has an attention over rows of `hidden` numbers.
inline void check_attention(const SiglipLayer& w, Index hidden) {
  check(w.q_proj, hidden, hidden, "q_proj");
  check(w.k_proj, hidden, hidden, "k_proj");
  check(w.v_proj, hidden, hidden, "v_proj");
  check(w.out_proj, hidden, hidden, "out_proj");
}

// ---- the parts ----

/// x [rows, in] -> x W^T + b [rows, out].
inline Matrix linear(const Matrix& x, const BiasedLinear& w) {
  check_shape(w.bias, w.weight.rows, 1, "linear bias");
  Matrix y = linear(x, w.weight);
  parallel_rows(y.rows(), 64, [&](Index row) { y.row(row) += w.bias.transpose(); });
  return y;
}

/// The heads of rows of `hidden` numbers: as many for keys and values as for queries.
inline Heads siglip_heads(Index heads, Index hidden) {
  check_heads(heads, hidden);
  return {heads, heads, hidden / heads};
}

inline float siglip_scale(const Heads& heads) { return 1.0f / std::sqrt(static_cast<float>(heads.dim)); }

/// X [patches, hidden] -> [patches, hidden]. Throws std::invalid_argument where w is incomplete or shapes do
/// not fit; so do the others.
inline Matrix siglip_attention(const SiglipLayer& w, const Matrix& X, Index num_heads, const Tap& tap = {}) {
  check_attention(w, X.cols());
  const Heads heads = siglip_heads(num_heads, X.cols());
  const Matrix Q = tap("q_proj", linear(X, w.q_proj));
  const Matrix K = tap("k_proj", linear(X, w.k_proj));
  const Matrix V = tap("v_proj", linear(X, w.v_proj));
  const Matrix A = attention(Q, K, V, heads, siglip_scale(heads), AllVisible{});
  return tap("out_proj", linear(A, w.out_proj));
}

/// The same for some of the patches: X [rows, hidden], patches first, first + 1, ..., over K and V of all.
inline Matrix siglip_attention(const SiglipLayer& w, const Matrix& X, const Heads& heads, Index first,
                               const kernel::KeyPanels& keys) {
  const Matrix Q = linear(X, w.q_proj);
  return linear(attention(Q, first, keys, heads, siglip_scale(heads), AllVisible{}), w.out_proj);
}

/// X [patches, hidden] -> [patches, hidden].
inline Matrix siglip_mlp(const SiglipLayer& w, const Matrix& X, const Tap& tap = {}) {
  check(w.fc1, -1, X.cols(), "fc1");
  check(w.fc2, X.cols(), w.fc1.weight.rows, "fc2");
  return tap("fc2", linear(tap("activation_fn", gelu_tanh(tap("fc1", linear(X, w.fc1)))), w.fc2));
}

// ---- the layer ----

/// x [rows, hidden] -> [rows, hidden]; attend(normalised x) -> [rows, hidden].
template <class Attend>
Matrix siglip_layer(const SiglipLayer& w, Matrix x, const Tap& tap, const Attend& attend) {
  Matrix h = tap("layer_norm1", layer_norm(w.layer_norm1, x));
  x += tap("self_attn", attend(h));
  h = tap("layer_norm2", layer_norm(w.layer_norm2, x));
  return tap("", x + tap("mlp", siglip_mlp(w, h, tap / "mlp")));
}

/// Floating-point operations of a layer for each of `patches`.
inline double siglip_flops(const SiglipLayer& w, Index patches) {
  const Index hidden = w.q_proj.weight.cols, intermediate = w.fc1.weight.rows;
  return static_cast<double>(8 * hidden * hidden + 4 * hidden * intermediate + 4 * patches * hidden);
}

/// A layer over many patches, x [patches, hidden] -> [patches, hidden], in chunks that begin at multiples of
/// kernel::block_queries.
inline Matrix siglip_layer_in_chunks(const SiglipLayer& w, Matrix x, const Heads& heads,
                                     const std::vector<Chunk>& chunks, WeightedProgress& progress) {
  check_attention(w, x.cols());
  const auto key_flops = static_cast<double>(4 * x.cols() * x.cols());
  const auto keys_values = [&](const Chunk& chunk) {
    const Matrix X = layer_norm(w.layer_norm1, chunk.of(x));
    return std::pair(linear(X, w.k_proj), linear(X, w.v_proj));
  };
  const kernel::KeyPanels keys = keys_in_chunks(x.rows(), heads, key_flops, progress, keys_values);
  const double flops = siglip_flops(w, x.rows()) - key_flops;
  for (const Chunk& chunk : chunks) {
    chunk.of(x) = siglip_layer(w, chunk.of(x), {}, [&](const Matrix& X) {
      return siglip_attention(w, X, heads, chunk.first, keys);
    });
    progress.add(flops * static_cast<double>(chunk.count));
  }
  return x;
}

/// A layer: x [patches, hidden] -> [patches, hidden], the same bits in one chunk, which is traced, and in many.
inline Matrix siglip_layer(const SiglipLayer& w, Matrix x, Index num_heads, const Tap& tap,
                           WeightedProgress& progress) {
  const Heads heads = siglip_heads(num_heads, x.cols());
  const double flops = siglip_flops(w, x.rows());
  const std::vector<Chunk> chunks = chunks_of(x.rows(), query_step(heads), flops);
  if (chunks.size() > 1 && !tap) return siglip_layer_in_chunks(w, std::move(x), heads, chunks, progress);
  x = siglip_layer(w, std::move(x), tap,
                   [&](const Matrix& X) { return siglip_attention(w, X, num_heads, tap / "self_attn"); });
  progress.add(flops * static_cast<double>(x.rows()));
  return x;
}

}  // namespace t5gemma2
