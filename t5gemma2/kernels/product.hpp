// Matrix products of float32 rows with rows as they are stored (simd/product.inl):
//
//   multiply_transposed   y = x W^T       W's rows as in the checkpoint (linear layers), or keys (scores)
//   multiply_split        y = x W^T       in bfloat16, where the processor multiplies it (simd/split.inl)
//   multiply_int8         y = x W^T       both in blocks of whole numbers (blocks.hpp)
//   multiply_add          y = y + x V     values
//
// A number of y is the same whichever other rows are multiplied with it, except that up to few_rows rows, those
// of a decoding step, are summed in another order.
#pragma once
#include <algorithm>
#include <cstdint>
#include <tuple>

#include "../tensor.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace t5gemma2 {

using Rows = Eigen::Ref<const Matrix>;  // rows that may be a block of wider ones

/// y [rows, outputs] = x [rows, depth] W^T, W [outputs, depth]; W's rows are `stride` numbers apart.
template <class Stored>
void multiply_transposed(const Rows& x, const Stored* W, Index stride, Eigen::Ref<Matrix> y) {
  const auto multiply = std::get<MultiplyTransposed<Stored>>(simd().multiply_transposed);
  multiply(x.rows(), x.cols(), y.cols(), x.data(), x.outerStride(), W, stride, y.data(), y.outerStride());
}

/// Rows of x in blocks of 16-bit numbers.
struct Int16Rows {
  Eigen::Matrix<std::int16_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>
      numbers;    // [rows, blocks * 32]
  Matrix scales;  // [rows, blocks]

  explicit Int16Rows(const Matrix& x)
      : numbers(x.rows(), blocks_of(x.cols()) * block_size), scales(x.rows(), blocks_of(x.cols())) {
    parallel_rows(x.rows(), 64, [&](Index row) {
      simd().to_int16_blocks(x.cols(), x.row(row).data(), numbers.row(row).data(), scales.row(row).data());
    });
  }
};

/// y [rows, outputs] = x W^T for rows [first_row, first_row + rows) of x; W [outputs, x's blocks].
inline void multiply_int8(const Int16Rows& x, Index first_row, const Int8Block* W, Eigen::Ref<Matrix> y) {
  simd().multiply_int8(y.rows(), x.scales.cols(), y.cols(), x.numbers.row(first_row).data(),
                       x.scales.row(first_row).data(), W, y.data(), y.outerStride());
}

/// Rows of x as sums of parts in bfloat16.
struct RowParts {
  Index parts, steps;
  Eigen::Matrix<std::uint16_t, Eigen::Dynamic, 1> tiles;

  RowParts(const Matrix& x, Index parts_of_x, const SimdKernels& kernels = simd())
      : parts(parts_of_x),
        steps((x.cols() + tile_depth - 1) / tile_depth),
        tiles((x.rows() + 31) / 32 * 2 * steps * parts * tile_size) {
    tiles.tail(std::min(tiles.size(), 2 * steps * parts * tile_size)).setZero();  // rows that are not there
    parallel_rows(x.rows(), 64, [&](Index row) {
      std::uint16_t* const tile = tiles.data() + row / 16 * steps * parts * tile_size;
      kernels.split_row(x.cols(), x.row(row).data(), parts, tile + row % 16 * tile_depth);
    });
  }

  /// Those from `row`, a multiple of 32, on.
  SplitRows from(Index row) const { return SplitRows{tiles.data(), parts, steps}.from(row); }
};

/// y [rows, outputs] = x W^T for rows [first_row, first_row + rows) of x, first_row a multiple of 32; W [outputs,
/// depth].
inline void multiply_split(const RowParts& x, Index first_row, const BFloat16* W, Index depth,
                           Eigen::Ref<Matrix> y) {
  simd().multiply_split(y.rows(), depth, y.cols(), x.from(first_row), W, depth, y.data(), y.outerStride());
}

/// y [rows, cols] += x [rows, depth] V [depth, cols].
inline void multiply_add(const Rows& x, const Rows& V, Eigen::Ref<Matrix> y) {
  simd().multiply_add(x.rows(), x.cols(), y.cols(), x.data(), x.outerStride(), V.data(), V.outerStride(),
                      y.data(), y.outerStride());
}

}  // namespace t5gemma2
