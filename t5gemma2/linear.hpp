// Linear layer without bias, the checkpoint's nn.Linear:
//
//   y = x W^T        x [rows, in], W [out, in] as stored, y [rows, out]
//
// W stays where it lies in the mapped file. The plain form copies it to float32 first; the engine's form
// expands a few rows of W at a time, in cache (kernels/product.hpp). Reference: torch.nn.Linear.
#pragma once
#include "kernels/parallel.hpp"
#include "kernels/product.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// Calls use(pointer) with W's first element as the type it is stored in.
template <class Use>
void with_stored(const Weight& W, Use use) {
  switch (W.type) {
    case StorageType::float32:
      return use(reinterpret_cast<const float*>(W.data));
    case StorageType::float16:
      return use(reinterpret_cast<const Float16*>(W.data));
    case StorageType::bfloat16:
      return use(reinterpret_cast<const BFloat16*>(W.data));
  }
}

/// Rows [first, first + count) of W as float32 [count, W.cols].
inline Matrix to_matrix(const Weight& W, Index first, Index count) {
  Matrix rows(count, W.cols);
  with_stored(W, [&](const auto* stored) {
    const auto* from = stored + first * W.cols;
    for (Index i = 0; i < rows.size(); ++i) rows.data()[i] = to_float(from[i]);
  });
  return rows;
}

/// The plain form: x [rows, in], W [out, in] -> [rows, out].
inline Matrix plain_linear(const Matrix& x, const Weight& W) {
  check_shape(x, -1, W.cols, "linear x");
  return x * to_matrix(W, 0, W.rows).transpose();
}

/// x [rows, in], W [out, in] -> [rows, out].
inline Matrix linear(const Matrix& x, const Weight& W) {
  check_shape(x, -1, W.cols, "linear x");
  check_argument(W.data || W.rows * W.cols == 0, "linear W", "a stored matrix", "none");
  constexpr Index rows = 192, outputs = 128;  // of one task
  const Index row_blocks = (x.rows() + rows - 1) / rows, output_blocks = (W.rows + outputs - 1) / outputs;
  Matrix y(x.rows(), W.rows);
  with_stored(W, [&](const auto* stored) {
    parallel_tasks(row_blocks * output_blocks, [&](Index task) {
      const Index row = task % row_blocks * rows, out = task / row_blocks * outputs;
      const Index row_count = std::min(rows, x.rows() - row), out_count = std::min(outputs, W.rows - out);
      multiply_transposed(x.middleRows(row, row_count), stored + out * W.cols, W.cols,
                          y.block(row, out, row_count, out_count));
    });
  });
  return y;
}

}  // namespace t5gemma2
