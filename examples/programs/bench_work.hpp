// How much work a step is: floating-point operations of products, and bytes that have to be read.
#pragma once
#include "t5gemma2/analysis/cold_weights.hpp"
#include "t5gemma2/decoder.hpp"
#include "t5gemma2/encoder.hpp"
#include "t5gemma2/mask.hpp"
#include "t5gemma2/vision/siglip.hpp"

namespace bench_program {

using namespace t5gemma2;

/// Query-key pairs that `mask` leaves visible.
template <class Mask>
double visible_pairs(const Mask& mask, Index queries, Index keys) {
  double pairs = 0;
  for (Index query = 0; query < queries; ++query)
    pairs += static_cast<double>(visible_keys(mask, query, query, keys).size());
  return pairs;
}

/// Q K^T and P V: two products each, of dh numbers for each pair and query head.
inline double attention_flops(const Heads& heads, double pairs) {
  return 4 * pairs * static_cast<double>(heads.query * heads.dim);
}

inline double size_of(const Weight& W) { return static_cast<double>(W.rows) * static_cast<double>(W.cols); }

inline double stored_bytes(const Weight& W) { return static_cast<double>(W.bytes()); }

/// Of the encoder over n tokens.
inline double encode_flops(const Encoder& w, Index n) {
  double flops = 0;
  for (const Layer& layer : w.layers) {
    for_each_matrix(layer, [&](const Weight& W) { flops += 2 * size_of(W) * static_cast<double>(n); });
    const double pairs = visible_pairs(EncoderMask{layer.self_attn.window}, n, n);
    flops += attention_flops(layer.self_attn.heads, pairs);
  }
  return flops;
}

/// K and V of so many keys in every layer, float32.
inline double key_value_bytes(const Decoder& w, Index keys) {
  const Index width = w.config.num_key_value_heads * w.config.head_dim;
  return 2.0 * sizeof(float) * static_cast<double>(keys * width * std::ssize(w.layers));
}

/// Of a decoding step that reads so many keys: all weights once, K and V.
inline double step_bytes(const Decoder& w, Index keys) {
  double bytes = key_value_bytes(w, keys);
  for_each_matrix(w, [&](const Weight& W) { bytes += stored_bytes(W); });
  return bytes;
}

/// Of SigLIP over one image.
inline double siglip_flops(const Siglip& w) {
  const VisionConfig& c = w.config;
  const Index side = c.image_size / c.patch_size;
  const auto patches = static_cast<double>(side * side);
  double flops = 2 * patches * size_of(w.patch_embedding.weight);
  for (const SiglipLayer& layer : w.layers) flops += patches * siglip_flops(layer, side * side);
  return flops;
}

}  // namespace bench_program
