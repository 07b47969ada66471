// Merged attention: the decoder's only attention, self and cross in one softmax (paper §2, equations 1-5):
//
//   Q = X Wq                                        (1)   [m,   query heads*dh]
//   K = [X; H] Wk                                   (2)   [m+n, kv heads*dh]
//   V = [X; H] Wv                                   (3)   [m+n, kv heads*dh]
//   A = softmax(Q K^T / sqrt(s), masked by M) V     (4)   [m,   query heads*dh]
//   O = A Wo                                        (5)   [m, d]
//
//   X [m, d] decoder tokens, H [n, d] encoder output, dh head size, s query_pre_attn_scalar (the paper: dh).
//
// M limits the decoder side to the past, in local layers to the window, and leaves all of H visible in every
// layer. The equations leave out QK-norm, of all queries and keys, and RoPE, of queries and of the keys of X
// (projections.hpp). With n = 0 this is Gemma 3's self-attention.
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2MergedAttention
#pragma once
#include "attention.hpp"
#include "kv_cache.hpp"
#include "projections.hpp"

namespace t5gemma2 {

/// The rows of x [m, c] above those of h [n, c] -> [m+n, c], for (2) and (3): [X; H] W = [X W; H W].
inline Matrix stack(const Matrix& x, const Matrix& h) {
  check_shape(h, -1, x.cols(), "stack h");
  Matrix stacked(x.rows() + h.rows(), x.cols());
  stacked << x, h;
  return stacked;
}

/// The equations, without a cache: X [m, d] from position 0 on, H [n, d] -> O [m, d]; n may be 0. Throws
/// std::invalid_argument where w is incomplete or shapes do not fit.
inline Matrix merged_attention(const Attention& w, const Matrix& X, const Matrix& H, const CosSin& rope,
                               const Tap& tap = {}) {
  check_shape(H, -1, X.cols(), "merged_attention H");
  const MergedMask M{w.window, X.rows()};
  const Matrix Q = queries(w, X, rope, tap);                                            // (1)
  const KeyValue x = keys_values(w, X, rope, tap), h = encoder_keys_values(w, H, tap);  // one side each
  const Matrix K = stack(x.K, h.K);                                                     // (2)
  const Matrix V = stack(x.V, h.V);                                                     // (3)
  tap_probabilities(tap, Q, K, w.heads, w.scale, M, X.rows());
  const Matrix A = attention(Q, K, V, w.heads, w.scale, M);  // (4)
  return tap("o_proj", linear(A, w.o_proj));                 // (5)
}

/// The equations for the tokens X [m, d] that follow those in the cache, at their positions -> O [m, d].
/// `encoder_kv` is encoder_keys_values(w, H). One softmax over three segments of keys: the tokens before X, X
/// itself, and H. Appends K and V of X to the cache. Throws as merged_attention does.
inline Matrix merged_attention_step(const Attention& w, const Matrix& X, const CosSin& rope, KvCache& past,
                                    const KeyValue& encoder_kv) {
  check_argument(past.window() == w.window, "KvCache window", "the layer's", past.window());
  const Matrix Q = queries(w, X, rope);        // (1)
  const KeyValue x = keys_values(w, X, rope);  // (2), (3)
  const Matrix A = attention(Q, w.heads, w.scale, KeySegment{past.K(), past.V(), CacheMask{past}},
                             KeySegment{x.K, x.V, DecoderMask{w.window}},
                             KeySegment{encoder_kv.K, encoder_kv.V, AllVisible{}});  // (4)
  past.append(x.K, x.V);
  return linear(A, w.o_proj);  // (5)
}

}  // namespace t5gemma2
