// What the encoder's layers give, for one text or for several at once:
//
//   x_0 = embedded tokens     x_N = layer N (x_N-1)     H = norm(x_L)       L layers
//   hidden state N is x_N, and H for N = L
//
// Here alone layers are counted so, as transformers' `hidden_states` are.
//
// Several texts are the rows of one X [n_1 + n_2 + ..., d]: products take all of them, which is faster for short texts
// than one after the other; RoPE begins at 0 in each, and a token attends to its own text alone. So no text is padded, and
// each gets the numbers that it gets alone (but for the order of sums in texts of few tokens).
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2TextEncoder
#pragma once
#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "attention.hpp"
#include "chunks.hpp"
#include "encoder.hpp"
#include "kernels/parallel.hpp"
#include "layer.hpp"
#include "progress.hpp"

namespace t5gemma2 {

/// cos and sin of the texts, each of which begins at position 0.
inline CosSin rope_of(const CosSin& from_0, std::span<const Chunk> texts) {
  const Index rows = texts.back().first + texts.back().count;
  CosSin rope{Matrix(rows, from_0.cos.cols()), Matrix(rows, from_0.sin.cols())};
  for (const Chunk& text : texts) {
    text.of(rope.cos) = from_0.cos.topRows(text.count);
    text.of(rope.sin) = from_0.sin.topRows(text.count);
  }
  return rope;
}

/// self_attention of each of the texts X [n_1 + n_2 + ..., d].
inline Matrix self_attention_together(const Attention& w, const Matrix& X, const CosSin& rope,
                                      std::span<const Chunk> texts) {
  const Matrix Q = queries(w, X, rope);
  const KeyValue keys = keys_values(w, X, rope);
  Matrix A(Q.rows(), Q.cols());
  parallel_tasks(std::ssize(texts), [&](Index task) {
    const Chunk& text = texts[static_cast<std::size_t>(task)];
    text.of(A) =
        attention(text.of(Q), text.of(keys.K), text.of(keys.V), w.heads, w.scale, EncoderMask{w.window});
  });
  return linear(A, w.o_proj);
}

/// encoder_layers of each of the texts x [n_1 + n_2 + ..., d]. Progress counts layers.
inline Matrix encoder_layers_together(const Encoder& w, Index count, Matrix x, std::span<const Chunk> texts,
                                      const Progress& progress = {}) {
  check(w);
  const auto longest = std::ranges::max_element(texts, {}, &Chunk::count);
  const Ropes from_0 = ropes_at(w.config, 0, longest->count);
  const Ropes ropes{rope_of(from_0.sliding_attention, texts), rope_of(from_0.full_attention, texts)};
  const std::span layers = first_layers(w, count);
  return transformer_layers(
      layers, std::move(x), {}, progress, [&](std::size_t i, const Matrix& X, const Tap&) {
        return self_attention_together(layers[i].self_attn, X, ropes.of(layers[i].type), texts);
      });
}

/// Hidden state N of each of the texts: x [n_1 + n_2 + ..., d], embedded -> [n_1 + n_2 + ..., d]. Progress counts
/// tokens or layers. Throws std::invalid_argument where w is incomplete, shapes do not fit, `texts` are not all rows
/// of x in order, or w has fewer than N layers.
inline Matrix hidden_state(const Encoder& w, Index N, Matrix x, std::span<const Chunk> texts,
                           const Progress& progress = {}) {
  Index rows = 0;
  for (const Chunk& text : texts) {
    check_argument(text.first == rows && text.count > 0, "hidden_state texts", "all rows, in order",
                   text.first);
    rows += text.count;
  }
  check_argument(rows > 0, "hidden_state texts", "one or more", "none");
  check_shape(x, rows, w.config.hidden_size, "hidden_state x");
  x = texts.size() == 1 ? encoder_layers(w, N, std::move(x), {}, progress)
                        : encoder_layers_together(w, N, std::move(x), texts, progress);
  return N == w.config.num_hidden_layers ? rms_norm(x, w.norm, w.config.rms_norm_eps) : x;
}

}  // namespace t5gemma2
