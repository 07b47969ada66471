// GeGLU feed-forward (paper §2, "Gemma 3 building block"; Shazeer 2020):
//
//   y = (gelu(x Wgate^T) * (x Wup^T)) Wdown^T        x, y [rows, d]
//
//   Wgate, Wup [intermediate_size, d], Wdown [d, intermediate_size]; * is elementwise
//
// The paper leaves out the form of gelu:
//
//   gelu(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2MLP; activations.py GELUTanh
#pragma once
#include <cmath>
#include <utility>

#include "kernels/parallel.hpp"
#include "kernels/simd.hpp"
#include "linear.hpp"
#include "tensor.hpp"
#include "trace.hpp"

namespace t5gemma2 {

struct FeedForward {
  Weight gate_proj;  // [intermediate_size, d]   mlp.gate_proj.weight
  Weight up_proj;    // [intermediate_size, d]   mlp.up_proj.weight
  Weight down_proj;  // [d, intermediate_size]   mlp.down_proj.weight
};

/// The plain form of gelu_tanh.
inline Matrix plain_gelu_tanh(const Matrix& x) {
  return x.unaryExpr([](float v) {
    constexpr float sqrt_two_over_pi = 0.7978845608028654f;
    return v / 2 * (1 + std::tanh(sqrt_two_over_pi * (v + 0.044715f * v * v * v)));
  });
}

/// gelu, elementwise; x of any shape.
inline Matrix gelu_tanh(Matrix x) {
  parallel_blocks(x.size(), 4096,
                  [&](Index first, Index count) { simd().gelu_tanh(count, x.data() + first); });
  return x;
}

/// Throws std::invalid_argument naming the matrix unless w takes rows of d numbers.
inline void check(const FeedForward& w, Index d) {
  check(w.gate_proj, -1, d, "gate_proj");
  check(w.up_proj, w.gate_proj.rows, d, "up_proj");
  check(w.down_proj, d, w.gate_proj.rows, "down_proj");
}

/// x * y, elementwise; both of one shape.
inline Matrix elementwise_product(Matrix x, const Matrix& y) {
  check_shape(y, x.rows(), x.cols(), "elementwise_product y");
  parallel_rows(x.rows(), 16, [&](Index row) { x.row(row).array() *= y.row(row).array(); });
  return x;
}

/// x [rows, d] -> [rows, d]. Throws std::invalid_argument where w is incomplete or shapes do not fit.
inline Matrix feed_forward(const FeedForward& w, const Matrix& x, const Tap& tap = {}) {
  check(w, x.cols());
  Matrix gate = tap("act_fn", gelu_tanh(tap("gate_proj", linear(x, w.gate_proj))));
  gate = elementwise_product(std::move(gate), tap("up_proj", linear(x, w.up_proj)));
  return tap("down_proj", linear(gate, w.down_proj));
}

}  // namespace t5gemma2
