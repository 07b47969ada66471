// The vision half: SigLIP and the projector.
//
//   features = encode_image(vision, pixels)       once per image; serves many prompts
//   H = encode(model, ids, {features, ...})       model.hpp
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2Encoder.get_image_features
#pragma once
#include "../progress.hpp"
#include "../trace.hpp"
#include "image_features.hpp"
#include "siglip.hpp"

namespace t5gemma2 {

/// Members are named as in the checkpoint and in config.json.
struct Vision {
  Siglip vision_tower;
  MultiModalProjector multi_modal_projector;
  Index mm_tokens_per_image = 0;
};

/// pixels [channels, image_size*image_size] in [-1, 1] (image.hpp: pixel_values) -> its image features
/// [mm_tokens_per_image, d]. Progress counts layers, by the work done. Throws std::invalid_argument where `vision` is
/// incomplete or shapes do not fit.
inline Matrix encode_image(const Vision& vision, const Matrix& pixels, const Progress& progress = {},
                           const Trace* trace = nullptr) {
  const Tap tap = trace ? Tap(*trace) / "model" / "encoder" : Tap();
  const Matrix patches = siglip(vision.vision_tower, pixels, tap / "vision_tower", progress);
  return image_features(vision.multi_modal_projector, patches, vision.mm_tokens_per_image,
                        tap / "multi_modal_projector");
}

}  // namespace t5gemma2
