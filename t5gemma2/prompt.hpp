// A prompt with images (paper §2: image tokens are always fed to the encoder), in three steps:
//
//   images   = load_images(files)                                   pixels, and crops with pan and scan
//   ids      = encode_prompt(tokenizer, config, text, images)       [n], with image tokens in it
//   features = get_image_features(vision, images)                   [mm_tokens_per_image, d] of each image
//
// and then H = encode(model, ids, features). Each <start_of_image> in the text becomes, before tokenising,
//
//   "\n\n" <start_of_image> image token * mm_tokens_per_image <end_of_image> "\n\n"
//
// and one whose image has crops becomes
//
//   Here is the original image {image} and here are some crops to help you see better {crop} {crop}
//
// The paper leaves out these texts and the crops. The ids of the three tokens come from config.json: the
// tokenizer's texts for them differ between checkpoints.
//
// Reference: transformers models/gemma3/processing_gemma3.py Gemma3Processor.__call__;
// models/t5gemma2/modeling_t5gemma2.py T5Gemma2Encoder.get_image_features
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config.hpp"
#include "error.hpp"
#include "image/image.hpp"
#include "progress.hpp"
#include "tokenizer/tokenizer.hpp"
#include "tokenizer/utf8.hpp"
#include "trace.hpp"
#include "vision/vision.hpp"

namespace t5gemma2 {

// ---- images ----

/// An image of a prompt. The vision encoder reads it and each of its crops.
struct PromptImage {
  Image image;
  std::vector<Image> crops;  // none without pan and scan, or where the image needs none
};

/// The images in files; `with_crops` adds crops of wide and tall ones. Throws Error where load_image does.
template <class Files = std::vector<std::filesystem::path>>
std::vector<PromptImage> load_images(const Files& files, bool with_crops = false) {
  std::vector<PromptImage> images;
  for (const auto& file : files) {
    Image image = load_image(file);
    std::vector<Image> crops = with_crops ? pan_and_scan(image) : std::vector<Image>();
    images.push_back({std::move(image), std::move(crops)});
  }
  return images;
}

// ---- ids ----

inline constexpr std::string_view image_placeholder = "<start_of_image>";

/// The placeholders of `images` images, joined by spaces.
inline std::string prompt_of_images(std::size_t images) {
  std::string prompt;
  for (std::size_t i = 0; i < images; ++i) prompt.append(i > 0 ? " " : "").append(image_placeholder);
  return prompt;
}

/// The prompt with the placeholders of `images` images in front, unless it has placeholders of its own.
inline std::string with_placeholders(std::string_view prompt, std::size_t images) {
  const bool has_places = prompt.find(image_placeholder) != prompt.npos;
  return (has_places ? std::string() : prompt_of_images(images)).append(prompt);
}

/// The texts of `prompt` between its placeholders, one more than there are placeholders.
inline std::vector<std::string> split_at_placeholders(std::string_view prompt) {
  std::vector<std::string> texts;
  for (std::size_t at; (at = prompt.find(image_placeholder)) != prompt.npos;) {
    texts.emplace_back(prompt.substr(0, at));
    prompt.remove_prefix(at + image_placeholder.size());
  }
  texts.emplace_back(prompt);
  return texts;
}

/// The prompt with a placeholder for each crop, too. Throws Error unless it has one for each image.
inline std::string add_crops(std::string_view prompt, std::span<const PromptImage> images) {
  const std::vector<std::string> texts = split_at_placeholders(prompt);
  const std::size_t places = texts.size() - 1;
  if (places != images.size())
    fail("prompt", std::string(image_placeholder),
         "one for each of " + std::to_string(images.size()) + " images",
         std::to_string(places) +
             (places > images.size() ? "; give an image for each" : "; write one for each"));
  std::string expanded = texts[0];
  for (std::size_t i = 0; i < images.size(); ++i) {
    const std::string image(image_placeholder);
    const std::size_t crops = images[i].crops.size();
    expanded += crops == 0 ? image
                           : "Here is the original image " + image +
                                 " and here are some crops to help you see better " + prompt_of_images(crops);
    expanded += texts[i + 1];
  }
  return expanded;
}

/// The ids of bos, then of the text and, for each placeholder in it, of an image, then of eos where the tokenizer puts
/// it. Throws Error when
/// config.json does not name the ids that an image needs, and where Tokenizer::encode does.
inline std::vector<TokenId> encode_placeholders(const Tokenizer& tokenizer, const Config& config,
                                                std::string_view prompt) {
  const std::vector<std::string> texts = split_at_placeholders(prompt);
  const bool utf8 = valid_utf8(prompt) == prompt.size();  // if not, encode reports where in the prompt
  if (texts.size() == 1 || !utf8) return tokenizer.encode(prompt);
  if (!config.boi_token_index || !config.eoi_token_index || !config.image_token_index)
    fail("config.json", "boi_token_index, eoi_token_index, image_token_index", "ids for a prompt with images",
         "none");
  check_argument(config.mm_tokens_per_image > 0, "mm_tokens_per_image", "1 or more",
                 config.mm_tokens_per_image);
  std::vector<TokenId> ids{tokenizer.bos_id()};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string text = (i > 0 ? "\n\n" : "") + texts[i] + (i + 1 < texts.size() ? "\n\n" : "");
    const std::vector<TokenId> between = tokenizer.encode_start(text);
    ids.insert(ids.end(), between.begin() + 1, between.end());
    if (i + 1 == texts.size()) break;
    ids.push_back(static_cast<TokenId>(*config.boi_token_index));
    ids.insert(ids.end(), static_cast<std::size_t>(config.mm_tokens_per_image),
               static_cast<TokenId>(*config.image_token_index));
    ids.push_back(static_cast<TokenId>(*config.eoi_token_index));
  }
  if (tokenizer.eos_id()) ids.push_back(*tokenizer.eos_id());
  return ids;
}

