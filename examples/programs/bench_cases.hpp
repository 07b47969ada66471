// The whole steps that t5gemma2-bench times, and the list of all cases.
#pragma once
#include <string>
#include <vector>

#include "bench_kernels.hpp"

namespace bench_program {

/// `count` ids, all different ones as far as the vocabulary goes.
inline std::vector<TokenId> some_ids(Index count, Index vocab) {
  std::vector<TokenId> ids;
  for (Index i = 0; i < count; ++i) ids.push_back(static_cast<TokenId>(i % vocab));
  return ids;
}

inline Case encode_case(const BenchModel& model, Index n) {
  return {.name = "encode/" + std::to_string(n),
          .bound = Bound::products,
          .work = encode_flops(model.encoder, n),
          .tokens = n,
          .prepare = [w = model.encoder, n]() -> Run {
            return [w, ids = some_ids(n, w.config.vocab_size)] { encoder(w, embed(w.embed_tokens, ids)); };
          }};
}

/// 32 tokens after n of the encoder.
inline Case decode_case(const BenchModel& model, Index n) {
  constexpr Index steps = 32;
  const Decoder w = model.decoder;
  return {.name = "decode/" + std::to_string(n),
          .bound = Bound::reading,
          .work = steps * step_bytes(w, n + steps / 2),
          .tokens = steps,
          .prepare = [w, n]() -> Run {
            return [w, start = start_decoder(w, random_rows(n, w.config.hidden_size))] {
              DecoderState state = start;
              for (const TokenId id : some_ids(steps, w.config.vocab_size)) decode(w, state, {&id, 1});
            };
          }};
}

inline Matrix random_pixels(const VisionConfig& c) {
  return random_rows(c.num_channels, c.image_size * c.image_size);
}

inline void add_image(const Vision& vision, bool whole, Cases& cases) {
  Siglip one = vision.vision_tower;
  one.layers.resize(1);
  one.config.num_hidden_layers = 1;
  cases.push_back({.name = "siglip_layer",  // with the patch embedding
                   .bound = Bound::products,
                   .work = siglip_flops(one),
                   .tokens = 0,
                   .prepare = [one]() -> Run {
                     return [one, pixels = random_pixels(one.config)] { siglip(one, pixels); };
                   }});
  if (!whole) return;
  cases.push_back({.name = "image",
                   .bound = Bound::products,
                   .work = siglip_flops(vision.vision_tower),
                   .tokens = 0,
                   .prepare = [vision]() -> Run {
                     return [vision, pixels = random_pixels(vision.vision_tower.config)] {
                       encode_image(vision, pixels);
                     };
                   }});
}

/// All of them; `long_ones` also those that take minutes.
inline Cases all_cases(const BenchModel& model, bool long_ones) {
  std::vector<Index> lengths{512, 2048};
  if (long_ones) lengths.push_back(8192);
  Cases cases;
  add_linear(model, cases);
  for (const Index n : lengths) {
    add_encoder_attention(model, LayerType::full_attention, "attention/global", n, cases);
    add_encoder_attention(model, LayerType::sliding_attention, "attention/local", n, cases);
    add_merged_attention(model, n, cases);
  }
  add_elementwise(model, cases);
  if (model.vision) add_image(*model.vision, long_ones, cases);
  cases.push_back(encode_case(model, 128));
  for (const Index n : lengths) cases.push_back(encode_case(model, n));
  for (const Index n : lengths) cases.push_back(decode_case(model, n));
  return cases;
}

}  // namespace bench_program
