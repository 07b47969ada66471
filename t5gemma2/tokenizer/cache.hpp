// Converting the 33 MB of tokenizer.json takes a second or two, so the result is kept as a SentencePiece
// model:
//
//   $XDG_CACHE_HOME/t5gemma2/tokenizer-2-<hash of tokenizer.json>.model     (~/.cache when XDG_CACHE_HOME is
//   not set)
//
// Its last field is a hash of all before it. A file that does not fit is written anew; a folder that cannot
// be written to costs the second at each start, nothing else.
#pragma once
#define XXH_INLINE_ALL  // xxhash as a header, without its library
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../io/mapped_file.hpp"
#include "sentencepiece_model.hpp"
#include "tokenizer_json.hpp"

namespace t5gemma2 {

/// The user's folder for this project's kept files; nothing when neither XDG_CACHE_HOME nor HOME is an
/// absolute path.
inline std::optional<std::filesystem::path> cache_folder() {
  const auto absolute = [](const char* variable) {
    const char* value = std::getenv(variable);
    const std::filesystem::path path = value != nullptr ? value : "";
    return path.is_absolute() ? std::optional(path) : std::nullopt;
  };
  if (const auto cache = absolute("XDG_CACHE_HOME")) return *cache / "t5gemma2";
  if (const auto home = absolute("HOME")) return *home / ".cache" / "t5gemma2";
  return std::nullopt;
}

namespace cache_detail {

/// The file that keeps what was made from `content`. The 2 is the format's version: raise it when Piece, the
/// scores or the flags change.
inline std::optional<std::filesystem::path> file_for(std::string_view content) {
  const auto folder = cache_folder();
  if (!folder) return std::nullopt;
  const XXH128_hash_t hash = XXH3_128bits(content.data(), content.size());
  std::ostringstream name;
  name << "tokenizer-2-" << std::hex << std::setfill('0') << std::setw(16) << hash.high64 << std::setw(16)
       << hash.low64 << ".model";
  return *folder / name.str();
}

inline std::string checksum(std::string_view model) {
  std::string field;
  wire::put_fixed(field, checksum_field, std::uint64_t{XXH3_64bits(model.data(), model.size())});
  return field;
}

/// What is kept in `file`; nothing when it is missing or broken.
inline std::optional<Vocabulary> read(const std::filesystem::path& file) try {
  const MappedFile kept(file, "a kept tokenizer");
  const std::string_view content = as_text(kept.bytes());
  const std::size_t size = content.size() - std::min(content.size(), checksum("").size());
  if (content.substr(size) != checksum(content.substr(0, size))) return std::nullopt;
  return from_sentencepiece(content, file.string());
} catch (const std::exception&) {
  return std::nullopt;
}

/// Writes beside `file` and renames, so that nobody ever reads half a file. Failing is not an error.
inline void write(const std::filesystem::path& file, const Vocabulary& vocabulary) {
  const std::string model = to_sentencepiece(vocabulary);
  const std::filesystem::path beside = file.string() + "." + std::to_string(std::random_device{}());
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  std::ofstream out(beside, std::ios::binary);
  out << model << checksum(model);
  out.close();
  if (out) std::filesystem::rename(beside, file, error);
  if (!out || error) std::filesystem::remove(beside, error);
}

}  // namespace cache_detail

/// Throws Error naming `file` and the piece that stands there twice.
inline void refuse_twins(const Vocabulary& vocabulary, const std::string& file) {
  std::vector<std::string_view> texts;
  for (const Piece& piece : vocabulary.pieces)
    if (!piece.text.empty()) texts.push_back(piece.text);
  std::ranges::sort(texts);
  const auto twin = std::ranges::adjacent_find(texts);
  if (twin != texts.end()) fail(file, "piece " + in_quotes(*twin), "one id", "two");
}

/// The pieces in a tokenizer.json (kept in the cache folder after the first time) or, when its name ends in
/// .model, in a SentencePiece model. Throws Error naming the file and the field that is not as it should be.
inline Vocabulary read_vocabulary(const std::filesystem::path& path) {
  const bool is_model = path.extension() == ".model";
  const std::string expected = is_model ? "a SentencePiece model" : "a tokenizer.json";
  const MappedFile file(path, expected);
  const std::string_view content = as_text(file.bytes());
  refuse_impostor(content, path.string(), expected);
  if (is_model) {
    Vocabulary vocabulary = from_sentencepiece(content, path.string());
    refuse_twins(vocabulary, path.string());
    return vocabulary;
  }
  const auto kept = cache_detail::file_for(content);
  if (kept) {
    if (auto vocabulary = cache_detail::read(*kept)) return *std::move(vocabulary);
  }
  Vocabulary vocabulary = vocabulary_from_json(content, path.string());
  if (kept) cache_detail::write(*kept, vocabulary);
  return vocabulary;
}

}  // namespace t5gemma2
