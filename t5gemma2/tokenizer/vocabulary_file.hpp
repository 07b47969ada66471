// The vocabulary in a file: tokenizer.json, by way of the cache, or tokenizer.model; and what tokenizer_config.json beside
// it says about eos.
#pragma once
#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "../error.hpp"
#include "../io/json_fields.hpp"
#include "../io/mapped_file.hpp"
#include "cache.hpp"
#include "sentencepiece_model.hpp"
#include "tokenizer_json.hpp"
#include "vocabulary.hpp"

namespace t5gemma2 {

namespace vocabulary_file_detail {

/// Throws Error naming `file` and a piece that has two ids.
inline void check_texts_differ(const Vocabulary& vocabulary, const std::string& file) {
  std::vector<std::string_view> texts;
  for (const Piece& piece : vocabulary.pieces)
    if (!piece.text.empty()) texts.push_back(piece.text);
  std::ranges::sort(texts);
  const auto repeated = std::ranges::adjacent_find(texts);
  if (repeated != texts.end()) fail(file, "piece " + in_quotes(*repeated), "one id", "two");
}

inline Vocabulary read_model(std::string_view content, const std::string& file) {
  Vocabulary vocabulary = from_sentencepiece(content, file);
  check_texts_differ(vocabulary, file);
  return vocabulary;
}

inline Vocabulary read_json(std::string_view content, const std::string& file) {
  const auto cache_file = cache_file_for(content);
  if (!cache_file) return vocabulary_from_json(content, file);
  if (auto cached = read_cached(*cache_file)) return *std::move(cached);
  Vocabulary vocabulary = vocabulary_from_json(content, file);
  write_cached(*cache_file, vocabulary);
  return vocabulary;
}

}  // namespace vocabulary_file_detail

/// The vocabulary in a SentencePiece model, whose name ends in .model, or in a tokenizer.json. Throws Error
/// naming the file and the field that is not as it should be.
inline Vocabulary read_vocabulary(const std::filesystem::path& path) {
  const bool is_model = path.extension() == ".model";
  const std::string expected = is_model ? "a SentencePiece model" : "a tokenizer.json";
  const MappedFile file(path, expected);
  const std::string_view content = as_text(file.bytes());
  refuse_failed_download(content, path.string(), expected);
  return is_model ? vocabulary_file_detail::read_model(content, path.string())
                  : vocabulary_file_detail::read_json(content, path.string());
}

/// The file of a model's folder that holds its vocabulary: tokenizer.json, else tokenizer.model.
inline std::filesystem::path vocabulary_file_of(const std::filesystem::path& folder) {
  const bool is_model = !is_there(folder / "tokenizer.json") && is_there(folder / "tokenizer.model");
  return folder / (is_model ? "tokenizer.model" : "tokenizer.json");
}

/// Puts eos behind every text, or takes it away, where add_eos_token of the folder's tokenizer_config.json says so:
/// as in transformers, it comes before what the vocabulary's file says. Throws Error naming the field that is wrong.
inline void follow_add_eos_token(const std::filesystem::path& folder, Vocabulary& vocabulary) {
  const std::filesystem::path file = folder / "tokenizer_config.json";
  if (!is_there(file)) return;
  const nlohmann::json json = parse_json(read_text(file, "a JSON file"), file.string());
  const JsonField config(json, file.string()), add = config["add_eos_token"], eos = config["eos_token"];
  if (!add.given()) return;
  vocabulary.eos.reset();
  if (!add.boolean()) return;
  const std::string& text = (eos.is_text() ? eos : eos["content"]).text();
  const auto found = std::ranges::find(vocabulary.pieces, text, &Piece::text);
  if (found == vocabulary.pieces.end()) eos.refuse("a token of the tokenizer, for add_eos_token");
  vocabulary.eos = static_cast<TokenId>(found - vocabulary.pieces.begin());
}

}  // namespace t5gemma2
