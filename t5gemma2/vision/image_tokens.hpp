// From patches to image tokens (paper §2: one image becomes 256 embedding tokens):
//
//   pooled = average over k x k patches               k = patches per side / tokens per side
//   tokens = rms_norm(pooled) W                       [mm_tokens_per_image, d]
//
// They take the places of the image tokens in the encoder's input as they are, without the embedding's
// sqrt(d). Reference: transformers T5Gemma2MultiModalProjector, T5Gemma2Encoder.forward.
#pragma once
#include <algorithm>
#include <cmath>
#include <optional>
#include <span>

#include "../error.hpp"
#include "../linear.hpp"
#include "../rms_norm.hpp"
#include "../trace.hpp"

namespace t5gemma2 {

struct MultiModalProjector {
  Vector mm_soft_emb_norm;            // [hidden]
  Weight mm_input_projection_weight;  // [hidden, d], used as x W
  float eps = 0;                      // vision_config.layer_norm_eps
};

/// x [side*side, hidden], row by row over the image -> [tokens_side^2, hidden], the mean of each square.
inline Matrix average_pool(const Matrix& x, Index tokens_side) {
  const auto side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(x.rows()))));
  const Index k = side / tokens_side;
  check_shape(x, tokens_side * k * tokens_side * k, -1, "average_pool x");
  Matrix pooled(tokens_side * tokens_side, x.cols());
  for (Index token = 0; token < pooled.rows(); ++token) {
    const Index top = token / tokens_side * k, left = token % tokens_side * k;
    auto sum = pooled.row(token);
    sum.setZero();
    for (Index row = top; row < top + k; ++row) sum += x.middleRows(row * side + left, k).colwise().sum();
    sum /= static_cast<float>(k * k);
  }
  return pooled;
}

/// x [rows, in], W [in, out] as stored -> x W [rows, out].
inline Matrix times_stored(const Matrix& x, const Weight& W) {
  check_shape(W, x.cols(), -1, "times_stored W");
  constexpr Index block = 64;
  Matrix y = Matrix::Zero(x.rows(), W.cols);
  for (Index first = 0; first < W.rows; first += block) {
    const Index count = std::min(block, W.rows - first);
    y += x.middleCols(first, count) * to_matrix(W, first, count);
  }
  return y;
}

/// patches [patches, hidden] of one image -> [tokens, d].
inline Matrix image_tokens(const MultiModalProjector& w, const Matrix& patches, Index tokens,
                           const Tap& tap = {}) {
  const auto tokens_side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(tokens))));
  const Matrix pooled = average_pool(patches, tokens_side);
  tap.channels_first("avg_pool", pooled);
  return tap("", times_stored(tap("mm_soft_emb_norm", rms_norm(pooled, w.mm_soft_emb_norm, w.eps)),
                              w.mm_input_projection_weight));
}

/// Throws Error unless ids hold the image token `tokens` times.
inline void check_places(std::span<const TokenId> ids, std::optional<Index> image_token, Index tokens) {
  const auto places = std::count_if(ids.begin(), ids.end(), [&](TokenId id) { return id == image_token; });
  if (places != tokens)
    fail("prompt", "image tokens", std::to_string(tokens) + " for the images given", std::to_string(places));
}

/// Puts the images' tokens into x [n, d] at the places where ids [n] hold the image token, in order.
/// Throws Error unless there are as many places as tokens.
inline Matrix place_images(Matrix x, std::span<const TokenId> ids, std::optional<Index> image_token,
                           std::span<const Matrix> images) {
  check_shape(x, static_cast<Index>(ids.size()), -1, "place_images x");
  Index tokens = 0;
  for (const Matrix& image : images) {
    check_shape(image, -1, x.cols(), "place_images images");
    tokens += image.rows();
  }
  check_places(ids, image_token, tokens);
  Index place = -1;
  for (const Matrix& image : images)
    for (Index row = 0; row < image.rows(); ++row) {
      do ++place;
      while (ids[static_cast<std::size_t>(place)] != image_token);
      x.row(place) = image.row(row);
    }
  return x;
}

}  // namespace t5gemma2
