// The decoder (paper §2, Figure 2): Gemma 3 layers whose attention is merged attention, then the tied
// output embedding.
//
//   logits = rms_norm(x) E^T        x [m, d], E [vocab, d], softcapped where the configuration says so
//
// Two forms, equal up to rounding: `decoder` runs all tokens at once, without a cache, as in the equations;
// `decode` continues a DecoderState by some tokens, as generation needs.
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2Decoder,
// T5Gemma2ForConditionalGeneration
#pragma once
#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "chunks.hpp"
#include "embedding.hpp"
#include "layer.hpp"
#include "merged_attention.hpp"
#include "progress.hpp"

namespace t5gemma2 {

struct Decoder {
  TextConfig config;
  Embedding embed_tokens;  // the encoder's, unless the checkpoint stores another
  std::vector<Layer> layers;
  Vector norm;     // [d]
  Weight lm_head;  // [vocab, d]: embed_tokens.weight, unless the checkpoint stores another
};

/// Throws std::invalid_argument naming the field unless w is complete; each layer is checked where it
/// is used.
inline void check(const Decoder& w) {
  check_argument(w.config.num_hidden_layers == std::ssize(w.layers), "decoder layers",
                 "as many as num_hidden_layers", w.layers.size());
  check_shape(w.norm, w.config.hidden_size, 1, "decoder norm");
  check_eps(w.config.rms_norm_eps, "decoder rms_norm_eps");
  check(w.lm_head, w.config.vocab_size, w.config.hidden_size, "lm_head");
}

/// ids [m], H [n, d] -> x [m, d] after the last norm; n may be 0. Progress counts layers. Throws Error for
/// an id outside the vocabulary, std::invalid_argument where w is incomplete or shapes do not fit; so do
/// the others.
inline Matrix decoder(const Decoder& w, std::span<const TokenId> ids, const Matrix& H, const Tap& tap = {},
                      const Progress& progress = {}) {
  check(w);
  check_shape(H, -1, w.config.hidden_size, "decoder H");
  Matrix x = tap("embed_tokens", embed(w.embed_tokens, ids));
  const Ropes ropes = ropes_at(w.config, 0, x.rows());
  const auto attend = [&](std::size_t i, const Matrix& X, const Tap& here) {
    return merged_attention(w.layers[i].self_attn, X, H, ropes.of(w.layers[i].type), here);
  };
  x = transformer_layers(w.layers, std::move(x), tap, progress, attend);
  return tap("norm", rms_norm(x, w.norm, w.config.rms_norm_eps));
}

/// x [m, d] after the last norm -> logits [m, vocab].
inline Matrix logits_of(const Decoder& w, const Matrix& x, const Tap& tap = {}) {
  Matrix logits = tap("lm_head", linear(x, w.lm_head));
  return tap("logits", softcap(std::move(logits), w.config.final_logit_softcapping));
}

/// State carried from one decoding step to the next.
struct DecoderState {
  std::shared_ptr<const std::vector<KeyValue>> encoder_kv;  // [layers]; shared by all steps, and by copies
  std::vector<KvCache> past;                                // [layers]
  Index position = 0;                                       // tokens decoded so far
};

/// K and V of H [n, d], chunk by chunk.
inline KeyValue encoder_keys_values_in_chunks(const Attention& w, const Matrix& H,
                                              WeightedProgress& progress) {
  KeyValue all{Matrix(H.rows(), w.k_proj.rows), Matrix(H.rows(), w.k_proj.rows)};
  const double flops = key_value_flops(w);
  for (const Chunk& chunk : chunks_of(H.rows(), 1, flops)) {
    const auto [K, V] = encoder_keys_values(w, chunk.of(H));
    chunk.of(all.K) = K;
    chunk.of(all.V) = V;
    progress.add(flops * static_cast<double>(chunk.count));
  }
  return all;
}

/// H [n, d] -> the state before the first token; n may be 0. Copies of it can be continued differently.
/// Progress counts the tokens of H, by the work that is done for all of them.
inline DecoderState start_decoder(const Decoder& w, const Matrix& H, const Progress& progress = {}) {
  check(w);
  check_shape(H, -1, w.config.hidden_size, "start_decoder H");
  DecoderState state;
  std::vector<KeyValue> encoder_kv;
  double flops = 0;
  for (const Layer& layer : w.layers)
    flops += key_value_flops(layer.self_attn) * static_cast<double>(H.rows());
  WeightedProgress work(progress, H.rows(), flops);
  for (const Layer& layer : w.layers) {
    encoder_kv.push_back(encoder_keys_values_in_chunks(layer.self_attn, H, work));
    state.past.emplace_back(layer.self_attn.k_proj.rows, layer.self_attn.window);
  }
  state.encoder_kv = std::make_shared<const std::vector<KeyValue>>(std::move(encoder_kv));
  return state;
}

/// ids [m] -> x [m, d] after the last norm; attend(number of the layer, X [m, d]) -> [m, d]. Progress counts
/// layers.
template <class Attend>
Matrix decoder_layers(const Decoder& w, std::span<const TokenId> ids, const Progress& progress,
                      const Attend& attend) {
  Matrix x = transformer_layers(w.layers, embed(w.embed_tokens, ids), {}, progress,
                                [&](std::size_t i, const Matrix& X, const Tap&) { return attend(i, X); });
  return rms_norm(x, w.norm, w.config.rms_norm_eps);
}

/// Merged attention of layer i over tokens X [m, d] that follow those of the state.
inline Matrix attend_step(const Decoder& w, std::size_t i, const Matrix& X, const Ropes& ropes,
                          DecoderState& state) {
  const Layer& layer = w.layers[i];
  return merged_attention_step(layer.self_attn, X, ropes.of(layer.type), state.past[i],
                               (*state.encoder_kv)[i]);
}

/// Throws std::invalid_argument unless the state comes from start_decoder(w, ...).
inline void check(const DecoderState& state, const Decoder& w) {
  const bool started = state.encoder_kv && state.encoder_kv->size() == w.layers.size();
  check_argument(started && state.past.size() == w.layers.size(), "DecoderState", "one from start_decoder",
                 "another");
  for (const KvCache& past : state.past)
    check_argument(past.tokens() == state.position, "DecoderState position",
                   "as many tokens as in its caches", state.position);
}

/// The next ids [m] -> x [m, d] after the last norm. Advances the state by m tokens. Progress counts layers.
inline Matrix decoder_step(const Decoder& w, DecoderState& state, std::span<const TokenId> ids,
                           const Progress& progress = {}) {
  check(state, w);
  const Ropes ropes = ropes_at(w.config, state.position, std::ssize(ids));
  Matrix x = decoder_layers(
      w, ids, progress, [&](std::size_t i, const Matrix& X) { return attend_step(w, i, X, ropes, state); });
  state.position += x.rows();
  return x;
}

/// The next id of each of several texts, equally long so far -> logits [states, vocab] of the id after it.
/// Advances each state by one token. Equal to `decode` state by state up to rounding, but the weights of
/// feed-forward and head are read once for all.
inline Matrix decode_together(const Decoder& w, std::span<DecoderState> states,
                              std::span<const TokenId> ids) {
  if (states.empty() || states.size() != ids.size())
    throw std::invalid_argument("decode_together ids: expected one for each state");
  for (const DecoderState& state : states) {
    check(state, w);
    check_argument(state.position == states[0].position, "decode_together states", "texts of one length",
                   "several");
  }
  const Ropes ropes = ropes_at(w.config, states[0].position, 1);
  const Matrix x = decoder_layers(w, ids, {}, [&](std::size_t i, const Matrix& X) {
    Matrix O(X.rows(), X.cols());
    for (Index row = 0; row < X.rows(); ++row)
      O.row(row) = attend_step(w, i, X.row(row), ropes, states[static_cast<std::size_t>(row)]);
    return O;
  });
  for (DecoderState& state : states) ++state.position;
  return logits_of(w, x);
}

/// Floating-point operations of layer i for each token of a block that ends before position `end`.
inline double step_flops(const Decoder& w, const DecoderState& state, std::size_t i, Index end) {
  const Layer& layer = w.layers[i];
  return token_flops(layer, std::min(layer.self_attn.window, end) + (*state.encoder_kv)[i].K.rows());
}

/// The next `count` tokens in blocks that are decoded at once: no intermediate grows with their number, and each
/// ends its layers soon. Unlike chunks of the encoder (chunks.hpp), blocks change the order of sums.
inline std::vector<Chunk> blocks_of(const Decoder& w, const DecoderState& state, Index count) {
  double flops = 1;
  for (std::size_t i = 0; i < w.layers.size(); ++i)
    flops = std::max(flops, step_flops(w, state, i, state.position + count));
  const Index size = std::clamp<Index>(static_cast<Index>(2 * chunk_flops / flops), 1, 256);
  std::vector<Chunk> blocks;
  for (Index first = 0; first < count; first += size)
    blocks.push_back({first, std::min(size, count - first)});
  return blocks;
}

/// The next ids [m], m >= 1 -> logits [vocab] of the id after the last. Advances the state by m tokens.
/// Progress counts the tokens, if more than one, by the work that is done for all of them; where it throws, the
/// state is of no more use.
inline Vector decode(const Decoder& w, DecoderState& state, std::span<const TokenId> ids,
                     const Progress& progress = {}) {
  check_argument(!ids.empty(), "decode ids", "one or more", "none");
  check(state, w);
  const Index all = std::ssize(ids), start = state.position;
  const std::vector<Chunk> blocks = blocks_of(w, state, all);
  const auto flops = [&](const Chunk& block, std::size_t i) {
    return step_flops(w, state, i, start + block.first + block.count) * static_cast<double>(block.count);
  };
  double sum = 0;
  for (const Chunk& block : blocks)
    for (std::size_t i = 0; i < w.layers.size(); ++i) sum += flops(block, i);
  WeightedProgress work(progress, all > 1 ? all : 0, sum);
  Matrix x;
  for (const Chunk& block : blocks) {
    const auto now =
        ids.subspan(static_cast<std::size_t>(block.first), static_cast<std::size_t>(block.count));
    x = decoder_step(w, state, now, [&](Index layers, Index) {
      if (layers > 0) work.add(flops(block, static_cast<std::size_t>(layers - 1)));
    });
  }
  return logits_of(w, x.bottomRows(1)).row(0);
}

}  // namespace t5gemma2
