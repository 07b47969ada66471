// The vocabulary in a file: tokenizer.json, by way of the cache, or tokenizer.model.
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

}  // namespace t5gemma2
