// libFuzzer: a prompt with placeholders, and how many crops each image has. The ids are those that Gemma 3's
// processor makes (placeholders written out, then tokenised), or an Error says what does not match.
//
//   first byte   the number of images, modulo 8
//   then         a byte for each image: its crops, modulo 5
//   then         the prompt; \x01 stands for a placeholder
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "t5gemma2/prompt.hpp"

namespace {

using namespace t5gemma2;

constexpr std::string_view image_text = "<image_soft_token>", end_text = "<end_of_image>";

/// Runs of newlines and spaces, the texts of an image's tokens, bytes, and a few pieces to merge.
Tokenizer tiny() {
  Vocabulary vocabulary{.pieces = {}, .bos = 2, .unk = 3};
  const auto add = [&](std::string_view text, PieceType type, bool added = false) {
    const float score = -static_cast<float>(vocabulary.pieces.size());
    vocabulary.pieces.push_back(
        {.text = std::string(text), .score = score, .type = type, .added = added, .special = added});
  };
  for (const char* text : {"<pad>", "<eos>", "<bos>"}) add(text, PieceType::control, true);
  add("<unk>", PieceType::unknown, true);
  for (const std::string_view text : {image_placeholder, end_text, image_text})
    add(text, PieceType::control, true);
  for (const char* text : {"\n", "\n\n", "\n\n\n", "\n\n\n\n", "<b>"}) add(text, PieceType::control, true);
  for (const char* text : {"▁▁▁", "▁▁"}) add(text, PieceType::normal, true);
  constexpr std::string_view digits = "0123456789ABCDEF";
  for (std::size_t byte = 0; byte < 256; ++byte)
    add(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">", PieceType::byte);
  for (const char* text : {"ab", "▁a", "</", ">▁</", "age", "▁", "a", "b", "g", "e", "<", ">", "/"})
    add(text, PieceType::normal);
  return Tokenizer(vocabulary);
}

void replace_all(std::string& text, std::string_view part, std::string_view by) {
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += by.size())
    text.replace(at, part.size(), by);
}

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Tokenizer tokenizer = tiny();
  Config config;
  config.boi_token_index = tokenizer.id_of(image_placeholder);
  config.image_token_index = tokenizer.id_of(image_text);
  config.eoi_token_index = tokenizer.id_of(end_text);
  config.mm_tokens_per_image = 2;

  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto take = [&]() -> std::size_t {
    if (bytes.empty()) return 0;
    const auto byte = static_cast<unsigned char>(bytes[0]);
    bytes.remove_prefix(1);
    return byte;
  };
  std::vector<PromptImage> images(take() % 8);
  for (PromptImage& one : images) one.crops.resize(take() % 5);
  std::string prompt(bytes);
  replace_all(prompt, "\x01", image_placeholder);

  const std::size_t placeholders = split_at_placeholders(prompt).size() - 1;
  std::string expanded;
  try {
    expanded = add_crops(prompt, images);
    require(placeholders == images.size());
  } catch (const Error&) {
    require(placeholders != images.size());
    return 0;
  }
  std::size_t pieces = images.size() + 1;
  for (const PromptImage& one : images) pieces += one.crops.size();
  require(split_at_placeholders(expanded).size() == pieces);

  std::string written_out = expanded;
  std::string sequence = "\n\n";
  sequence.append(image_placeholder).append(image_text).append(image_text).append(end_text).append("\n\n");
  replace_all(written_out, image_placeholder, sequence);
  std::vector<TokenId> ids;
  try {
    ids = encode_placeholders(tokenizer, config, expanded);
  } catch (const Error&) {
    require(valid_utf8(expanded) != expanded.size());
    return 0;
  }
  require(ids == tokenizer.encode(written_out));
  return 0;
}
