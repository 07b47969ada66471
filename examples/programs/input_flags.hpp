// The input of generate, look and trace: text, images, or ids in place of a text.
#pragma once
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "common_flags.hpp"
#include "files.hpp"
#include "ids.hpp"
#include "t5gemma2/generate.hpp"
#include "t5gemma2/prompt.hpp"
#include "t5gemma2/tokenizer/tokenizer.hpp"

namespace cli {

using namespace t5gemma2;

struct Input {
  std::optional<std::string> prompt, decoder_prompt;
  std::vector<std::string> images;  // files
  std::optional<std::string> input_ids, decoder_input_ids;
  bool raw_prompt = false;
  bool images_in_front = false;  // asked for: no note where the prompt does not place them

  bool has_text() const { return prompt || input_ids; }
  bool has_encoder_input() const { return has_text() || !images.empty(); }
  bool empty() const { return !has_encoder_input() && !decoder_prompt && !decoder_input_ids; }
};

/// `what` describes the decoder prompt. With `positional`, PROMPT without a flag is the prompt, too.
inline void add_input_flags(App& app, Input& input, const std::string& what, bool positional) {
  app.group("Input");
  Option* prompt = app.add_option("-p,--prompt", input.prompt, "text for the encoder; \"\" is <bos> alone");
  Option* word = positional ? app.add_option("PROMPT", input.prompt, "the prompt, without -p") : nullptr;
  app.add_option("--image", input.images,
                 "image for the encoder, at the prompt's <start_of_image> or else in front; repeatable")
      ->value("IMAGE")
      ->allow_extra_args(false);
  Option* raw = app.add_flag("--raw-prompt", input.raw_prompt,
                             "read <start_of_image> as a token, not as the place of an image");
  Option* decoder = app.add_option("--decoder-prompt", input.decoder_prompt, what);
  Option* ids =
      app.add_option("--input-ids", input.input_ids, "the encoder's ids, such as 2,5,7, in place of a text")
          ->value("IDS")
          ->excludes(prompt)
          ->excludes(raw);
  app.add_option("--decoder-input-ids", input.decoder_input_ids, "the decoder's ids, in place of a text")
      ->value("IDS")
      ->excludes(decoder);
  if (positional) word->excludes(prompt)->excludes(ids);
}

/// The tokenizer for a text. Throws Error where the model has none.
inline const Tokenizer& tokenizer_for_text(
    const Tokenizer* tokenizer, const std::string& takes_ids = "--input-ids and --decoder-input-ids take") {
  if (tokenizer == nullptr)
    throw Error("the model's folder: expected tokenizer.json or tokenizer.model for a text, found neither; " +
                takes_ids + " ids");
  return *tokenizer;
}

/// The encoder's ids: those given, or the prompt's with the image tokens of the images. A note says so where
/// images stand in front of the prompt because it does not place them. `tokenizer` is null where the model
/// has none.
inline std::vector<TokenId> encoder_ids(const Input& input, const Tokenizer* tokenizer, const Config& config,
                                        std::span<const PromptImage> images, bool quiet) {
  if (!input.has_encoder_input()) return {};
  const std::string prompt = input.prompt.value_or("");
  if (input.input_ids || input.raw_prompt) {
    std::vector<TokenId> ids = input.input_ids ? parse_ids(*input.input_ids, "--input-ids")
                                               : tokenizer_for_text(tokenizer).encode(prompt);
    check_ids(ids, config.encoder.vocab_size);
    check_image_tokens(ids, config, images);
    return ids;
  }
  const Tokenizer& of_text = tokenizer_for_text(tokenizer);
  const bool placed = input.images_in_front || prompt.find(image_placeholder) != prompt.npos;
  if (!images.empty() && !prompt.empty() && !placed)
    note("the prompt has no <start_of_image>, so the images come first", quiet);
  return encode_prompt(of_text, config, prompt, images);
}

/// The decoder's ids: those given, or the start token and the decoder prompt's. `tokenizer` is null where the
/// model has none.
inline std::vector<TokenId> decoder_ids(const Input& input, const Model& model, const Tokenizer* tokenizer) {
  if (input.decoder_input_ids) {
    std::vector<TokenId> ids = parse_ids(*input.decoder_input_ids, "--decoder-input-ids");
    if (ids.empty()) throw UsageError("--decoder-input-ids: expected at least one id, found none");
    check_ids(ids, model.config.decoder.vocab_size, "decoder prompt");
    return ids;
  }
  if (tokenizer != nullptr || input.decoder_prompt)
    return decoder_prompt(model, tokenizer_for_text(tokenizer), input.decoder_prompt);
  return {decoder_start(model).value()};  // load_model names one
}

/// Throws UsageError where images are given and the prompt is a file: --image a.png b.png
inline void check_prompt(const Input& input) {
  std::error_code none;
  if (!input.images.empty() && input.prompt && std::filesystem::is_regular_file(*input.prompt, none))
    throw UsageError(*input.prompt + ": expected a prompt, found a file; each image has its own --image");
}

/// Throws UsageError where there is no input; `advice` follows the message.
inline void check_not_empty(const Input& input, const std::string& advice = "") {
  if (input.empty())
    throw UsageError("expected a prompt (-p TEXT), --image or --decoder-prompt, found none" + advice);
}

/// The stream to read: stdin for "-", otherwise `file`, opened in `opened`. Throws Error when that fails.
inline std::istream& open_input(const std::string& file, std::ifstream& opened) {
  if (file == "-") return std::cin;
  std::error_code none;  // a failure shows when the file is opened
  if (std::filesystem::is_directory(file, none)) fail_file(file, "a file to read", "a folder");
  opened.open(file);
  if (!opened) fail_file(file, "a file to read", std::strerror(errno));
  return opened;
}

/// The text of a file, or for "-" of stdin, without one newline at its end, which editors and echo add.
inline std::string read_prompt(const std::string& file, bool quiet) {
  std::ifstream opened;
  std::istream& in = open_input(file, opened);
  if (&in == &std::cin) note_waiting("the prompt", quiet);
  std::string text(std::istreambuf_iterator<char>(in), {});
  check_stdin();
  end_typed_line(in, text);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace cli
