// Attention over blocks of queries: the engine's form of equation 4. It skips the keys that are visible to no
// query of a block, and holds the scores of one block per thread. Keys may come in several segments, all in
// one softmax.
//
// A mask is a predicate mask(query row, key row) with a function visible_keys(mask, first, last, keys) beside
// it: a range {begin, end} that contains every key visible to any of the queries first .. last (../mask.hpp).
#pragma once
#include <algorithm>
#include <limits>

#include "../config.hpp"
#include "../tensor.hpp"
#include "functions.hpp"
#include "parallel.hpp"
#include "product.hpp"

namespace t5gemma2 {

/// Keys and values with their mask.
template <class Mask>
struct KeySegment {
  Rows K, V;  // [keys, kv heads*dh]
  Mask mask;

  /// The range of keys to compute. It begins at a multiple of 16, so that a skipped key does not move the
  /// others to another of the 16 lanes of the softmax's sum.
  auto visible(Index first_query, Index last_query) const {
    auto range = visible_keys(mask, first_query, last_query, K.rows());
    range.begin = range.begin / 16 * 16;
    return range;
  }
};
template <class Keys, class Values, class Mask>
KeySegment(const Keys&, const Values&, Mask) -> KeySegment<Mask>;

namespace kernel {

/// Scores x K^T * scale of the keys `range` of a segment; -infinity where the mask is false. x
/// [count*group, dh] are the rows of queries `first`, first + 1, ..., query by query; `col` is the
/// key/value head's first column.
template <class Mask, class Range>
void masked_scores(const Matrix& x, Index first, Index group, float scale, const KeySegment<Mask>& keys,
                   const Range& range, Index col, Eigen::Ref<Matrix> scores) {
  multiply_transposed(x, keys.K.data() + range.begin * keys.K.outerStride() + col, keys.K.outerStride(),
                      scores);
  for (Index row = 0; row < scores.rows(); ++row)
    for (Index i = 0; i < scores.cols(); ++i) {
      const bool visible = keys.mask(first + row / group, range.begin + i);
      scores(row, i) = visible ? scores(row, i) * scale : -std::numeric_limits<float>::infinity();
    }
}

/// One block of queries for one key/value head: x as in masked_scores -> its rows of A.
template <class... Mask>
Matrix attend_block(const Matrix& x, Index first, Index kv_head, const Heads& heads, float scale,
                    const KeySegment<Mask>&... segments) {
  const Index last = first + x.rows() / heads.group() - 1, col = kv_head * heads.dim;
  Matrix S(x.rows(), (segments.visible(first, last).size() + ...));
  const auto for_each_segment = [&](const auto& visit) {  // with its columns of S
    Index begin = 0;
    const auto of = [&](const auto& keys) {
      const auto range = keys.visible(first, last);
      if (range.size() > 0) visit(keys, range, S.middleCols(begin, range.size()));
      begin += range.size();
    };
    (of(segments), ...);
  };
  for_each_segment([&](const auto& keys, const auto& range, auto scores) {
    masked_scores(x, first, heads.group(), scale, keys, range, col, scores);
  });
  for (auto&& row : S.rowwise()) softmax(row.data(), row.size());
  Matrix A = Matrix::Zero(x.rows(), heads.dim), part(x.rows(), heads.dim);
  for_each_segment([&](const auto& keys, const auto& range, auto probabilities) {
    multiply(probabilities, keys.V.block(range.begin, col, range.size(), heads.dim), part);
    A += part;
  });
  return A;
}

/// The number of queries in a block. Each makes a row of scores per query head of the group; a block has at
/// most 256 rows, fewer where there are many keys, so that its scores stay within 16 MB.
inline Index query_block(const Heads& heads, Index keys) {
  constexpr Index rows = 256, scores = Index{1} << 22;
  return std::max<Index>(1, std::min(rows, scores / std::max<Index>(keys, 1)) / heads.group());
}

/// Q [m, query heads*dh] over the keys of all segments -> A [m, query heads*dh]. The caller checks shapes.
template <class... Mask>
Matrix attention_in_blocks(const Matrix& Q, const Heads& heads, float scale,
                           const KeySegment<Mask>&... segments) {
  const Index block = query_block(heads, (segments.K.rows() + ...));
  const Index blocks = (Q.rows() + block - 1) / block, group_cols = heads.group() * heads.dim;
  Matrix A(Q.rows(), Q.cols());
  parallel_tasks(blocks * heads.kv, [&](Index task) {
    const Index first = task / heads.kv * block, count = std::min(block, Q.rows() - first);
    const Index kv_head = task % heads.kv;
    const auto heads_of = [&](auto& x) { return x.block(first, kv_head * group_cols, count, group_cols); };
    const Matrix x = heads_of(Q).template reshaped<Eigen::RowMajor>(count * heads.group(), heads.dim);
    const Matrix a = attend_block(x, first, kv_head, heads, scale, segments...);
    heads_of(A) = a.template reshaped<Eigen::RowMajor>(count, group_cols);
  });
  return A;
}

}  // namespace kernel

}  // namespace t5gemma2
