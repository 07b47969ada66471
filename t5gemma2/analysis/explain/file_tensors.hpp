// Tensors of a reference file in the layout of ours: [rows, columns], heads beside each other.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "../../checkpoint/safetensors.hpp"
#include "../../tensor.hpp"

namespace t5gemma2 {

namespace file_tensors_detail {

/// x [heads*rows, dh] -> [rows, heads*dh]
inline Matrix unstacked(const Matrix& x, Index heads) {
  const Index rows = x.rows() / heads;
  Matrix y(rows, heads * x.cols());
  for (Index head = 0; head < heads; ++head)
    y.middleCols(head * x.cols(), x.cols()) = x.middleRows(head * rows, rows);
  return y;
}

/// x [rows, heads*dh] -> [heads*rows, dh]
inline Matrix stacked(const Matrix& x, Index heads) {
  const Index dh = x.cols() / heads;
  Matrix y(heads * x.rows(), dh);
  for (Index head = 0; head < heads; ++head)
    y.middleRows(head * x.rows(), x.rows()) = x.middleCols(head * dh, dh);
  return y;
}

}  // namespace file_tensors_detail

/// A tensor stored as [1, rows, cols] or, head by head, as [1, heads, rows, cols / heads] -> [rows, cols]; with
/// `stacked`, one stored as [1, heads, rows / heads, cols]. None where it is of another shape, or holds what is no
/// finite number.
inline std::optional<Matrix> matrix_of(const StoredTensor& tensor, Index rows, Index cols, bool stacked) {
  const std::vector<Index>& shape = tensor.shape;
  if (!storage_type(tensor.dtype) || shape.size() < 3 || shape.size() > 4 || shape[0] != 1) return {};
  const bool by_head = shape.size() == 4;
  const Index heads = by_head ? shape[1] : 1;
  if (rows == 0 || cols == 0 || heads == 0) return {};
  const bool fits = stacked ? by_head && heads * shape[2] == rows && shape[3] == cols
                            : shape[shape.size() - 2] == rows && heads * shape.back() == cols;
  if (!fits) return {};
  const Vector numbers = to_vector(tensor);
  if (!numbers.allFinite()) return {};
  const Matrix x = Eigen::Map<const Matrix>(numbers.data(), numbers.size() / shape.back(), shape.back());
  return by_head && !stacked ? file_tensors_detail::unstacked(x, heads) : x;
}

}  // namespace t5gemma2
