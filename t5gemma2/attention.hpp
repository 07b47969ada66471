// Grouped-query attention given Q, K, V and a mask (paper §2, equation 4):
//
//   A = softmax(Q K^T * scale, masked) V
//
//   Q [m, query heads*dh], K and V [keys, kv heads*dh], A [m, query heads*dh];
//   scale = 1 / sqrt(query_pre_attn_scalar). Query head h uses key/value head h / (query heads / kv heads).
//
// The plain form follows the equation and holds all scores at once; the engine's form takes the queries block
// by block (kernels/attention_blocks.hpp).
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py eager_attention_forward
#pragma once
#include <cmath>
#include <limits>

#include "config.hpp"
#include "kernels/attention_blocks.hpp"
#include "kernels/functions.hpp"
#include "mask.hpp"
#include "tensor.hpp"
#include "trace.hpp"

namespace t5gemma2 {

namespace attention_detail {

inline void check(const Heads& heads, float scale) {
  check_argument(scale > 0 && std::isfinite(scale), "attention scale", "a number above 0", scale);
  t5gemma2::check(heads);
}

inline void check(const Matrix& Q, const Rows& K, const Rows& V, const Heads& heads, float scale) {
  check(heads, scale);
  check_shape(Q, -1, heads.query * heads.dim, "attention Q");
  check_shape(K, -1, heads.kv * heads.dim, "attention K");
  check_shape(V, K.rows(), K.cols(), "attention V");
}

}  // namespace attention_detail

// ---- plain form ----

/// softmax(Q K^T * scale, masked): [query heads*m, keys], head by head. Throws as plain_attention does.
template <class Mask>
Matrix attention_probabilities(const Matrix& Q, const Matrix& K, const Heads& heads, float scale, Mask mask) {
  attention_detail::check(Q, K, K, heads, scale);
  Matrix P(heads.query * Q.rows(), K.rows());
  for (Index head = 0; head < heads.query; ++head) {
    auto p = P.middleRows(head * Q.rows(), Q.rows());
    const auto q = Q.middleCols(head * heads.dim, heads.dim).cast<double>();
    const auto k = K.middleCols(head / heads.group() * heads.dim, heads.dim).cast<double>();
    p = (q * k.transpose() * double{scale}).cast<float>();
    for (Index query = 0; query < p.rows(); ++query) {
      Index visible = 0;
      for (Index key = 0; key < p.cols(); ++key)
        if (mask(query, key))
          ++visible;
        else
          p(query, key) = -std::numeric_limits<float>::infinity();
      check_argument(visible > 0, "attention mask", "a visible key for every query", "none");
      softmax(p.row(query).data(), p.cols());
    }
  }
  return P;
}

/// Q [m, query heads*dh], K and V [keys, kv heads*dh] -> A [m, query heads*dh]. Throws std::invalid_argument
/// where a shape does not fit, heads or scale are not set, or there are no keys; so does attention.
template <class Mask>
Matrix plain_attention(const Matrix& Q, const Matrix& K, const Matrix& V, const Heads& heads, float scale,
                       Mask mask) {
  attention_detail::check(Q, K, V, heads, scale);
  check_argument(K.rows() > 0, "attention K", "a key or more", "none");
  const Matrix P = attention_probabilities(Q, K, heads, scale, mask);
  Matrix A(Q.rows(), Q.cols());
  for (Index head = 0; head < heads.query; ++head)
    A.middleCols(head * heads.dim, heads.dim) =
        P.middleRows(head * Q.rows(), Q.rows()) * V.middleCols(head / heads.group() * heads.dim, heads.dim);
  return A;
}

/// Reports the softmax of equation 4 as the reference splits it: [1, query heads, m, own] over the first
/// `own` keys, and in merged attention [1, query heads, m, n] over the encoder side's.
template <class Mask>
void tap_probabilities(const Tap& tap, const Matrix& Q, const Matrix& K, const Heads& heads, float scale,
                       Mask mask, Index own) {
  const bool crosses = own < K.rows();
  if (!tap.wants("weights") && !(crosses && tap.wants("cross_weights"))) return;
  const Matrix P = attention_probabilities(Q, K, heads, scale, mask);
  tap.stacked("weights", heads.query, P.leftCols(own));
  tap.stacked("cross_weights", heads.query, P.rightCols(P.cols() - own));
}

// ---- the engine's form ----

/// Equation 4 with keys and values in several segments, all in one softmax: Q [m, query heads*dh] -> A, of
/// the same shape. Every query needs at least one visible key.
template <class... Mask>
Matrix attention(const Matrix& Q, const Heads& heads, float scale, const KeySegment<Mask>&... segments) {
  (attention_detail::check(Q, segments.K, segments.V, heads, scale), ...);
  check_argument((segments.K.rows() + ...) > 0, "attention K", "a key or more", "none");
  (check(segments.mask, segments.K.rows()), ...);
  for (const Index query : {Index{0}, Q.rows() - 1})
    check_argument(
        Q.rows() == 0 || (visible_keys(segments.mask, query, query, segments.K.rows()).size() + ...) > 0,
        "attention mask", "a visible key for every query", "none");
  return kernel::attention_in_blocks(Q, heads, scale, segments...);
}

/// Equation 4. Every query needs at least one visible key.
template <class Mask>
Matrix attention(const Matrix& Q, const Matrix& K, const Matrix& V, const Heads& heads, float scale,
                 Mask mask) {
  return attention(Q, heads, scale, KeySegment{K, V, mask});
}

/// Equation 4 for some of the queries: Q [m, query heads*dh] are those that the mask calls first, first + 1,
/// ..., keys and values are in panels. The same bits as with all queries and keys where `first` begins a block
/// (kernel::block_queries) and all queries are more than one.
template <class Mask>
Matrix attention(const Matrix& Q, Index first, const kernel::KeyPanels& keys, const Heads& heads, float scale,
                 Mask mask) {
  attention_detail::check(heads, scale);
  check_shape(Q, -1, heads.query * heads.dim, "attention Q");
  check_argument(keys.keys() > 0, "attention K", "a key or more", "none");
  check(mask, keys.keys());
  return kernel::attention_in_blocks(Q, first, heads, scale, kernel::PanelSegment{keys, mask});
}

}  // namespace t5gemma2
