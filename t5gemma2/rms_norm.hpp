// RMSNorm (paper §2, "Gemma 3 building block"; Zhang and Sennrich 2019), row by row:
//
//   y = x / sqrt(mean(x^2) + eps) * (1 + weight)
//
// It stands before and after each sub-layer; applied to every head of queries and keys it is QK-norm. The
// paper leaves out that weights are stored centred on 0, hence 1 + weight.
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2RMSNorm
#pragma once
#include <cmath>
#include <utility>

#include "kernels/parallel.hpp"
#include "kernels/simd.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

namespace rms_norm_detail {

inline void check(const Matrix& x, const Vector& weight, float eps) {
  const Index size = weight.size();
  check_argument(size > 0, "rms_norm weight", "1 number or more", "none");
  check_eps(eps, "rms_norm eps");
  check_shape(x, -1, x.cols() / size * size, "rms_norm x");
}

}  // namespace rms_norm_detail

/// The plain form of rms_norm_heads.
inline Matrix plain_rms_norm_heads(Matrix x, const Vector& weight, float eps) {
  rms_norm_detail::check(x, weight, eps);
  for (Index row = 0; row < x.rows(); ++row)
    for (Index col = 0; col < x.cols(); col += weight.size()) {
      auto head = x.row(row).segment(col, weight.size()).array();
      head = head / std::sqrt(head.square().mean() + eps) * (1 + weight.transpose().array());
    }
  return x;
}

/// x [rows, heads*size] -> same shape, each of the `heads` slices of a row normalised by itself; weight
/// [size]. Throws std::invalid_argument where weight or eps is not set, or x's width is not a multiple of
/// the weight's size.
inline Matrix rms_norm_heads(const Matrix& x, const Vector& weight, float eps) {
  rms_norm_detail::check(x, weight, eps);
  const Index size = weight.size();
  Matrix y(x.rows(), x.cols());
  parallel_blocks(x.size() / size, 64, [&](Index first, Index count) {
    simd().rms_norm(count, size, x.data() + first * size, weight.data(), eps, y.data() + first * size);
  });
  return y;
}

/// x [rows, size] -> [rows, size]; weight [size]. Throws as rms_norm_heads does.
inline Matrix rms_norm(const Matrix& x, const Vector& weight, float eps) {
  check_shape(weight, x.cols(), 1, "rms_norm weight");
  return rms_norm_heads(x, weight, eps);
}

}  // namespace t5gemma2
