// SigLIP, the vision encoder (paper §2: 400M parameters, frozen; Zhai et al. 2023): an image becomes patches,
// patches become tokens that all see each other.
//
//   x = patches Wp^T + bp + position_embedding            [patches, hidden]
//   x = x + out_proj(attention(layer_norm1(x)))           every layer, biases everywhere
//   x = x + fc2(gelu(fc1(layer_norm2(x))))
//   H = post_layernorm(x)
//
//   patches = (image_size / patch_size)^2, row by row over the image; a patch is [channels, patch_size,
//   patch_size].
//
// The paper leaves out all of it. Reference: transformers SiglipVisionModel (its pooling head is not used).
#pragma once
#include <vector>

#include "../attention.hpp"
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

struct SiglipLayer {
  LayerNorm layer_norm1, layer_norm2;
  BiasedLinear q_proj, k_proj, v_proj, out_proj;  // self_attn.*
  BiasedLinear fc1, fc2;                          // mlp.*
};

struct Siglip {
  VisionConfig config;
  BiasedLinear patch_embedding;  // weight [hidden, channels*patch_size^2]
  Weight position_embedding;     // [patches, hidden]
  std::vector<SiglipLayer> layers;
  LayerNorm post_layernorm;
};

/// x [rows, in] -> x W^T + b [rows, out].
inline Matrix linear(const Matrix& x, const BiasedLinear& w) {
  Matrix y = linear(x, w.weight);
  y.rowwise() += w.bias.transpose();
  return y;
}

/// pixels [channels, size, size] -> [patches, channels*patch_size^2], the rows that the patch convolution
/// multiplies.
inline Matrix patches_of(const VisionConfig& c, const Matrix& pixels) {
  check_shape(pixels, c.num_channels, c.image_size * c.image_size, "siglip pixels");
  const Eigen::Map<const Matrix> lines(pixels.data(), c.num_channels * c.image_size, c.image_size);
  const Index side = c.image_size / c.patch_size, area = c.patch_size * c.patch_size;
  Matrix patches(side * side, c.num_channels * area);
  for (Index patch = 0; patch < patches.rows(); ++patch)
    for (Index channel = 0; channel < c.num_channels; ++channel) {
      const Index top = channel * c.image_size + patch / side * c.patch_size,
                  left = patch % side * c.patch_size;
      patches.row(patch).segment(channel * area, area) =
          lines.block(top, left, c.patch_size, c.patch_size).reshaped<Eigen::RowMajor>().transpose();
    }
  return patches;
}

/// X [patches, hidden] -> [patches, hidden].
inline Matrix siglip_attention(const SiglipLayer& w, const Matrix& X, Index heads, const Tap& tap = {}) {
  const Index head_dim = X.cols() / heads;
  const Matrix Q = tap("q_proj", linear(X, w.q_proj)), K = tap("k_proj", linear(X, w.k_proj)),
               V = tap("v_proj", linear(X, w.v_proj));
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  return tap("out_proj", linear(attention(Q, {heads, heads, head_dim}, scale, KeySegment{K, V, AllVisible{}}),
                                w.out_proj));
}

/// X [patches, hidden] -> [patches, hidden].
inline Matrix siglip_mlp(const SiglipLayer& w, const Matrix& X, const Tap& tap = {}) {
  return tap("fc2", linear(tap("activation_fn", gelu_tanh(tap("fc1", linear(X, w.fc1)))), w.fc2));
}

/// pixels [channels, image_size*image_size] in [-1, 1] -> [patches, hidden].
inline Matrix siglip(const Siglip& w, const Matrix& pixels, const Tap& tap = {},
                     const Progress& progress = {}) {
  const VisionConfig& c = w.config;
  Matrix x = linear(patches_of(c, pixels), w.patch_embedding);
  tap.channels_first("embeddings.patch_embedding", x);
  x = tap("embeddings", x + to_matrix(w.position_embedding, 0, w.position_embedding.rows));
  const auto layers = static_cast<Index>(w.layers.size());
  for (Index i = 0; i < layers; ++i) {
    if (progress) progress(i, layers);
    const SiglipLayer& layer = w.layers[static_cast<std::size_t>(i)];
    const Tap here = tap / "encoder" / "layers" / i;
    Matrix h = here("layer_norm1", layer_norm(layer.layer_norm1, x));
    x += here("self_attn", siglip_attention(layer, h, c.num_attention_heads, here / "self_attn"));
    h = here("layer_norm2", layer_norm(layer.layer_norm2, x));
    x = here("", x + here("mlp", siglip_mlp(layer, h, here / "mlp")));
  }
  if (progress) progress(layers, layers);
  return tap("post_layernorm", layer_norm(w.post_layernorm, std::move(x)));
}

}  // namespace t5gemma2
