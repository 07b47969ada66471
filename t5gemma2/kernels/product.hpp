// Matrix products of float32 rows with rows as they are stored (simd/product.inl):
//
//   multiply_transposed   y = x W^T       W's rows as in the checkpoint (linear layers), or keys (scores)
//   multiply_add          y = y + x V     values
//
// A number of y is the same whichever other rows are multiplied with it, except that up to few_rows rows, those
// of a decoding step, are summed in another order.
#pragma once
#include <tuple>

#include "../tensor.hpp"
#include "simd.hpp"

namespace t5gemma2 {

using Rows = Eigen::Ref<const Matrix>;  // rows that may be a block of wider ones

/// y [rows, outputs] = x [rows, depth] W^T, W [outputs, depth]; W's rows are `stride` numbers apart.
template <class Stored>
void multiply_transposed(const Rows& x, const Stored* W, Index stride, Eigen::Ref<Matrix> y) {
  const auto multiply = std::get<MultiplyTransposed<Stored>>(simd().multiply_transposed);
  multiply(x.rows(), x.cols(), y.cols(), x.data(), x.outerStride(), W, stride, y.data(), y.outerStride());
}

/// y [rows, cols] += x [rows, depth] V [depth, cols].
inline void multiply_add(const Rows& x, const Rows& V, Eigen::Ref<Matrix> y) {
  simd().multiply_add(x.rows(), x.cols(), y.cols(), x.data(), x.outerStride(), V.data(), V.outerStride(),
                      y.data(), y.outerStride());
}

}  // namespace t5gemma2