/// Throws Error unless ids hold the image tokens of the images and their crops. Without images any ids are
/// accepted: an image token is then a token like any other.
inline void check_image_tokens(std::span<const TokenId> ids, const Config& config,
                               std::span<const PromptImage> images) {
  Index count = 0;
  for (const PromptImage& one : images) count += 1 + std::ssize(one.crops);
  if (count > 0) image_token_places(ids, config.image_token_index, count * config.mm_tokens_per_image);
}

/// The encoder's ids for a text with one placeholder for each image; for a text without any the images stand
/// in front. Throws Error unless placeholders and images match, when the text itself holds image tokens
/// beside images, and where encode_placeholders does.
inline std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, const Config& config,
                                          std::string_view prompt, std::span<const PromptImage> images = {}) {
  const std::string placed = with_placeholders(prompt, images.size());
  std::vector<TokenId> ids = encode_placeholders(tokenizer, config, add_crops(placed, images));
  check_image_tokens(ids, config, images);
  return ids;
}

// ---- features ----

/// The features [mm_tokens_per_image, d] of each image, each image followed by its crops; they may serve many
/// prompts. Progress counts layers, anew for each image or crop. The trace gets `inputs.pixel_values`, too;
/// its tensors are those of all images and crops, [images and crops, ...].
inline std::vector<Matrix> get_image_features(const Vision& vision, std::span<const PromptImage> images,
                                              const Progress& progress = {}, const Trace* trace = nullptr) {
  std::vector<Matrix> features;
  StackedTrace stacked;
  const Trace one = stacked.trace();
  const Index size = vision.vision_tower.config.image_size;
  const auto add = [&](const Image& image) {
    const Matrix pixels = pixel_values(image, size);
    if (trace) one.report("inputs.pixel_values", {1, pixels.rows(), size, size}, pixels.data());
    features.push_back(encode_image(vision, pixels, progress, trace ? &one : nullptr));
  };
  for (const PromptImage& each : images) {
    add(each.image);
    for (const Image& crop : each.crops) add(crop);
  }
  if (trace) stacked.report_to(*trace);
  return features;
}

}  // namespace t5gemma2
