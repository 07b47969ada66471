// Attention block by block: the engine's form of equation 4. A block of queries meets its keys tile by tile, in
// an online softmax (simd/softmax.inl), so that no more than one tile of scores exists; keys that are visible
// to no query of a block are skipped. Keys may come in several segments, all in one softmax.
//
//   many queries       threads share the blocks of queries; keys are put into panels first
//   one block of them  as in decoding: threads share the keys, which are read where they lie
//
// A mask is a predicate mask(query row, key row) with functions visible_keys and all_visible (../mask.hpp).
#pragma once
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include "../config.hpp"
#include "../tensor.hpp"
#include "key_panels.hpp"
#include "key_range.hpp"
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

constexpr Index block_rows = 96, chunk_keys = 256;

/// The queries of a block.
inline Index block_queries(const Heads& heads) { return std::max<Index>(1, block_rows / heads.group()); }

/// Keys and values in panels, with their mask.
template <class Mask>
struct PanelSegment {
  const KeyPanels& panels;
  Mask mask;
};
template <class Mask>
PanelSegment(const KeyPanels&, Mask) -> PanelSegment<Mask>;

/// The queries of one task, for one key/value head: query by query a row for each query head of the group.
struct QueryBlock {
  Matrix x;  // [queries*group, dh]
  Index first, last, group;
};

/// Equation 4 over some of the keys, for the rows of a block: A = sum of e^(scale (score - max)) V, and the sum
/// of its weights.
struct PartialAttention {
  Matrix A;          // [rows, dh]; wider where panels are
  Vector max, sums;  // [rows]

  PartialAttention(Index rows, Index width)
      : A(Matrix::Zero(rows, width)),
        max(Vector::Constant(rows, -std::numeric_limits<float>::infinity())),
        sums(Vector::Zero(rows)) {}

  /// Adds the part of other keys.
  void add(const PartialAttention& other, float scale) {
    for (Index row = 0; row < A.rows(); ++row) {
      const float largest = std::max(max[row], other.max[row]);
      const auto factor = [&](float from) {
        return from == largest ? 1 : std::exp(scale * (from - largest));
      };
      const float ours = factor(max[row]), others = factor(other.max[row]);
      A.row(row) = ours * A.row(row) + others * other.A.row(row);
      sums[row] = ours * sums[row] + others * other.sums[row];
      max[row] = largest;
    }
  }
};

/// Keys and values of one head where they lie; like KeyPanels::Head.
struct KeysInPlace {
  Rows K, V;  // [keys, dh]

  static constexpr Index alignment = 1;

  void scores(const Matrix& x, const KeyRange& tile, Matrix& S) const {
    multiply_transposed(x, K.row(tile.begin).data(), K.outerStride(), S.leftCols(tile.size()));
  }
  void add_values(const Matrix& S, const KeyRange& tile, Matrix& A) const {
    multiply_add(S.leftCols(tile.size()), V.middleRows(tile.begin, tile.size()), A);
  }
};

/// S = -infinity where the mask hides a key of the tile from a query of the block.
template <class Mask>
void hide(const QueryBlock& block, const Mask& mask, const KeyRange& tile, Matrix& S) {
  if (all_visible(mask, block.first, block.last, tile)) return;
  for (Index row = 0; row < S.rows(); ++row)
    for (Index i = 0; i < tile.size(); ++i)
      if (!mask(block.first + row / block.group, tile.begin + i))
        S(row, i) = -std::numeric_limits<float>::infinity();
}

/// Adds the keys `range` of a segment to `done`.
template <class Keys, class Mask>
void attend(const QueryBlock& block, float scale, const Keys& keys, const Mask& mask, const KeyRange& range,
            PartialAttention& done) {
  Matrix S(block.x.rows(), tile_keys);
  Index begin = range.begin / Keys::alignment * Keys::alignment;
  while (begin < range.end) {
    const KeyRange tile{begin, std::min((begin / tile_keys + 1) * tile_keys, range.end)};
    keys.scores(block.x, tile, S);
    hide(block, mask, tile, S);
    simd().softmax_tile(S.rows(), tile.size(), scale, S.data(), S.cols(), done.max.data(), done.sums.data(),
                        done.A.data(), done.A.cols());
    keys.add_values(S, tile, done.A);
    begin = tile.end;
  }
}

/// Blocks of queries, each with one key/value head: the tasks of an attention.
struct QueryBlocks {
  const Matrix& Q;
  const Heads& heads;
  Index first_query = 0;                 // what masks call the first row of Q
  Index queries = block_queries(heads);  // of a block

  Index blocks() const { return (Q.rows() + queries - 1) / queries; }

