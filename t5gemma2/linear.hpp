// Linear layer without bias:
//
//   y = x W^T        x [rows, in], W [out, in] as stored, y [rows, out]
//
// and, where an adapter of low rank r changes W (LoRA, Hu et al. 2021), W as it is stored stays where it is:
//
//   y = x W^T + s (x A^T) B^T        A [r, in], B [out, r]        = x (W + s B A)^T
//
// Two forms of torch.nn.Linear, equal up to rounding: plain_linear copies all of W to float32 first; linear
// converts a few rows of W at a time, in the processor's cache (kernels/product.hpp).
//
// Where W's numbers are not those of the checkpoint (precision.hpp), y is that of the rounded W; x is
// rounded to bfloat16 where W asks for it, and meets 8-bit blocks of W in 16-bit blocks. Adapters are not rounded.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
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
  const bool aligned = address % static_cast<std::uintptr_t>(alignment_of(W.type)) == 0;
  check_argument(aligned, name,
                 W.type == StorageType::float32 ? "an address at a multiple of 4 bytes"
                                                : "an address at a multiple of 2 bytes",
                 "one that is not");
  for (const auto& change : W.changes) {
    check_shape(change->A, -1, W.cols, name);
    check_shape(change->B, W.rows, change->A.rows(), name);
    check_argument(std::isfinite(change->scale), name, "a change with a scale", change->scale);
  }
}

/// The same, and unless W is [rows, cols]; -1 stands for any.
inline void check(const Weight& W, Index rows, Index cols, const char* name) {
  check_shape(W, rows, cols, name);
  check(W, name);
}

/// Rows [first, first + count) of W as it is stored, copied to float32 [count, W.cols]. Throws std::invalid_argument
/// where W has no such rows.
inline Matrix stored_rows(const Weight& W, Index first, Index count) {
  check(W, "stored_rows W");
  check_argument(first >= 0 && first <= W.rows, "stored_rows first", "a row of W", first);
  check_argument(count >= 0 && count <= W.rows - first, "stored_rows count", "a number of rows of W", count);
  Matrix rows(count, W.cols);
  if (W.type == StorageType::int8_blocks) {
    const Index blocks = blocks_of(W.cols);
    const auto* from = reinterpret_cast<const Int8Block*>(W.data) + first * blocks;
    for (Index row = 0; row < count; ++row, from += blocks)
      for (Index k = 0; k < W.cols; ++k) rows(row, k) = from[k / block_size][k % block_size];
    return rows;
  }
  with_stored_numbers(W.data, W.type, [&](const auto* stored) {
    const auto* from = stored + first * W.cols;
    for (Index i = 0; i < rows.size(); ++i) rows.data()[i] = to_float(from[i]);
  });
  return rows;
}

/// The same rows of what its adapters add to W, the sum of s B A.
inline Matrix changed_rows(const Weight& W, Index first, Index count) {
  Matrix rows = Matrix::Zero(count, W.cols);
  for (const auto& change : W.changes)
    rows += change->scale * (change->B.middleRows(first, count) * change->A);
  return rows;
}

/// The same rows of what W stands for.
inline Matrix to_matrix(const Weight& W, Index first, Index count) {
  Matrix rows = stored_rows(W, first, count);
  if (!W.changes.empty()) rows += changed_rows(W, first, count);
  return rows;
}

/// The nearest bfloat16 to each number of x.
inline Matrix rounded_to_bfloat16(const Matrix& x) {
  return x.unaryExpr([](float number) { return to_float(BFloat16(number)); });
}

/// The plain form: x [rows, in], W [out, in] -> [rows, out]. Throws std::invalid_argument where W is not set
/// or shapes do not fit.
inline Matrix plain_linear(const Matrix& x, const Weight& W) {
  check(W, "linear W");
  check_shape(x, -1, W.cols, "linear x");
  const Matrix y = (W.rounds_x ? rounded_to_bfloat16(x) : x) * stored_rows(W, 0, W.rows).transpose();
  return W.changes.empty() ? y : y + x * changed_rows(W, 0, W.rows).transpose();
}

