// From patches to image features (paper §2: one image becomes 256 embedding tokens):
//
//   pooled   = average over k x k patches             k = patches per side / features per side
//   features = rms_norm(pooled) W                     [mm_tokens_per_image, d]
//
// In the encoder's input they replace the embeddings of the prompt's image tokens, without the embedding's
// factor sqrt(d).
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2MultiModalProjector, T5Gemma2Encoder
#pragma once
#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../error.hpp"
#include "../linear.hpp"
#include "../rms_norm.hpp"
#include "../trace.hpp"

namespace t5gemma2 {

/// Members are named as in the checkpoint, under encoder.multi_modal_projector.
struct MultiModalProjector {
  Vector mm_soft_emb_norm;            // [hidden]
  Weight mm_input_projection_weight;  // [hidden, d], used as x W
  float eps = unset;                  // vision_config.layer_norm_eps
};

/// Throws std::invalid_argument naming the field unless w is complete and takes rows of `hidden` numbers.
inline void check(const MultiModalProjector& w, Index hidden) {
  check_shape(w.mm_soft_emb_norm, hidden, 1, "mm_soft_emb_norm");
  check_shape(w.mm_input_projection_weight, hidden, -1, "mm_input_projection_weight");
  check_argument(w.mm_input_projection_weight.data, "mm_input_projection_weight", "a stored matrix", "none");
  check_eps(w.eps, "eps");
}

/// The positive integer whose square is `area`; none where there is none.
inline std::optional<Index> square_root(Index area) {
  if (area <= 0) return std::nullopt;
  const auto side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(area))));
  return side * side == area ? std::optional(side) : std::nullopt;
}

/// x [side*side, hidden], row by row over the image -> the means of k x k patches [features_side^2, hidden],
/// k = side / features_side. Throws std::invalid_argument unless `features_side` divides the side.
inline Matrix average_pool(const Matrix& x, Index features_side) {
  check_argument(features_side > 0, "features per side", "1 or more", features_side);
  const Index side = square_root(x.rows()).value_or(0);
  const std::string grid = "the square of a multiple of " + std::to_string(features_side);
  check_argument(side > 0 && side % features_side == 0, "patches", grid.c_str(), x.rows());
  const Index k = side / features_side;
  Matrix pooled(features_side * features_side, x.cols());
  for (Index i = 0; i < pooled.rows(); ++i) {
    const Index top = i / features_side * k, left = i % features_side * k;
    auto sum = pooled.row(i);
    sum.setZero();
    for (Index row = top; row < top + k; ++row) sum += x.middleRows(row * side + left, k).colwise().sum();
    sum /= static_cast<float>(k * k);
  }
  return pooled;
}

/// x [rows, in], W [in, out] as stored -> x W [rows, out]; `linear` instead multiplies by the transposed
/// matrix. Throws std::invalid_argument where shapes do not fit.
inline Matrix matmul(const Matrix& x, const Weight& W) {
  check_shape(W, x.cols(), -1, "matmul W");
  constexpr Index block = 128;
  Matrix y = Matrix::Zero(x.rows(), W.cols);
  for (Index first = 0; first < W.rows; first += block) {
    const Index count = std::min(block, W.rows - first);
    multiply_add(x.middleCols(first, count), to_matrix(W, first, count), y);
  }
  return y;
}

/// patches [patches, hidden] of one image -> its features [mm_tokens_per_image, d]. Throws
/// std::invalid_argument where w is incomplete, and unless patches and features form square grids, the side
/// of one a multiple of the other's.
inline Matrix image_features(const MultiModalProjector& w, const Matrix& patches, Index mm_tokens_per_image,
                             const Tap& tap = {}) {
  check(w, patches.cols());
  const std::optional<Index> side = square_root(mm_tokens_per_image);
  check_argument(side.has_value(), "mm_tokens_per_image", "a square number", mm_tokens_per_image);
  const Matrix pooled = average_pool(patches, *side);
  tap.channels_first("avg_pool", pooled);
  return tap("", matmul(tap("mm_soft_emb_norm", rms_norm(pooled, w.mm_soft_emb_norm, w.eps)),
                        w.mm_input_projection_weight));
}

// ---- image features in a prompt ----

/// The indices of the image tokens in ids, in order. Throws Error unless there are `features` of them, one
/// for each row of image features.
inline std::vector<Index> image_token_places(std::span<const TokenId> ids, std::optional<Index> image_token,
                                             Index features) {
  std::vector<Index> places;
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] == image_token) places.push_back(static_cast<Index>(i));
  if (std::ssize(places) != features)
    fail("prompt", "image tokens", std::to_string(features) + " for the images given",
         std::to_string(places.size()));
  return places;
}

/// x [n, d], the embeddings of ids [n], with the rows of the image tokens replaced by the image features of
/// each image [mm_tokens_per_image, d], in order -> [n, d]. Throws Error unless there are as many image
/// tokens as rows of image features, std::invalid_argument where shapes do not fit.
inline Matrix place_image_features(Matrix x, std::span<const TokenId> ids, std::optional<Index> image_token,
                                   std::span<const Matrix> features) {
  check_shape(x, static_cast<Index>(ids.size()), -1, "place_image_features x");
  Index total = 0;
  for (const Matrix& image : features) {
    check_shape(image, -1, x.cols(), "image features");
    total += image.rows();
  }
  const std::vector<Index> places = image_token_places(ids, image_token, total);
  auto place = places.begin();
  for (const Matrix& image : features)
    for (Index row = 0; row < image.rows(); ++row) x.row(*place++) = image.row(row);
  return x;
}

}  // namespace t5gemma2
