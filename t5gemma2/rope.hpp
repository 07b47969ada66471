// Rotary position embedding (paper §2; Su et al. 2021), rotate-half form. For a head of size dh and i < dh/2:
//
//   frequency_i = base^(-2i/dh) / factor
//   angle_i     = position * frequency_i
//   y_i         = x_i        cos(angle_i) - x_{i+dh/2} sin(angle_i)
//   y_{i+dh/2}  = x_{i+dh/2} cos(angle_i) + x_i        sin(angle_i)
//
// Local layers: base 10k, factor 1. Global layers: base 1M, factor 8 (position interpolation).
// The paper leaves out: frequencies and angles are float32 in the reference, and at position 4,000 half a
// unit in the last place of a frequency moves the result by 1e-4. So they are float32 here, rounded at the
// same places. Reference: transformers T5Gemma2RotaryEmbedding, apply_rotary_pos_emb.
#pragma once
#include <cmath>
#include <tuple>

#include "config.hpp"
#include "kernels/functions.hpp"
#include "kernels/parallel.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// cos and sin of the angles of consecutive positions, shared by all heads and all layers of one type.
struct Rotation {
  Matrix cos, sin;  // [rows, dh/2]
};

/// dh/2 frequencies, in radians per position.
inline Vector rope_frequencies(const RopeConfig& rope, Index head_dim) {
  Vector frequency(head_dim / 2);
  for (Index i = 0; i < frequency.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    frequency[i] =
        1.0f / std::pow(static_cast<float>(rope.theta), exponent) / static_cast<float>(rope.factor);
  }
  return frequency;
}

/// The rotation of positions first_position .. first_position + rows - 1.
inline Rotation rotation(const RopeConfig& rope, Index head_dim, Index first_position, Index rows) {
  const Vector frequency = rope_frequencies(rope, head_dim);
  Rotation turn{Matrix(rows, head_dim / 2), Matrix(rows, head_dim / 2)};
  parallel_blocks(rows, 64, [&](Index first, Index count) {
    for (Index row = first; row < first + count; ++row)
      for (Index i = 0; i < frequency.size(); ++i) {
        const float angle = static_cast<float>(first_position + row) * frequency[i];
        std::tie(turn.cos(row, i), turn.sin(row, i)) = cos_sin(angle);
      }
  });
  return turn;
}

/// x [rows, heads*dh] -> same shape; row r is turned by row r of the rotation.
inline Matrix rotate(Matrix x, const Rotation& turn) {
  const Index half = turn.cos.cols(), head_dim = 2 * half;
  check_shape(turn.cos, x.rows(), half, "rotate cos");
  if (x.cols() % head_dim != 0) check_shape(x, -1, head_dim, "rotate x");
  parallel_blocks(x.rows(), 64, [&](Index first, Index count) {
    for (Index row = first; row < first + count; ++row)
      for (Index start = 0; start < x.cols(); start += head_dim) {
        const auto cos = turn.cos.row(row).array(), sin = turn.sin.row(row).array();
        auto a = x.row(row).segment(start, half).array(), b = x.row(row).segment(start + half, half).array();
        const auto turned_a = (a * cos - b * sin).eval();
        b = b * cos + a * sin;
        a = turned_a;
      }
  });
  return x;
}

}  // namespace t5gemma2