  /// The columns of a head's group of query heads, of the queries in a block of Q or A.
  auto part(auto& x, Index block, Index kv_head) const {
    const Index first = block * queries, cols = heads.group() * heads.dim;
    return x.block(first, kv_head * cols, std::min(queries, x.rows() - first), cols);
  }
  QueryBlock read(Index block, Index kv_head) const {
    Matrix x = part(Q, block, kv_head);
    const Index first = first_query + block * queries, last = first + x.rows() - 1;
    x.resize(x.rows() * heads.group(), heads.dim);  // the same numbers in the same order
    return {std::move(x), first, last, heads.group()};
  }
  void write(const PartialAttention& done, Index block, Index kv_head, Matrix& A) const {
    Matrix rows(done.A.rows(), heads.dim);
    for (Index row = 0; row < rows.rows(); ++row)
      rows.row(row) = done.A.row(row).head(heads.dim) / done.sums[row];
    auto to = part(A, block, kv_head);
    rows.resize(to.rows(), to.cols());
    to = rows;
  }
};

/// Many queries: each task attends to all its keys.
template <class... Mask>
void attend_by_queries(const QueryBlocks& Q, float scale, Matrix& A, const PanelSegment<Mask>&... segments) {
  parallel_tasks(Q.blocks() * Q.heads.kv, [&](Index task) {
    const Index number = task / Q.heads.kv, kv_head = task % Q.heads.kv;
    const QueryBlock block = Q.read(number, kv_head);
    PartialAttention done(block.x.rows(), KeyPanels::width(Q.heads.dim));
    const auto add = [&](const auto& segment) {
      const KeyRange visible = visible_keys(segment.mask, block.first, block.last, segment.panels.keys());
      attend(block, scale, segment.panels.head(kv_head), segment.mask, visible, done);
    };
    (add(segments), ...);
    Q.write(done, number, kv_head, A);
  });
}

/// One block of queries: each task attends to chunk_keys of the keys of all segments, one after the other.
template <class... Mask>
void attend_by_keys(const QueryBlocks& Q, float scale, Matrix& A, const KeySegment<Mask>&... segments) {
  const Index keys = (segments.K.rows() + ...), chunks = (keys + chunk_keys - 1) / chunk_keys;
  const Index dim = Q.heads.dim;
  std::vector<PartialAttention> parts(static_cast<std::size_t>(chunks * Q.heads.kv), {0, 0});
  parallel_tasks(std::ssize(parts), [&](Index task) {
    const Index kv_head = task / chunks;
    const QueryBlock block = Q.read(0, kv_head);
    PartialAttention done(block.x.rows(), dim);
    Index begin = task % chunks * chunk_keys;  // counted from the segment's first key
    const auto add = [&](const auto& segment) {
      const KeyRange visible = visible_keys(segment.mask, block.first, block.last, segment.K.rows());
      const KeyRange range{std::max(visible.begin, begin), std::min(visible.end, begin + chunk_keys)};
      if (range.size() > 0) {
        const auto head = [&](const Rows& rows) { return rows.middleCols(kv_head * dim, dim); };
        attend(block, scale, KeysInPlace{head(segment.K), head(segment.V)}, segment.mask, range, done);
      }
      begin -= segment.K.rows();
    };
    (add(segments), ...);
    parts[static_cast<std::size_t>(task)] = std::move(done);
  });
  for (Index kv_head = 0; kv_head < Q.heads.kv; ++kv_head) {
    PartialAttention* all = &parts[static_cast<std::size_t>(kv_head * chunks)];
    for (Index i = 1; i < chunks; ++i) all[0].add(all[i], scale);
    Q.write(all[0], 0, kv_head, A);
  }
}

/// Q [m, query heads*dh] over the keys of all segments -> A [m, query heads*dh]. The caller checks shapes.
template <class... Mask>
Matrix attention_in_blocks(const Matrix& Q, const Heads& heads, float scale,
                           const KeySegment<Mask>&... segments) {
  const QueryBlocks blocks{Q, heads};
  Matrix A(Q.rows(), Q.cols());
  if (blocks.blocks() == 1)
    attend_by_keys(blocks, scale, A, segments...);
  else if (blocks.blocks() > 1)
    attend_by_queries(blocks, scale, A,
                      PanelSegment{KeyPanels(segments.K, segments.V, heads), segments.mask}...);
  return A;
}

/// The same for queries first, first + 1, ... of the mask over keys that are in panels already.
template <class Mask>
Matrix attention_in_blocks(const Matrix& Q, Index first, const Heads& heads, float scale,
                           const PanelSegment<Mask>& segment) {
  Matrix A(Q.rows(), Q.cols());
  attend_by_queries(QueryBlocks{Q, heads, first}, scale, A, segment);
  return A;
}

}  // namespace kernel

}  // namespace t5gemma2
