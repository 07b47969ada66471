// Matrix products of float32 rows with rows as they are stored: the only code that uses vector registers.
//
//   multiply_transposed   y = x W^T     W's rows as in the checkpoint (linear layers), or keys (scores)
//   multiply              y = x V       values
//
// Every sum over the depth is one chain of fused multiply-adds in order, as in the BLAS that the reference
// runs on, so that equal inputs are rounded as in the reference. The exception is the few rows of a decoding
// step, which are bound by memory: there each weight is read once and its products are summed in 32 lanes.
#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "../tensor.hpp"
#include "stored_numbers.hpp"

namespace t5gemma2 {

using Rows = Eigen::Ref<const Matrix>;  // rows that may be a block of wider ones

namespace kernel {

using Packet = Eigen::internal::packet_traits<float>::type;  // one vector register
constexpr Index packet_size = sizeof(Packet) / sizeof(float);
constexpr Index panel_cols = 2 * packet_size;
constexpr Index few_rows = 4;

/// The sum of stored[i] * x[i] in 32 lanes.
template <class Stored>
float dot(const Stored* stored, const float* x, Index size) {
  constexpr std::size_t lanes = 32;
  std::array<float, lanes> sums{};
  Index i = 0;
  for (; i + Index{lanes} <= size; i += Index{lanes})
#pragma GCC unroll 32
    for (std::size_t lane = 0; lane < lanes; ++lane)
      sums[lane] += to_float(stored[i + static_cast<Index>(lane)]) * x[i + static_cast<Index>(lane)];
  float total = 0;
  for (const float sum : sums) total += sum;
  for (; i < size; ++i) total += to_float(stored[i]) * x[i];
  return total;
}

/// y [R, cols] = x [R, depth] * panel [depth, panel_cols], of which cols columns are kept.
template <int R>
void multiply_tile(const float* x, Index x_stride, const float* panel, Index panel_stride, Index depth,
                   float* y, Index y_stride, Index cols) {
  using namespace Eigen::internal;
  Packet low[R], high[R];
  for (int r = 0; r < R; ++r) low[r] = high[r] = pset1<Packet>(0.0f);
  for (Index k = 0; k < depth; ++k) {
    const float* row = panel + k * panel_stride;
    const Packet panel_low = ploadu<Packet>(row), panel_high = ploadu<Packet>(row + packet_size);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const Packet factor = pset1<Packet>(x[r * x_stride + k]);
      low[r] = pmadd(factor, panel_low, low[r]);
      high[r] = pmadd(factor, panel_high, high[r]);
    }
  }
  for (int r = 0; r < R; ++r) {
    float sums[panel_cols];
    pstoreu(sums, low[r]);
    pstoreu(sums + packet_size, high[r]);
    std::copy_n(sums, cols, y + r * y_stride);
  }
}

/// y = x * panel for any number of rows, six at a time. y is a block [x.rows, at most panel_cols].
inline void multiply_panel(const Rows& x, const float* panel, Index panel_stride, Eigen::Ref<Matrix> y) {
  Index row = 0;
  const auto tile = [&]<int R>() {
    multiply_tile<R>(x.row(row).data(), x.outerStride(), panel, panel_stride, x.cols(), y.row(row).data(),
                     y.outerStride(), y.cols());
    row += R;
  };
  while (row + 6 <= x.rows()) tile.template operator()<6>();
  while (row + 2 <= x.rows()) tile.template operator()<2>();
  if (row < x.rows()) tile.template operator()<1>();
}

/// A scratch panel [depth, panel_cols] of this thread, filled with zeros.
inline std::vector<float>& scratch_panel(Index depth) {
  thread_local std::vector<float> panel;
  panel.assign(static_cast<std::size_t>(depth * panel_cols), 0.0f);
  return panel;
}

}  // namespace kernel

/// y [rows, outputs] = x [rows, depth] W^T, W [outputs, depth]; W's rows are `stride` numbers apart.
template <class Stored>
void multiply_transposed(const Rows& x, const Stored* W, Index stride, Eigen::Ref<Matrix> y) {
  using namespace kernel;
  if (x.rows() <= few_rows) {
    for (Index out = 0; out < y.cols(); ++out)
      for (Index row = 0; row < x.rows(); ++row)
        y(row, out) = dot(W + out * stride, x.row(row).data(), x.cols());
    return;
  }
  for (Index out = 0; out < y.cols(); out += panel_cols) {
    const Index cols = std::min(panel_cols, y.cols() - out);
    std::vector<float>& panel = scratch_panel(x.cols());
    for (Index col = 0; col < cols; ++col)
      for (Index k = 0; k < x.cols(); ++k)
        panel[static_cast<std::size_t>(k * panel_cols + col)] = to_float(W[(out + col) * stride + k]);
    multiply_panel(x, panel.data(), panel_cols, y.middleCols(out, cols));
  }
}

/// y [rows, cols] = x [rows, depth] V [depth, cols].
inline void multiply(const Rows& x, const Rows& V, Eigen::Ref<Matrix> y) {
  using namespace kernel;
  for (Index col = 0; col < y.cols(); col += panel_cols) {
    const Index cols = std::min(panel_cols, y.cols() - col);
    if (cols == panel_cols) {
      multiply_panel(x, V.data() + col, V.outerStride(), y.middleCols(col, cols));
      continue;
    }
    std::vector<float>& panel = scratch_panel(x.cols());
    for (Index k = 0; k < x.cols(); ++k)
      std::copy_n(V.row(k).data() + col, cols, panel.data() + k * panel_cols);
    multiply_panel(x, panel.data(), panel_cols, y.middleCols(col, cols));
  }
}

}  // namespace t5gemma2