namespace linear_detail {

inline Index divide_up(Index size, Index part) { return (size + part - 1) / part; }

/// The outputs of a part of y. Few rows take long runs of W, which memory delivers faster, as many for each
/// thread: multiples of most_streams, so that no number depends on where parts begin.
inline Index part_outputs(Index rows, Index outputs) {
  if (rows > few_rows) return 64;
  const Index parts = divide_up(std::max<Index>(1, divide_up(outputs, 320)), threads()) * threads();
  return std::max<Index>(1, divide_up(divide_up(outputs, parts), most_streams)) * most_streams;
}

/// y in parts, in parallel: part(first row, first output, that part of y).
template <class Part>
Matrix in_parts(Index rows, Index outputs, const Part& part) {
  const Index most_rows = 512, most_outputs = part_outputs(rows, outputs);
  const Index last =
      std::max<Index>(0, (rows - few_rows - 1) / most_rows);  // few rows are no part of their own
  const Index row_parts = rows > 0 ? last + 1 : 0;
  Matrix y(rows, outputs);
  parallel_tasks(row_parts * divide_up(outputs, most_outputs), [&](Index task) {
    const Index number = task % row_parts, row = number * most_rows, out = task / row_parts * most_outputs;
    const Index count = number == last ? rows - row : most_rows;
    Eigen::Ref<Matrix> y_part = y.block(row, out, count, std::min(most_outputs, outputs - out));
    part(row, out, y_part);
  });
  return y;
}

inline Matrix multiply(const Matrix& x, const Weight& W) {
  Matrix y;
  with_stored_numbers(W.data, W.type, [&](const auto* stored) {
    y = in_parts(x.rows(), W.rows, [&](Index row, Index out, Eigen::Ref<Matrix>& part) {
      multiply_transposed(x.middleRows(row, part.rows()), stored + out * W.cols, W.cols, part);
    });
  });
  return y;
}

inline Matrix multiply(const Int16Rows& x, const Weight& W) {
  const auto* stored = reinterpret_cast<const Int8Block*>(W.data);
  return in_parts(x.scales.rows(), W.rows, [&](Index row, Index out, Eigen::Ref<Matrix>& part) {
    multiply_int8(x, row, stored + out * blocks_of(W.cols), part);
  });
}

inline Matrix multiply(const RowParts& x, Index rows, const Weight& W) {
  const auto* stored = reinterpret_cast<const BFloat16*>(W.data);
  return in_parts(rows, W.rows, [&](Index row, Index out, Eigen::Ref<Matrix>& part) {
    multiply_split(x, row, stored + out * W.cols, W.cols, part);
  });
}

/// Whether the processor multiplies x, in so many parts, by W in tiles. Few rows do not fill them; with more rows
/// than that, numbers may not depend on how many there are (kernels/product.hpp).
inline bool takes_tiles(const Matrix& x, Index parts, const Weight& W) {
  return parts <= simd().most_parts && W.type == StorageType::bfloat16 && x.rows() > few_rows && x.cols() > 0;
}

/// rounded_to_bfloat16, in parallel.
inline Matrix rounded(Matrix x) {
  parallel_rows(x.rows(), 64, [&](Index row) { simd().round_to_bfloat16(x.cols(), x.row(row).data()); });
  return x;
}

/// x W^T of W as it is stored.
inline Matrix product(const Matrix& x, const Weight& W) {
  if (W.type == StorageType::int8_blocks) return multiply(Int16Rows(x), W);
  const Index parts = W.rounds_x ? 1 : 3;
  if (takes_tiles(x, parts, W)) return multiply(RowParts(x, parts), x.rows(), W);
  if (W.rounds_x) return multiply(rounded(x), W);
  return multiply(x, W);
}

/// A matrix of ours as one that is stored.
inline Weight view(const Matrix& x) {
  return {reinterpret_cast<const std::byte*>(x.data()), StorageType::float32, x.rows(), x.cols()};
}

/// s (x A^T) B^T
inline Matrix changed(const Matrix& x, const LowRank& change) {
  return change.scale * product(product(x, view(change.A)), view(change.B));
}

}  // namespace linear_detail

/// x [rows, in], W [out, in] -> [rows, out]. Throws as plain_linear does.
inline Matrix linear(const Matrix& x, const Weight& W) {
  check(W, "linear W");
  check_shape(x, -1, W.cols, "linear x");
  Matrix y = linear_detail::product(x, W);
  for (const auto& change : W.changes) y += linear_detail::changed(x, *change);
  return y;
}

}  // namespace t5gemma2
