// A prompt with images (paper §2: image tokens are always fed to the encoder). Each <start_of_image> becomes,
// before tokenising,
//
//   "\n\n" <start_of_image> image token * mm_tokens_per_image <end_of_image> "\n\n"
//
// and an image with crops (pan and scan) brings its crops along:
//
//   Here is the original image {image} and here are some crops to help you see better {crop} {crop}
//
// The paper leaves out all of it. The ids of the three tokens come from config.json: the tokenizer's texts
// for them differ between checkpoints. Reference: transformers Gemma3Processor.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config.hpp"
#include "error.hpp"
#include "tokenizer/tokenizer.hpp"
#include "tokenizer/utf8.hpp"

namespace t5gemma2 {

inline constexpr std::string_view image_placeholder = "<start_of_image>";

/// The placeholders of `images` images, joined by spaces.
inline std::string prompt_of_images(std::size_t images) {
  std::string prompt;
  for (std::size_t i = 0; i < images; ++i) prompt.append(i > 0 ? " " : "").append(image_placeholder);
  return prompt;
}

/// The prompt as it is where it says where `images` images go, else with their placeholders in front.
inline std::string with_placeholders(std::string_view prompt, std::size_t images) {
  const bool has_places = prompt.find(image_placeholder) != prompt.npos;
  return (has_places ? std::string() : prompt_of_images(images)).append(prompt);
}

/// The stretches of `prompt` between its placeholders, one more than there are placeholders.
inline std::vector<std::string> split_at_placeholders(std::string_view prompt) {
  std::vector<std::string> texts;
  for (std::size_t at; (at = prompt.find(image_placeholder)) != prompt.npos;) {
    texts.emplace_back(prompt.substr(0, at));
    prompt.remove_prefix(at + image_placeholder.size());
  }
  texts.emplace_back(prompt);
  return texts;
}

/// The prompt with a placeholder for each crop; crops[i] is the number of crops of image i.
/// Throws Error unless there is one placeholder for each image.
inline std::string add_crops(std::string_view prompt, std::span<const std::size_t> crops) {
  const std::vector<std::string> texts = split_at_placeholders(prompt);
  const std::size_t images = crops.size(), places = texts.size() - 1;
  if (places != images)
    fail("prompt", std::string(image_placeholder), "one for each of " + std::to_string(images) + " images",
         std::to_string(places) + (places > images ? "; give an image for each" : "; write one for each"));
  std::string expanded = texts[0];
  for (std::size_t i = 0; i < crops.size(); ++i) {
    const std::string image(image_placeholder);
    expanded += crops[i] == 0
                    ? image
                    : "Here is the original image " + image +
                          " and here are some crops to help you see better " + prompt_of_images(crops[i]);
    expanded += texts[i + 1];
  }
  return expanded;
}

/// The encoder's ids: bos, and the full sequence of tokens for each placeholder.
/// Throws Error when config.json does not name the ids that an image needs, and where Tokenizer::encode does.
inline std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, const Config& config,
                                          std::string_view prompt) {
  const std::vector<std::string> texts = split_at_placeholders(prompt);
  const bool utf8 = valid_utf8(prompt) == prompt.size();  // if not, encode says where in the whole prompt
  if (texts.size() == 1 || !utf8) return tokenizer.encode(prompt);
  if (!config.boi_token_index || !config.eoi_token_index || !config.image_token_index)
    fail("config.json", "boi_token_index, eoi_token_index, image_token_index", "ids for a prompt with images",
         "none");
  std::vector<TokenId> ids{tokenizer.bos_id()};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string text = (i > 0 ? "\n\n" : "") + texts[i] + (i + 1 < texts.size() ? "\n\n" : "");
    const std::vector<TokenId> between = tokenizer.encode(text);
    ids.insert(ids.end(), between.begin() + 1, between.end());
    if (i + 1 == texts.size()) break;
    ids.push_back(static_cast<TokenId>(*config.boi_token_index));
    ids.insert(ids.end(), static_cast<std::size_t>(config.mm_tokens_per_image),
               static_cast<TokenId>(*config.image_token_index));
    ids.push_back(static_cast<TokenId>(*config.eoi_token_index));
  }
  return ids;
}

}  // namespace t5gemma2
