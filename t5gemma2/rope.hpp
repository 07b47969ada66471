// Rotary position embedding (paper §2; Su et al. 2021), rotate-half form. For a head of size dh and i < dh/2:
//
//   frequency_i = theta^(-2i/dh) / factor
//   angle_i     = position * frequency_i
//   y_i         = x_i        cos(angle_i) - x_{i+dh/2} sin(angle_i)
//   y_{i+dh/2}  = x_{i+dh/2} cos(angle_i) + x_i        sin(angle_i)
//
// Local layers: theta 10k, factor 1. Global layers: theta 1M, factor 8 (position interpolation). The paper
// leaves out: frequencies and angles are float32 in the reference, and at position 4,000 half a unit in the
// last place of a frequency changes the result by 1e-4. So they are float32 here, rounded at the same steps.
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2RotaryEmbedding, apply_rotary_pos_emb
#pragma once
#include <cmath>
#include <tuple>

#include "config.hpp"
#include "kernels/functions.hpp"
#include "kernels/parallel.hpp"
#include "kernels/simd.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// cos and sin of the angles of consecutive positions; the same for all heads and all layers of one type.
struct CosSin {
  Matrix cos, sin;  // [rows, dh/2]
};

/// dh/2 frequencies, in radians per position. Throws std::invalid_argument where theta, factor or head_dim
/// is not set.
inline Vector rope_frequencies(const RopeConfig& rope, Index head_dim) {
  const auto is_positive = [](double number) {  // as float32, too
    return static_cast<float>(number) > 0 && std::isfinite(static_cast<float>(number));
  };
  check_argument(is_positive(rope.theta), "rope theta", "a number above 0", rope.theta);
  check_argument(is_positive(rope.factor), "rope factor", "a number above 0", rope.factor);
  check_argument(head_dim > 0 && head_dim % 2 == 0, "rope head_dim", "an even number above 0", head_dim);
  Vector frequency(head_dim / 2);
  for (Index i = 0; i < frequency.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    frequency[i] =
        1.0f / std::pow(static_cast<float>(rope.theta), exponent) / static_cast<float>(rope.factor);
  }
  return frequency;
}

/// cos and sin for positions first_position .. first_position + rows - 1. Throws as rope_frequencies does.
inline CosSin rope_at(const RopeConfig& config, Index head_dim, Index first_position, Index rows) {
  check_argument(first_position >= 0, "rope first_position", "0 or more", first_position);
  check_argument(rows >= 0, "rope rows", "0 or more", rows);
  const Vector frequency = rope_frequencies(config, head_dim);
  CosSin rope{Matrix(rows, head_dim / 2), Matrix(rows, head_dim / 2)};
  parallel_rows(rows, 64, [&](Index row) {
    for (Index i = 0; i < frequency.size(); ++i) {
      const float angle = static_cast<float>(first_position + row) * frequency[i];
      std::tie(rope.cos(row, i), rope.sin(row, i)) = cos_sin(angle);
    }
  });
  return rope;
}

namespace rope_detail {

inline void check(const Matrix& x, const CosSin& rope) {
  const Index half = rope.cos.cols(), head_dim = 2 * half;
  check_argument(half > 0, "rope cos", "a column for each pair of a head", "none");
  check_shape(rope.cos, x.rows(), half, "rope cos");
  check_shape(rope.sin, x.rows(), half, "rope sin");
  if (x.cols() % head_dim != 0) check_shape(x, -1, head_dim, "rope x");
}

}  // namespace rope_detail

/// The plain form of apply_rope.
inline Matrix plain_apply_rope(Matrix x, const CosSin& rope) {
  rope_detail::check(x, rope);
  const Index half = rope.cos.cols();
  for (Index row = 0; row < x.rows(); ++row)
    for (Index start = 0; start < x.cols(); start += 2 * half)
      for (Index i = 0; i < half; ++i) {
        const float a = x(row, start + i), b = x(row, start + half + i);
        const float cos = rope.cos(row, i), sin = rope.sin(row, i);
        x(row, start + i) = a * cos - b * sin;
        x(row, start + half + i) = b * cos + a * sin;
      }
  return x;
}

/// x [rows, heads*dh] -> same shape; every head of row r is rotated by the angles in row r of `rope`. Throws
/// std::invalid_argument where shapes do not fit.
inline Matrix apply_rope(Matrix x, const CosSin& rope) {
  rope_detail::check(x, rope);
  const Index half = rope.cos.cols();
  parallel_rows(x.rows(), 64, [&](Index row) {
    for (Index start = 0; start < x.cols(); start += 2 * half)
      simd().rotate(half, &x(row, start), &x(row, start + half), rope.cos.row(row).data(),
                    rope.sin.row(row).data());
  });
  return x;
}

/// cos and sin of both layer types, for the same positions.
struct Ropes {
  CosSin sliding_attention, full_attention;

  const CosSin& of(LayerType type) const {
    return type == LayerType::full_attention ? full_attention : sliding_attention;
  }
};

/// Both, for positions first_position .. first_position + rows - 1. Throws as rope_at does.
inline Ropes ropes_at(const TextConfig& config, Index first_position, Index rows) {
  const auto rope_of = [&](LayerType type) {
    return rope_at(config.rope(type), config.head_dim, first_position, rows);
  };
  return {rope_of(LayerType::sliding_attention), rope_of(LayerType::full_attention)};
}

}  // namespace t5gemma2
