// SigLIP, the vision encoder (paper §2: 400M parameters, frozen; Zhai et al. 2023). An image is cut into
// patches; in every layer every patch attends to every other.
//
//   x = patches Wp^T + bp + position_embedding            [patches, hidden]
//   x = x + out_proj(attention(layer_norm1(x)))           in every layer; all linear layers have biases
//   x = x + fc2(gelu(fc1(layer_norm2(x))))
//   x = post_layernorm(x)
//
//   patches = (image_size / patch_size)^2, row by row over the image;
//   a patch is [channels, patch_size, patch_size]; gelu as in ../feed_forward.hpp
//
// A pooling head in the checkpoint is not used.
//
// Reference: transformers models/siglip/modeling_siglip.py SiglipVisionModel
#pragma once
#include <cmath>
#include <string>
#include <utility>
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

/// Members are named as in the checkpoint, under encoder.vision_tower.
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

// ---- checks ----

/// Throws std::invalid_argument naming the field unless an image can be cut into patches of this size.
inline void check_patches(const VisionConfig& c) {
  check_argument(c.num_channels > 0, "num_channels", "1 or more", c.num_channels);
  check_argument(c.image_size > 0, "image_size", "1 or more", c.image_size);
  const std::string divisor = "a divisor of image_size " + std::to_string(c.image_size);
  check_argument(c.patch_size > 0 && c.image_size % c.patch_size == 0, "patch_size", divisor.c_str(),
                 c.patch_size);
}

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

/// Throws std::invalid_argument naming the field unless w is complete and has the sizes of its config. The
/// linear layers of its SiglipLayers are checked where they are used.
inline void check(const Siglip& w) {
  const VisionConfig& c = w.config;
  check_patches(c);
  check_heads(c.num_attention_heads, c.hidden_size);
  check(w.patch_embedding, c.hidden_size, c.num_channels * c.patch_size * c.patch_size, "patch_embedding");
  const Index side = c.image_size / c.patch_size;
  check_shape(w.position_embedding, side * side, c.hidden_size, "position_embedding");
  check_argument(w.position_embedding.data, "position_embedding", "a stored matrix", "none");
  const std::string layers = "num_hidden_layers " + std::to_string(c.num_hidden_layers);
  check_argument(std::ssize(w.layers) == c.num_hidden_layers, "layers", layers.c_str(), w.layers.size());
  for (const SiglipLayer& layer : w.layers) {
    check(layer.layer_norm1, c.hidden_size, "layer_norm1");
    check(layer.layer_norm2, c.hidden_size, "layer_norm2");
  }
  check(w.post_layernorm, c.hidden_size, "post_layernorm");
}

// ---- the encoder ----

/// x [rows, in] -> x W^T + b [rows, out].
inline Matrix linear(const Matrix& x, const BiasedLinear& w) {
  check_shape(w.bias, w.weight.rows, 1, "linear bias");
  Matrix y = linear(x, w.weight);
  y.rowwise() += w.bias.transpose();
  return y;
}

/// pixels [channels, size*size] -> [patches, channels*patch_size^2]: the patch embedding, a convolution whose
/// stride is its size, is a linear layer on these rows. Throws std::invalid_argument where sizes do not fit.
inline Matrix patches_of(const VisionConfig& c, const Matrix& pixels) {
  check_patches(c);
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

/// X [patches, hidden] -> [patches, hidden]. Throws std::invalid_argument where w is incomplete or shapes do
/// not fit; so do the others.
inline Matrix siglip_attention(const SiglipLayer& w, const Matrix& X, Index heads, const Tap& tap = {}) {
  const Index hidden = X.cols();
  check_heads(heads, hidden);
  check(w.q_proj, hidden, hidden, "q_proj");
  check(w.k_proj, hidden, hidden, "k_proj");
  check(w.v_proj, hidden, hidden, "v_proj");
  check(w.out_proj, hidden, hidden, "out_proj");
  const Matrix Q = tap("q_proj", linear(X, w.q_proj));
  const Matrix K = tap("k_proj", linear(X, w.k_proj));
  const Matrix V = tap("v_proj", linear(X, w.v_proj));
  const Index head_dim = hidden / heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  const Matrix A = attention(Q, K, V, {heads, heads, head_dim}, scale, AllVisible{});
  return tap("out_proj", linear(A, w.out_proj));
}

/// X [patches, hidden] -> [patches, hidden].
inline Matrix siglip_mlp(const SiglipLayer& w, const Matrix& X, const Tap& tap = {}) {
  check(w.fc1, -1, X.cols(), "fc1");
  check(w.fc2, X.cols(), w.fc1.weight.rows, "fc2");
  return tap("fc2", linear(tap("activation_fn", gelu_tanh(tap("fc1", linear(X, w.fc1)))), w.fc2));
}

/// pixels [channels, image_size*image_size] in [-1, 1] -> [patches, hidden]. Progress counts layers.
inline Matrix siglip(const Siglip& w, const Matrix& pixels, const Tap& tap = {},
                     const Progress& progress = {}) {
  check(w);
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
  return tap("post_layernorm", layer_norm(w.post_layernorm, x));
}

}  // namespace t5gemma2
