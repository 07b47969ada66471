// Linear layer without bias:
//
//   y = x W^T        x [rows, in], W [out, in] as stored, y [rows, out]
//
// Two forms of torch.nn.Linear, equal up to rounding: plain_linear copies all of W to float32 first; linear
// converts a few rows of W at a time, in the processor's cache (kernels/product.hpp).
#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/parallel.hpp"
#include "kernels/product.hpp"
#include "kernels/stored_numbers.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// Throws std::invalid_argument unless W is set: the address of stored numbers, with sizes.
inline void check(const Weight& W, const char* name) {
  check_argument(W.data != nullptr, name, "a stored matrix", "none");
  check_argument(W.type != StorageType{}, name, "a storage type", "none");
  check_argument(W.rows >= 0, name, "0 rows or more", W.rows);
  check_argument(W.cols >= 0, name, "0 columns or more", W.cols);
  const auto address = reinterpret_cast<std::uintptr_t>(W.data);
  const bool aligned = address % static_cast<std::uintptr_t>(bytes_of(W.type)) == 0;
  check_argument(aligned, name,
                 W.type == StorageType::float32 ? "an address at a multiple of 4 bytes"
                                                : "an address at a multiple of 2 bytes",
                 "one that is not");
}

/// The same, and unless W is [rows, cols]; -1 stands for any.
inline void check(const Weight& W, Index rows, Index cols, const char* name) {
  check_shape(W, rows, cols, name);
  check(W, name);
}

/// Rows [first, first + count) of W, copied to float32 [count, W.cols]. Throws std::invalid_argument where W
/// has no such rows.
inline Matrix to_matrix(const Weight& W, Index first, Index count) {
  check(W, "to_matrix W");
  check_argument(first >= 0 && first <= W.rows, "to_matrix first", "a row of W", first);
  check_argument(count >= 0 && count <= W.rows - first, "to_matrix count", "a number of rows of W", count);
  Matrix rows(count, W.cols);
  with_stored_numbers(W.data, W.type, [&](const auto* stored) {
    const auto* from = stored + first * W.cols;
    for (Index i = 0; i < rows.size(); ++i) rows.data()[i] = to_float(from[i]);
  });
  return rows;
}

/// The plain form: x [rows, in], W [out, in] -> [rows, out]. Throws std::invalid_argument where W is not set
/// or shapes do not fit.
inline Matrix plain_linear(const Matrix& x, const Weight& W) {
  check(W, "linear W");
  check_shape(x, -1, W.cols, "linear x");
  return x * to_matrix(W, 0, W.rows).transpose();
}

/// x [rows, in], W [out, in] -> [rows, out]. Throws as plain_linear does.
inline Matrix linear(const Matrix& x, const Weight& W) {
  check(W, "linear W");
  check_shape(x, -1, W.cols, "linear x");
  const Index rows = 512, outputs = x.rows() > few_rows ? 64 : 128;  // of one task
  const Index row_blocks = (x.rows() + rows - 1) / rows, output_blocks = (W.rows + outputs - 1) / outputs;
  Matrix y(x.rows(), W.rows);
  with_stored_numbers(W.data, W.type, [&](const auto* stored) {
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
