// Merged attention: the decoder's only attention, self and cross in one softmax (paper §2, equations 1-5):
//
//   Q = X Wq                                        (1)   [m,     heads*dh]
//   K = [X; H] Wk                                   (2)   [m+n, kv_heads*dh]
//   V = [X; H] Wv                                   (3)   [m+n, kv_heads*dh]
//   A = softmax(Q K^T / sqrt(s), masked by M) V     (4)   [m,     heads*dh]
//   O = A Wo                                        (5)   [m, d]
//
//   X [m, d] decoder tokens, H [n, d] encoder output, dh head size, s query_pre_attn_scalar.
//
// The paper leaves out: q and k are normalised per head, the encoder side's k too; RoPE turns q and the
// decoder side's k, never the encoder side's, so H carries no decoder position and its K and V can be kept
// for all steps; M limits the decoder side to the window in local layers and shows all of H in every layer.
// With n = 0 this is Gemma 3's self-attention. Reference: transformers T5Gemma2MergedAttention.
#pragma once
#include "kv_cache.hpp"
#include "layer.hpp"

namespace t5gemma2 {

/// The encoder side of (2) and (3): H [n, d] -> K, V [n, kv_heads*dh]; k_norm but no RoPE.
inline KeyValue encoder_key_value(const AttentionWeights& w, const Matrix& H, const Tap& tap = {}) {
  Matrix K = tap("k_proj[1]", linear(H, w.k_proj));
  Matrix V = tap("v_proj[1]", linear(H, w.v_proj));
  return {tap.heads("k_norm[1]", w.heads.kv_heads, rms_norm_heads(std::move(K), w.k_norm, w.eps)),
          std::move(V)};
}

/// Reports the softmax of (4) as the reference splits it: the decoder's own part, and the encoder's.
inline void tap_weights(const AttentionWeights& w, const Matrix& Q, const Matrix& K, MergedMask M,
                        const Tap& tap) {
  if (!tap.wants("weights") && !tap.wants("cross_weights")) return;
  const Matrix weights = attention_weights(Q, K, w.heads, w.scale, M);
  tap.stacked("weights", w.heads.heads, weights.leftCols(M.m));
  if (K.rows() > M.m) tap.stacked("cross_weights", w.heads.heads, weights.rightCols(K.rows() - M.m));
}

/// Without a cache, the equations line by line: X [m, d] from position 0 on, H [n, d] -> O [m, d]; n may be
/// 0.
inline Matrix merged_attention(const AttentionWeights& w, const Matrix& X, const Matrix& H,
                               const Rotation& turn, const Tap& tap = {}) {
  check_shape(H, -1, X.cols(), "merged_attention H");
  const Index m = X.rows(), n = H.rows();
  Matrix Q = tap("q_proj", linear(X, w.q_proj));  // (1)
  Matrix K_x = tap("k_proj", linear(X, w.k_proj));
  const Matrix V_x = tap("v_proj", linear(X, w.v_proj));
  Q = rotate(tap.heads("q_norm", w.heads.heads, rms_norm_heads(std::move(Q), w.q_norm, w.eps)), turn);
  K_x = rotate(tap.heads("k_norm", w.heads.kv_heads, rms_norm_heads(std::move(K_x), w.k_norm, w.eps)), turn);
  const KeyValue of_H =
      n > 0 ? encoder_key_value(w, H, tap) : KeyValue{Matrix(0, K_x.cols()), Matrix(0, K_x.cols())};
  Matrix K(m + n, K_x.cols()), V(m + n, V_x.cols());
  K << K_x, of_H.K;  // (2)
  V << V_x, of_H.V;  // (3)
  const MergedMask M{w.window, m};
  tap_weights(w, Q, K, M, tap);
  const Matrix A = attention(Q, w.heads, w.scale, KeySegment{K, V, M});  // (4)
  return tap("o_proj", linear(A, w.o_proj));                             // (5)
}

/// With the cache: X [m, d] are the next tokens, from first_position on (the rotation's too) -> O [m, d]. The
/// softmax of (4) goes over three segments: the tokens before X, X itself, and H. X's keys join the cache
/// afterwards.
inline Matrix merged_attention_step(const AttentionWeights& w, const Matrix& X, Index first_position,
                                    const Rotation& turn, KvCache& past, const KeyValue& of_H) {
  const Matrix Q = rotate(rms_norm_heads(linear(X, w.q_proj), w.q_norm, w.eps), turn);    // (1)
  const Matrix K_x = rotate(rms_norm_heads(linear(X, w.k_proj), w.k_norm, w.eps), turn);  // (2)
  const Matrix V_x = linear(X, w.v_proj);                                                 // (3)
  const Matrix A =
      attention(Q, w.heads, w.scale,  // (4)
                KeySegment{past.K(), past.V(), CacheMask{past, first_position, w.window}},
                KeySegment{K_x, V_x, DecoderMask{w.window}}, KeySegment{of_H.K, of_H.V, AllVisible{}});
  past.append(K_x, V_x);
  return linear(A, w.o_proj);  // (5)
}

}  // namespace t5gemma2
