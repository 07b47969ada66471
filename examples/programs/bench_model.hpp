// The weights that t5gemma2-bench measures with: a checkpoint's, or random ones of 270M-270M's shapes.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "load_weights.hpp"
#include "t5gemma2/kernels/parallel.hpp"
#include "t5gemma2/model.hpp"
#include "t5gemma2/vision/vision_weights.hpp"

namespace bench_program {

using namespace t5gemma2;

/// Copies share the weights' memory.
struct BenchModel {
  std::string name;
  Encoder encoder;
  Decoder decoder;
  std::optional<Vision> vision;
  std::shared_ptr<const void> memory;  // that the weights lie in

  /// The layers of both sides.
  std::vector<Layer> layers() const {
    std::vector<Layer> both = encoder.layers;
    both.insert(both.end(), decoder.layers.begin(), decoder.layers.end());
    return both;
  }
};

/// The checkpoint in `folder`, read from the disk. Throws Error where it cannot be loaded.
inline BenchModel stored_model(const std::filesystem::path& folder, const std::string& name, bool quiet) {
  const Model model = load_model(folder);
  BenchModel measured{.name = name,
                      .encoder = model.encoder,
                      .decoder = model.decoder,
                      .vision = {},
                      .memory = model.checkpoint};
  // There are checkpoints of the text half whose config.json still has the other.
  const bool sees =
      model.config.vision &&
      WeightReader(*model.checkpoint).has("model.encoder.vision_tower.embeddings.patch_embedding.weight");
  if (sees) measured.vision = load_vision(model.config, *model.checkpoint);
  cli::load_weights(cli::weights_of(model, measured.vision ? &*measured.vision : nullptr, true), quiet);
  return measured;
}

/// Rounds the weights, in memory of their own.
inline void set_precision(BenchModel& model, Precision precision) {
  const auto keep = [] {};
  t5gemma2::set_precision(model.encoder, precision, {}, keep);
  t5gemma2::set_precision(model.decoder, precision, {}, keep);
  if (model.vision) t5gemma2::set_precision(*model.vision, precision, {}, keep);
}

/// Random weights in memory.
class RandomWeights {
 public:
  /// bfloat16 [rows, cols], evenly spread; products with them neither grow nor shrink much.
  Weight matrix(Index rows, Index cols) {
    const Index size = rows * cols;
    memory_.push_back(std::make_unique_for_overwrite<BFloat16[]>(static_cast<std::size_t>(size)));
    BFloat16* const numbers = memory_.back().get();
    const float scale = std::sqrt(3.0f / static_cast<float>(cols)) / (1 << 15);
    parallel_blocks(size, 1 << 20, [&](Index first, Index count) {
      auto state = static_cast<std::uint32_t>(first + 1) * 2654435761u;
      for (Index i = first; i < first + count; ++i) {
        state = state * 1664525u + 1013904223u;  // Numerical Recipes' generator
        numbers[i] = BFloat16(scale * static_cast<float>(static_cast<std::int16_t>(state >> 16)));
      }
    });
    return {reinterpret_cast<const std::byte*>(numbers), StorageType::bfloat16, rows, cols};
  }
  static Vector vector(Index size) { return 0.1f * Vector::Random(size); }
  BiasedLinear biased(Index out, Index in) { return {matrix(out, in), vector(out)}; }
  static LayerNorm layer_norm(const VisionConfig& c) {
    return {vector(c.hidden_size), vector(c.hidden_size), c.layer_norm_eps};
  }

