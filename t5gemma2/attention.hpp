// Grouped-query attention given Q, K, V and a visibility (paper §2, equation 4):
//
//   A = softmax(Q K^T * scale, masked) V
//
//   Q [m, heads*dh], K and V [keys, kv_heads*dh], A [m, heads*dh]; scale = 1 / sqrt(query_pre_attn_scalar).
//   Query head h reads key/value head h / (heads / kv_heads).
//
// The plain form writes the equation down and holds all the scores. The engine's form goes over blocks of
// queries, passes over keys that no query of the block sees, and holds the scores of one block. Its keys may
// come in several segments, as merged attention's do, in one softmax. Reference: transformers
// eager_attention_forward.
#pragma once
#include <limits>

#include "kernels/functions.hpp"
#include "kernels/parallel.hpp"
#include "kernels/product.hpp"
#include "mask.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// heads is a multiple of kv_heads; dh = head_dim.
struct HeadCount {
  Index heads, kv_heads, head_dim;

  Index group() const { return heads / kv_heads; }
};

/// scores[size] -> exp(scores - max) / sum, in place; -infinity weighs 0. NaN anywhere makes all NaN.
inline void softmax(float* scores, Index size) {
  float max = -std::numeric_limits<float>::infinity();
  for (Index i = 0; i < size; ++i) max = std::max(max, scores[i]);
  for (Index i = 0; i < size; ++i) scores[i] = softmax_exp(scores[i] - max);
  const float one_over_sum = 1.0f / sum_in_lanes(scores, size);
  for (Index i = 0; i < size; ++i) scores[i] *= one_over_sum;
}

// ---- plain form ----

/// softmax(Q K^T * scale, masked): [heads*m, keys], head by head.
template <class Mask>
Matrix attention_weights(const Matrix& Q, const Matrix& K, const HeadCount& n, float scale, Mask sees) {
  check_shape(Q, -1, n.heads * n.head_dim, "attention Q");
  check_shape(K, -1, n.kv_heads * n.head_dim, "attention K");
  Matrix S(n.heads * Q.rows(), K.rows());
  for (Index head = 0; head < n.heads; ++head) {
    auto s = S.middleRows(head * Q.rows(), Q.rows());
    s = Q.middleCols(head * n.head_dim, n.head_dim) *
        K.middleCols(head / n.group() * n.head_dim, n.head_dim).transpose() * scale;
    for (Index query = 0; query < s.rows(); ++query) {
      for (Index key = 0; key < s.cols(); ++key)
        if (!sees(query, key)) s(query, key) = -std::numeric_limits<float>::infinity();
      softmax(s.row(query).data(), s.cols());
    }
  }
  return S;
}

template <class Mask>
Matrix plain_attention(const Matrix& Q, const Matrix& K, const Matrix& V, const HeadCount& n, float scale,
                       Mask sees) {
  check_shape(V, K.rows(), K.cols(), "attention V");
  const Matrix weights = attention_weights(Q, K, n, scale, sees);
  Matrix A(Q.rows(), Q.cols());
  for (Index head = 0; head < n.heads; ++head)
    A.middleCols(head * n.head_dim, n.head_dim) = weights.middleRows(head * Q.rows(), Q.rows()) *
                                                  V.middleCols(head / n.group() * n.head_dim, n.head_dim);
  return A;
}

// ---- the engine's form ----

/// Keys and values with who sees them.
template <class Mask>
struct KeySegment {
  Rows K, V;  // [keys, kv_heads*dh]
  Mask sees;

  /// Keys to look at; from a multiple of 16 on, so that what is left out does not move the others to another
  /// lane of the softmax's sum.
  KeyRange seen(Index first_query, Index last_query) const {
    const KeyRange range = sees.seen(first_query, last_query, K.rows());
    return {range.begin / 16 * 16, range.end};
  }
};
template <class Keys, class Values, class Mask>
KeySegment(const Keys&, const Values&, Mask) -> KeySegment<Mask>;

/// One block of queries for one key/value head: x [count*group, dh] are its query rows, query by query, the
/// first of them query `first`. Holds the scores of these rows alone.
template <class... Mask>
Matrix attend_block(const Matrix& x, Index first, Index kv_head, const HeadCount& n, float scale,
                    const KeySegment<Mask>&... segments) {
  const Index last = first + x.rows() / n.group() - 1, col = kv_head * n.head_dim;
  Matrix S(x.rows(), (segments.seen(first, last).size() + ...));
  const auto for_each_segment = [&](const auto& visit) {  // with its columns of S
    Index begin = 0;
    const auto of = [&](const auto& keys) {
      const KeyRange range = keys.seen(first, last);
      if (range.size() > 0) visit(keys, range, S.middleCols(begin, range.size()));
      begin += range.size();
    };
    (of(segments), ...);
  };
  for_each_segment([&](const auto& keys, KeyRange range, auto s) {
    multiply_transposed(x, keys.K.data() + range.begin * keys.K.outerStride() + col, keys.K.outerStride(), s);
    for (Index row = 0; row < s.rows(); ++row)
      for (Index i = 0; i < s.cols(); ++i) {
        const bool visible = keys.sees(first + row / n.group(), range.begin + i);
        s(row, i) = visible ? s(row, i) * scale : -std::numeric_limits<float>::infinity();
      }
  });
  for (auto&& row : S.rowwise()) {
    softmax(row.data(), row.size());
  }
  Matrix A = Matrix::Zero(x.rows(), n.head_dim), part(x.rows(), n.head_dim);
  for_each_segment([&](const auto& keys, KeyRange range, auto s) {
    multiply(s, keys.V.block(range.begin, col, range.size(), n.head_dim), part);
    A += part;
  });
  return A;
}

/// Queries of a block: 256 rows with their heads; fewer when there are many keys, so that the scores stay
/// below 16 MB per thread.
inline Index query_block(const HeadCount& n, Index keys) {
  constexpr Index rows = 256, scores = Index{1} << 22;
  return std::max<Index>(1, std::min(rows, scores / std::max<Index>(keys, 1)) / n.group());
}

/// Q [m, heads*dh] over the keys of all segments -> A [m, heads*dh]. Every query must see at least one key.
template <class... Mask>
Matrix attention(const Matrix& Q, const HeadCount& n, float scale, const KeySegment<Mask>&... segments) {
  check_shape(Q, -1, n.heads * n.head_dim, "attention Q");
  (check_shape(segments.K, -1, n.kv_heads * n.head_dim, "attention K"), ...);
  (check_shape(segments.V, segments.K.rows(), segments.K.cols(), "attention V"), ...);
  const Index block = query_block(n, (segments.K.rows() + ...));
  const Index blocks = (Q.rows() + block - 1) / block, group_cols = n.group() * n.head_dim;
  Matrix A(Q.rows(), Q.cols());
  parallel_tasks(blocks * n.kv_heads, [&](Index task) {
    const Index first = task / n.kv_heads * block, count = std::min(block, Q.rows() - first);
    const Index kv_head = task % n.kv_heads;
    const auto heads_of = [&](auto& x) { return x.block(first, kv_head * group_cols, count, group_cols); };
    const Matrix x = heads_of(Q).template reshaped<Eigen::RowMajor>(count * n.group(), n.head_dim);
    const Matrix a = attend_block(x, first, kv_head, n, scale, segments...);
    heads_of(A) = a.template reshaped<Eigen::RowMajor>(count, group_cols);
  });
  return A;
}

}  // namespace t5gemma2
