// The decoder (paper §2, Figure 2): Gemma 3 layers whose attention is merged attention, then the tied output
// embedding.
//
//   logits = rms_norm(x) E^T        x [m, d], E [vocab, d], softcapped where the configuration says so
//
// Two forms with the same numbers: `decoder` runs all tokens at once and keeps nothing, as the equations
// stand; `decode` continues a DecoderState by some tokens, as generation needs it. Reference: transformers
// T5Gemma2Decoder, T5Gemma2ForConditionalGeneration.
#pragma once
#include "embedding.hpp"
#include "merged_attention.hpp"

namespace t5gemma2 {

struct Decoder {
  TextConfig config;
  Embedding embed_tokens;  // the encoder's, unless the checkpoint stores another
  std::vector<Layer> layers;
  Vector norm;     // [d]
  Weight lm_head;  // [vocab, d]: embed_tokens.weight, unless the checkpoint stores another
};

/// ids [m], H [n, d] -> x [m, d] after the last norm; n may be 0.
inline Matrix decoder(const Decoder& w, std::span<const TokenId> ids, const Matrix& H, const Tap& tap = {}) {
  check_shape(H, -1, w.config.hidden_size, "decoder H");
  Matrix x = tap("embed_tokens", embed(w.embed_tokens, ids));
  const Rotations turns = rotations(w.config, 0, x.rows());
  for (std::size_t i = 0; i < w.layers.size(); ++i) {
    const Layer& layer = w.layers[i];
    const Tap here = tap / "layers" / static_cast<Index>(i);
    x = transformer_layer(layer, std::move(x), here, [&](const Matrix& X) {
      return merged_attention(layer.self_attn, X, H, turns.of(layer.type), here / "self_attn");
    });
  }
  return tap("norm", rms_norm(std::move(x), w.norm, w.config.rms_norm_eps));
}

/// x [m, d] after the last norm -> logits [m, vocab].
inline Matrix logits_of(const Decoder& w, const Matrix& x, const Tap& tap = {}) {
  Matrix logits = tap("lm_head", linear(x, w.lm_head));
  return tap("logits", softcap(std::move(logits), w.config.final_logit_softcapping));
}

/// What stands between two steps.
struct DecoderState {
  std::vector<KeyValue> of_H;  // [layers]; shared by all tokens
  std::vector<KvCache> past;   // [layers]
  Index position = 0;          // tokens seen
};

/// H [n, d] -> a decoder that has read it and written nothing; n may be 0. May be copied to continue in
/// several ways. Progress counts layers.
inline DecoderState start_decoder(const Decoder& w, const Matrix& H, const Progress& progress = {}) {
  check_shape(H, -1, w.config.hidden_size, "start_decoder H");
  DecoderState state;
  for (const Layer& layer : w.layers) {
    if (progress) progress(std::ssize(state.past), std::ssize(w.layers));
    state.of_H.push_back(encoder_key_value(layer.self_attn, H));
    state.past.emplace_back(layer.self_attn.k_proj.rows, layer.self_attn.window);
  }
  return state;
}

/// The next ids [m] -> x [m, d] after the last norm. Advances the state by m tokens.
inline Matrix decoder_step(const Decoder& w, DecoderState& state, std::span<const TokenId> ids) {
  Matrix x = embed(w.embed_tokens, ids);
  const Rotations turns = rotations(w.config, state.position, x.rows());
  for (std::size_t i = 0; i < w.layers.size(); ++i) {
    const Layer& layer = w.layers[i];
    x = transformer_layer(layer, std::move(x), {}, [&](const Matrix& X) {
      return merged_attention_step(layer.self_attn, X, state.position, turns.of(layer.type), state.past[i],
                                   state.of_H[i]);
    });
  }
  state.position += x.rows();
  return rms_norm(std::move(x), w.norm, w.config.rms_norm_eps);
}

/// The next ids [m], m >= 1 -> logits [vocab] of what follows the last of them. Advances the state by m
/// tokens. Progress counts the tokens of a prefix of several blocks.
inline Vector decode(const Decoder& w, DecoderState& state, std::span<const TokenId> ids,
                     const Progress& progress = {}) {
  constexpr std::size_t block = 256;  // a long prefix in pieces: no intermediate grows with it
  const auto all = std::ssize(ids);
  while (ids.size() > block) {
    if (progress) progress(all - std::ssize(ids), all);
    decoder_step(w, state, ids.first(block));
    ids = ids.subspan(block);
  }
  const Matrix x = decoder_step(w, state, ids);
  return logits_of(w, x.bottomRows(1)).row(0);
}

}  // namespace t5gemma2
