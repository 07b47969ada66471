// Images and a text, ready for the encoder: each image (and each of its crops) through the vision encoder,
// the text with the full sequence of image tokens in it. Reference: transformers Gemma3Processor.__call__.
#pragma once
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "image/image.hpp"
#include "progress.hpp"
#include "prompt.hpp"
#include "vision/vision.hpp"

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

/// The crops of each image, known before the vision encoder runs.
inline std::vector<std::size_t> count_crops(const std::vector<Image>& images, bool pan_and_scan_too) {
  std::vector<std::size_t> crops;
  for (const Image& image : images) crops.push_back(pan_and_scan_too ? pan_and_scan(image).size() : 0);
  return crops;
}

/// Throws Error unless `ids` hold the image tokens of the pictures: image i and its crops[i] crops.
inline void check_pictures(std::span<const TokenId> ids, const Config& config,
                           std::span<const std::size_t> crops) {
  const std::size_t pictures = std::accumulate(crops.begin(), crops.end(), crops.size());
  if (pictures > 0)
    check_places(ids, config.image_token_index, static_cast<Index>(pictures) * config.mm_tokens_per_image);
}

/// The encoder's ids for a text with one placeholder for each image, image i with crops[i] crops; for a text
/// without any the images stand in front. Throws Error unless placeholders and images match, when the text
/// itself holds image tokens, and where encode_prompt does.
inline std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, const Config& config,
                                          std::string_view prompt, std::span<const std::size_t> crops) {
  const std::string placed = with_placeholders(prompt, crops.size());
  std::vector<TokenId> ids = encode_prompt(tokenizer, config, add_crops(placed, crops));
  check_pictures(ids, config, crops);
  return ids;
}

}  // namespace t5gemma2
