// The vision half from a checkpoint, loaded for runs with images only.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "../checkpoint/safetensors.hpp"
#include "../config.hpp"
#include "../error.hpp"
#include "../weights.hpp"
#include "vision.hpp"

namespace t5gemma2 {

namespace vision_detail {

/// Throws Error unless the image divides into patches, their grid into image features, and the hidden size
/// into heads.
inline void check_sizes(const VisionConfig& c, Index mm_tokens_per_image) {
  const std::string at = "encoder.vision_config.";
  const auto divides = [&](Index part, Index whole, const char* field, const std::string& what) {
    if (part <= 0 || whole % part != 0)
      fail("config.json", at + field, "a divisor of " + what + " " + std::to_string(whole),
           std::to_string(part));
  };
  divides(c.patch_size, c.image_size, "patch_size", "image_size");
  divides(c.num_attention_heads, c.hidden_size, "num_attention_heads", "hidden_size");
  const std::string field = "encoder.mm_tokens_per_image", found = std::to_string(mm_tokens_per_image);
  const std::optional<Index> features_side = square_root(mm_tokens_per_image);
  if (!features_side) fail("config.json", field, "a square number", found);
  const Index side = c.image_size / c.patch_size;
  if (side % *features_side != 0)
    fail("config.json", field, "the square of a divisor of " + std::to_string(side) + " patches per side",
         found);
}

/// Reads tensors under model.encoder.vision_tower.
class TowerReader {
 public:
  TowerReader(WeightReader& read, const VisionConfig& config) : read_(read), eps_(config.layer_norm_eps) {}

  BiasedLinear linear(const std::string& name, Index out, Index in, const char* sizes) {
    return {read_.matrix(at_ + name + ".weight", out, in, reason(sizes)),
            read_.vector(at_ + name + ".bias", out, reason(sizes))};
  }
  LayerNorm norm(const std::string& name, Index size) {
    return {read_.vector(at_ + name + ".weight", size, reason("hidden_size")),
            read_.vector(at_ + name + ".bias", size, reason("hidden_size")), eps_};
  }
  SiglipLayer layer(const VisionConfig& c, Index number) {
    const std::string place = "encoder.layers." + std::to_string(number) + ".";
    const Index d = c.hidden_size, mlp = c.intermediate_size;
    const auto square = [&](const char* name) {
      return linear(place + "self_attn." + name, d, d, "hidden_size");
    };
    return {.layer_norm1 = norm(place + "layer_norm1", d),
            .layer_norm2 = norm(place + "layer_norm2", d),
            .q_proj = square("q_proj"),
            .k_proj = square("k_proj"),
            .v_proj = square("v_proj"),
            .out_proj = square("out_proj"),
            .fc1 = linear(place + "mlp.fc1", mlp, d, "intermediate_size, hidden_size"),
            .fc2 = linear(place + "mlp.fc2", d, mlp, "hidden_size, intermediate_size")};
  }
  BiasedLinear patch_embedding(const VisionConfig& c) {
    const std::string name = at_ + "embeddings.patch_embedding.",
                      sizes = "hidden_size, num_channels, patch_size, patch_size";
    const std::vector<Index> shape{c.hidden_size, c.num_channels, c.patch_size, c.patch_size};
    const StoredTensor& stored = read_.tensor(name + "weight", shape, reason(sizes.c_str()));
    check_shape(stored, shape, reason(sizes.c_str()));
    return {{stored.data, storage_type(stored), c.hidden_size, c.num_channels * c.patch_size * c.patch_size},
            read_.vector(name + "bias", c.hidden_size, reason("hidden_size"))};
  }
  Weight positions(const VisionConfig& c) {
    const Index side = c.image_size / c.patch_size;
    return read_.matrix(at_ + "embeddings.position_embedding.weight", side * side, c.hidden_size,
                        reason("(image_size/patch_size)^2, hidden_size"));
  }

 private:
  static std::string reason(const char* sizes) { return std::string("encoder.vision_config: ") + sizes; }

  WeightReader& read_;
  std::string at_ = "model.encoder.vision_tower.";
  float eps_;
};

}  // namespace vision_detail

/// Whether there is a vision half.
inline bool has_vision(const Config& config, const Checkpoint& checkpoint) {
  return config.vision &&
         WeightReader(checkpoint).has("model.encoder.vision_tower.embeddings.patch_embedding.weight");
}

/// The vision half; its matrices are views of the checkpoint, which must outlive it. Throws Error when the
/// checkpoint has no vision half or one that does not fit config.json.
inline Vision load_vision(const Config& config, const Checkpoint& checkpoint) {
  const std::string folder = checkpoint.folder().string();
  WeightReader read(checkpoint);
  if (!has_vision(config, checkpoint))
    throw Error(folder +
                ": an image was given, but this checkpoint has no vision encoder: it takes text only");
  if (!config.image_token_index)
    fail(folder + "/config.json", "image_token_index", "the id of image tokens", "nothing");
  const VisionConfig& c = *config.vision;
  vision_detail::check_sizes(c, config.mm_tokens_per_image);
  vision_detail::TowerReader tower(read, c);
  Vision vision{.vision_tower = {.config = c,
                                 .patch_embedding = tower.patch_embedding(c),
                                 .position_embedding = tower.positions(c),
                                 .layers = {},
                                 .post_layernorm = tower.norm("post_layernorm", c.hidden_size)},
                .multi_modal_projector = {},
                .mm_tokens_per_image = config.mm_tokens_per_image};
  for (Index i = 0; i < c.num_hidden_layers; ++i) vision.vision_tower.layers.push_back(tower.layer(c, i));
  const std::string at = "model.encoder.multi_modal_projector.",
                    sizes = "encoder: vision_config.hidden_size, text_config.hidden_size";
  vision.multi_modal_projector = {
      .mm_soft_emb_norm = read.vector(at + "mm_soft_emb_norm.weight", c.hidden_size, sizes),
      .mm_input_projection_weight =
          read.matrix(at + "mm_input_projection_weight", c.hidden_size, config.encoder.hidden_size, sizes),
      .eps = c.layer_norm_eps};
  return vision;
}

}  // namespace t5gemma2
