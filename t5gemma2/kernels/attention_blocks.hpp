// Attention block by block: the engine's form of equation 4. A block of queries meets its keys tile by tile, in
// an online softmax (simd/softmax.inl), so that no more than one tile of scores exists; keys that are visible
// to no query of a block are skipped. Keys may come in several segments, all in one softmax.
//
// A mask is a predicate mask(query row, key row) with functions visible_keys and all_visible (../mask.hpp).
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "../config.hpp"
#include "../tensor.hpp"
#include "parallel.hpp"
#include "product.hpp"

namespace t5gemma2 {

/// Keys and values with their mask.
template <class Mask>
struct KeySegment {
  Rows K, V;  // [keys, kv heads*dh]
  Mask mask;
};
template <class Keys, class Values, class Mask>
KeySegment(const Keys&, const Values&, Mask) -> KeySegment<Mask>;

namespace kernel {

constexpr Index block_rows = 96, tile_keys = 128, chunk_keys = 512;

/// The queries of one task, for one key/value head: query by query a row for each query head of the group.
struct QueryBlock {
  Matrix x;  // [queries*group, dh]
  Index first, last, group;
};

/// Equation 4 over some of the keys, for the rows of a block: A [rows, dh] = sum of e^(scale (score - max)) V,
/// and the sum of its weights [rows].
struct PartialAttention {
  Matrix A;
  Vector max, sums;

  PartialAttention(Index rows, Index dim)
      : A(Matrix::Zero(rows, dim)),
        max(Vector::Constant(rows, -std::numeric_limits<float>::infinity())),
        sums(Vector::Zero(rows)) {}

  /// Adds the other keys' part.
  void add(const PartialAttention& other, float scale) {
    for (Index row = 0; row < A.rows(); ++row) {
      const float largest = std::max(max[row], other.max[row]);
      const auto factor = [&](float from) { return from == largest ? 1 : std::exp(scale * (from - largest)); };
      const float ours = factor(max[row]), others = factor(other.max[row]);
      A.row(row) = ours * A.row(row) + others * other.A.row(row);
      sums[row] = ours * sums[row] + others * other.sums[row];
      max[row] = largest;
    }
  }
};

/// Adds the keys `range` of a segment; `col` is the key/value head's first column.
template <class Mask>
void attend(const QueryBlock& block, float scale, const KeySegment<Mask>& keys, const KeyRange& range,
            Index col, PartialAttention& done) {
  const Index rows = block.x.rows(), dim = block.x.cols();
  Matrix S(rows, tile_keys);
  for (Index begin = range.begin; begin < range.end; begin += tile_keys) {
    const KeyRange tile{begin, std::min(begin + tile_keys, range.end)};
    auto scores = S.leftCols(tile.size());
    multiply_transposed(block.x, keys.K.data() + begin * keys.K.outerStride() + col, keys.K.outerStride(), scores);
    if (!all_visible(keys.mask, block.first, block.last, tile))
      for (Index row = 0; row < rows; ++row)
        for (Index i = 0; i < tile.size(); ++i)
          if (!keys.mask(block.first + row / block.group, begin + i))
            scores(row, i) = -std::numeric_limits<float>::infinity();
    simd().softmax_tile(rows, tile.size(), scale, S.data(), tile_keys, done.max.data(), done.sums.data(),
                        done.A.data(), dim);
    multiply_add(scores, keys.V.block(begin, col, tile.size(), dim), done.A);
  }
}

/// Of the keys of all segments, one after the other, those of `part`.
template <class... Mask>
PartialAttention attend_part(const QueryBlock& block, float scale, const KeyRange& part, Index col,
                             const KeySegment<Mask>&... segments) {
  PartialAttention done(block.x.rows(), block.x.cols());
  Index first = 0;  // the first key of a segment among all
  const auto add = [&](const auto& keys) {
    const KeyRange visible = visible_keys(keys.mask, block.first, block.last, keys.K.rows());
    attend(block, scale, keys,
           {std::max(visible.begin, part.begin - first), std::min(visible.end, part.end - first)}, col, done);
    first += keys.K.rows();
  };
  (add(segments), ...);
  return done;
}

/// All keys for the rows of a block, in chunks of `chunk` keys that threads may share -> A [rows, dh].
template <class... Mask>
Matrix attend_block(const QueryBlock& block, float scale, Index chunk, Index col,
                    const KeySegment<Mask>&... segments) {
  const Index keys = (segments.K.rows() + ...);
  std::vector<PartialAttention> parts(static_cast<std::size_t>((keys + chunk - 1) / chunk), {0, 0});
  parallel_tasks(std::ssize(parts), [&](Index i) {
    const KeyRange part{i * chunk, std::min((i + 1) * chunk, keys)};
    parts[static_cast<std::size_t>(i)] = attend_part(block, scale, part, col, segments...);
  });
  PartialAttention& all = parts.front();
  for (std::size_t i = 1; i < parts.size(); ++i) all.add(parts[i], scale);
  return all.A.array().colwise() / all.sums.array();
}

/// Q [m, query heads*dh] over the keys of all segments -> A [m, query heads*dh]. The caller checks shapes. Threads
/// share the blocks of queries; of a single block, as in decoding, the keys.
template <class... Mask>
Matrix attention_in_blocks(const Matrix& Q, const Heads& heads, float scale,
                           const KeySegment<Mask>&... segments) {
  const Index queries = std::max<Index>(1, block_rows / heads.group());
  const Index blocks = (Q.rows() + queries - 1) / queries, group_cols = heads.group() * heads.dim;
  const Index chunk = blocks > 1 ? (segments.K.rows() + ...) : chunk_keys;
  Matrix A(Q.rows(), Q.cols());
  parallel_tasks(blocks * heads.kv, [&](Index task) {
    const Index first = task / heads.kv * queries, count = std::min(queries, Q.rows() - first);
    const Index kv_head = task % heads.kv;
    const auto heads_of = [&](auto& x) { return x.block(first, kv_head * group_cols, count, group_cols); };
    const QueryBlock block{heads_of(Q).template reshaped<Eigen::RowMajor>(count * heads.group(), heads.dim),
                           first, first + count - 1, heads.group()};
    const Matrix a = attend_block(block, scale, chunk, kv_head * heads.dim, segments...);
    heads_of(A) = a.template reshaped<Eigen::RowMajor>(count, group_cols);
  });
  return A;
}

}  // namespace kernel

}  // namespace t5gemma2
