// For tests: the vision half of the small checkpoints, the reference's tensors of an image, made-up towers.
//
//   images            all taps of two images, 6 x 6 patches, each feature the mean of 3 x 3
//   images_bfloat16   one image, 8 x 8 patches, each feature the mean of 2 x 2
#pragma once
#include <deque>

#include "argument_error.hpp"
#include "fixture.hpp"
#include "t5gemma2/vision/vision_weights.hpp"

namespace t5gemma2 {

inline const std::string tower_path = "model.encoder.vision_tower.",
                         projector_path = "model.encoder.multi_modal_projector";

/// "model.encoder.vision_tower.encoder.layers.1"
inline std::string siglip_layer_path(Index layer) {
  return tower_path + "encoder.layers." + std::to_string(layer);
}

/// A fixture's vision half, loaded once.
inline const Vision& fixture_vision(const std::string& name = "images") {
  static std::map<std::string, Vision> loaded;
  const auto at = loaded.find(name);
  if (at != loaded.end()) return at->second;
  const Model& model = fixture_model(name);
  return loaded.emplace(name, load_vision(model.config, *model.checkpoint)).first->second;
}

inline const SiglipLayer& fixture_siglip_layer(Index layer) {
  return fixture_vision().vision_tower.layers.at(static_cast<std::size_t>(layer));
}

/// The numbers of a fixture's images.
inline std::vector<Index> fixture_images(const std::string& fixture = "images") {
  const auto& tensors = fixture_reference(fixture).tensors;
  const auto found = tensors.find("inputs.pixel_values");
  REQUIRE(found != tensors.end());
  return range(0, found->second.shape.at(0) - 1);
}

/// One image's part of a tensor [images, rows, cols]: [rows, cols].
inline Matrix image_tensor(const std::string& name, Index image, const std::string& fixture = "images") {
  const Matrix all = reference_tensor(name, fixture);
  const Index rows = all.rows() / std::ssize(fixture_images(fixture));
  return all.middleRows(image * rows, rows);
}

/// One image's part of a tensor [images, channels, side, side] as [channels, side*side].
inline Matrix image_channels(const std::string& name, Index image, const std::string& fixture = "images") {
  const Matrix lines = image_tensor(name, image, fixture);  // [channels*side, side]
  const Index side = lines.cols();
  return Eigen::Map<const Matrix>(lines.data(), lines.rows() / side, side * side);
}

inline Matrix image_pixels(Index image, const std::string& fixture = "images") {
  return image_channels("inputs.pixel_values", image, fixture);
}

/// The features of all images of a fixture.
inline std::vector<Matrix> fixture_image_features(const std::string& fixture = "images") {
  std::vector<Matrix> features;
  for (const Index image : fixture_images(fixture))
    features.push_back(encode_image(fixture_vision(fixture), image_pixels(image, fixture)));
  return features;
}

/// Random vision weights, and their memory.
class RandomVision {
 public:
  RandomVision(const VisionConfig& c, Index mm_tokens_per_image, Index d) {
    const Index hidden = c.hidden_size, side = c.image_size / c.patch_size;
    vision_.mm_tokens_per_image = mm_tokens_per_image;
    Siglip& tower = vision_.vision_tower;
    tower.config = c;
    tower.patch_embedding = linear(hidden, c.num_channels * c.patch_size * c.patch_size);
    tower.position_embedding = matrix(side * side, hidden);
    for (Index i = 0; i < c.num_hidden_layers; ++i)
      tower.layers.push_back({.layer_norm1 = norm(c),
                              .layer_norm2 = norm(c),
                              .q_proj = linear(hidden, hidden),
                              .k_proj = linear(hidden, hidden),
                              .v_proj = linear(hidden, hidden),
                              .out_proj = linear(hidden, hidden),
                              .fc1 = linear(c.intermediate_size, hidden),
                              .fc2 = linear(hidden, c.intermediate_size)});
    tower.post_layernorm = norm(c);
    vision_.multi_modal_projector = {random_vector(hidden, ++seed_), matrix(hidden, d), c.layer_norm_eps};
  }
  RandomVision(const RandomVision&) = delete;
  RandomVision& operator=(const RandomVision&) = delete;

  Vision& vision() { return vision_; }

 private:
  Weight matrix(Index rows, Index cols) {
    return stored_.emplace_back(random_matrix(rows, cols, ++seed_)).weight();
  }
  BiasedLinear linear(Index out, Index in) {
    const Weight weight = matrix(out, in);
    return {weight, random_vector(out, ++seed_)};
  }
  LayerNorm norm(const VisionConfig& c) {
    const Vector weight = random_vector(c.hidden_size, ++seed_);
    return {weight, random_vector(c.hidden_size, ++seed_), c.layer_norm_eps};
  }

  std::deque<StoredMatrix> stored_;
  unsigned seed_ = 0;
  Vision vision_;
};

}  // namespace t5gemma2
