// SigLIP, the vision encoder (paper §2: 400M parameters, frozen; Zhai et al. 2023). An image is cut into
// patches; in every layer every patch attends to every other.
//
//   x = patches Wp^T + bp + position_embedding            [patches, hidden]
//   x = layer(x)                                          siglip_layer.hpp
//   x = post_layernorm(x)
//
//   patches = (image_size / patch_size)^2, row by row over the image;
//   a patch is [channels, patch_size, patch_size]
//
// A pooling head in the checkpoint is not used.
//
// Reference: transformers models/siglip/modeling_siglip.py SiglipVisionModel
#pragma once
#include <cstddef>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "../config.hpp"
#include "../progress.hpp"
#include "../trace.hpp"
#include "layer_norm.hpp"
#include "siglip_layer.hpp"

namespace t5gemma2 {

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

/// pixels [channels, image_size*image_size] in [-1, 1] -> [patches, hidden]. Progress counts layers, by
/// the work that is done for them.
inline Matrix siglip(const Siglip& w, const Matrix& pixels, const Tap& tap = {},
                     const Progress& progress = {}) {
  check(w);
  const VisionConfig& c = w.config;
  Matrix x = linear(patches_of(c, pixels), w.patch_embedding);
  tap.channels_first("embeddings.patch_embedding", x);
  x = tap("embeddings", x + to_matrix(w.position_embedding, 0, w.position_embedding.rows));
  const Tap layers = tap / "encoder" / "layers";
  double flops = 0;
  for (const SiglipLayer& layer : w.layers)
    flops += siglip_flops(layer, x.rows()) * static_cast<double>(x.rows());
  WeightedProgress work(progress, std::ssize(w.layers), flops);
  for (std::size_t i = 0; i < w.layers.size(); ++i)
    x = siglip_layer(w.layers[i], std::move(x), c.num_attention_heads, layers / static_cast<Index>(i), work);
  return tap("post_layernorm", layer_norm(w.post_layernorm, x));
}

}  // namespace t5gemma2