 private:
  std::vector<std::unique_ptr<BFloat16[]>> memory_;
};

/// One side of 270M-270M: every sixth layer is global.
inline TextConfig text_config_270m() {
  TextConfig c;
  c.hidden_size = 640;
  c.num_hidden_layers = 18;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 1;
  c.head_dim = 256;
  c.intermediate_size = 2048;
  c.vocab_size = 262144;
  c.sliding_window = 512;
  c.max_position_embeddings = 32768;
  c.rms_norm_eps = 1e-6f;
  c.query_pre_attn_scalar = 256;
  for (Index i = 1; i <= c.num_hidden_layers; ++i)
    c.layer_types.push_back(i % 6 == 0 ? LayerType::full_attention : LayerType::sliding_attention);
  c.full_attention = {.theta = 1e6, .factor = 8};
  c.sliding_attention = {.theta = 1e4, .factor = 1};
  return c;
}

inline Attention random_attention(RandomWeights& random, const TextConfig& c, LayerType type) {
  const Index d = c.hidden_size, q = c.num_attention_heads * c.head_dim,
              kv = c.num_key_value_heads * c.head_dim;
  return {.q_proj = random.matrix(q, d),
          .k_proj = random.matrix(kv, d),
          .v_proj = random.matrix(kv, d),
          .o_proj = random.matrix(d, q),
          .q_norm = random.vector(c.head_dim),
          .k_norm = random.vector(c.head_dim),
          .heads = c.heads(),
          .eps = c.rms_norm_eps,
          .scale = 1.0f / std::sqrt(c.query_pre_attn_scalar),
          .window = window_of(c, type)};
}

inline std::vector<Layer> random_layers(RandomWeights& random, const TextConfig& c) {
  const Index d = c.hidden_size, inside = c.intermediate_size;
  std::vector<Layer> layers;
  for (const LayerType type : c.layer_types)
    layers.push_back({.type = type,
                      .self_attn = random_attention(random, c, type),
                      .mlp = {.gate_proj = random.matrix(inside, d),
                              .up_proj = random.matrix(inside, d),
                              .down_proj = random.matrix(d, inside)},
                      .pre_self_attn_layernorm = random.vector(d),
                      .post_self_attn_layernorm = random.vector(d),
                      .pre_feedforward_layernorm = random.vector(d),
                      .post_feedforward_layernorm = random.vector(d),
                      .eps = c.rms_norm_eps});
  return layers;
}

/// SigLIP of 400M parameters. All layers share one's weights: they are few beside the products with them.
inline Vision random_vision(RandomWeights& random, Index d) {
  const VisionConfig c{.hidden_size = 1152,
                       .num_hidden_layers = 27,
                       .num_attention_heads = 16,
                       .intermediate_size = 4304,
                       .image_size = 896,
                       .patch_size = 14,
                       .num_channels = 3,
                       .layer_norm_eps = 1e-6f};
  const Index hidden = c.hidden_size, inside = c.intermediate_size, side = c.image_size / c.patch_size;
  const auto square = [&] { return random.biased(hidden, hidden); };
  const SiglipLayer layer{.layer_norm1 = random.layer_norm(c),
                          .layer_norm2 = random.layer_norm(c),
                          .q_proj = square(),
                          .k_proj = square(),
                          .v_proj = square(),
                          .out_proj = square(),
                          .fc1 = random.biased(inside, hidden),
                          .fc2 = random.biased(hidden, inside)};
  const Index patch = c.num_channels * c.patch_size * c.patch_size;
  return {.vision_tower = {.config = c,
                           .patch_embedding = random.biased(hidden, patch),
                           .position_embedding = random.matrix(side * side, hidden),
                           .layers = {static_cast<std::size_t>(c.num_hidden_layers), layer},
                           .post_layernorm = random.layer_norm(c)},
          .multi_modal_projector = {random.vector(hidden), random.matrix(hidden, d), c.layer_norm_eps},
          .mm_tokens_per_image = 256};
}

/// Random weights of 270M-270M's shapes.
inline BenchModel random_model() {
  const auto random = std::make_shared<RandomWeights>();
  const TextConfig c = text_config_270m();
  const Embedding embedding{.weight = random->matrix(c.vocab_size, c.hidden_size),
                            .eoi_embedding = random->vector(c.hidden_size),
                            .eoi_token_index = {}};
  return {.name = "270M-270M's shapes, random bfloat16",
          .encoder = {.config = c,
                      .embed_tokens = embedding,
                      .layers = random_layers(*random, c),
                      .norm = random->vector(c.hidden_size)},
          .decoder = {.config = c,
                      .embed_tokens = embedding,
                      .layers = random_layers(*random, c),
                      .norm = random->vector(c.hidden_size),
                      .lm_head = embedding.weight},
          .vision = random_vision(*random, c.hidden_size),
          .memory = random};
}

}  // namespace bench_program
