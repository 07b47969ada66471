// Images and a text, ready for the encoder: each image (and each of its crops) through the vision encoder,
// the text with the full sequence of image tokens in it. Reference: transformers Gemma3Processor.__call__.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "image.hpp"
#include "prompt.hpp"
#include "vision.hpp"

namespace t5gemma2 {

/// The tokens of each picture, an image's crops right after it; may serve many prompts.
struct ImageFeatures {
  std::vector<Matrix> tokens;      // [mm_tokens_per_image, d] each
  std::vector<std::size_t> crops;  // of each image
};

/// `pan_and_scan_too` adds crops of wide and tall images. Progress is told per picture.
inline ImageFeatures encode_images(const Vision& vision, const std::vector<Image>& images,
                                   bool pan_and_scan_too = false, const Progress& progress = {},
                                   const Trace* trace = nullptr) {
  ImageFeatures features;
  StackedTrace stacked;
  const Trace one = stacked.trace();
  for (const Image& image : images) {
    std::vector<Image> pictures = pan_and_scan_too ? pan_and_scan(image) : std::vector<Image>();
    features.crops.push_back(pictures.size());
    pictures.insert(pictures.begin(), image);
    for (const Image& picture : pictures) {
      const Matrix pixels = pixel_values(picture, vision.vision_tower.config.image_size);
      features.tokens.push_back(encode_image(vision, pixels, progress, trace ? &one : nullptr));
    }
  }
  if (trace) stacked.report_to(*trace);
  return features;
}

/// The encoder's ids for a text with one placeholder for each image; `prompt` empty and images given: the
/// images alone. Throws Error unless placeholders and images match, and where encode_prompt does.
inline std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, const Config& config,
                                          std::string_view prompt, const ImageFeatures& images) {
  const bool alone = prompt.empty() && !images.crops.empty();
  return encode_prompt(tokenizer, config,
                       add_crops(alone ? prompt_of_images(images.crops.size()) : prompt, images.crops));
}

}  // namespace t5gemma2
