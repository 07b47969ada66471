// The cache of converted tokenizers. Converting the 33 MB of a tokenizer.json takes one to two seconds, so
// the result is kept as a SentencePiece model:
//
//   $XDG_CACHE_HOME/t5gemma2/tokenizer-3-<hash of tokenizer.json>.model   (~/.cache when it is not set)
//
// The last field of the file is a hash of everything before it. A file with another hash is ignored and
// written again. When the folder cannot be written to, tokenizer.json is converted at each start.
#pragma once
#define XXH_INLINE_ALL  // xxhash as a header, without its library
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iomanip>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

#include "../error.hpp"
#include "../io/atomic_file.hpp"
#include "../io/mapped_file.hpp"
#include "protobuf.hpp"
#include "sentencepiece_model.hpp"
#include "vocabulary.hpp"

namespace t5gemma2 {

/// The user's cache folder for this project; nothing when neither XDG_CACHE_HOME nor HOME is an
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

/// The file in the cache for the tokenizer.json with this `content`; nothing without a cache folder. The 3 in
/// its name is the version of the format: raise it when Piece, the scores or the flags change.
inline std::optional<std::filesystem::path> cache_file_for(std::string_view content) {
  const auto folder = cache_folder();
  if (!folder) return std::nullopt;
  const XXH128_hash_t hash = XXH3_128bits(content.data(), content.size());
  std::ostringstream name;
  name << "tokenizer-3-" << std::hex << std::setfill('0') << std::setw(16) << hash.high64 << std::setw(16)
       << hash.low64 << ".model";
  return *folder / name.str();
}

namespace cache_detail {

/// The last field of a file in the cache; `model` is everything before it.
inline std::string checksum(std::string_view model) {
  constexpr unsigned number = 200;  // in the ModelProto
  std::string field;
  wire::put_fixed(field, number, std::uint64_t{XXH3_64bits(model.data(), model.size())});
  return field;
}

}  // namespace cache_detail

/// The vocabulary in a `file` of the cache; nothing when the file is missing or broken.
inline std::optional<Vocabulary> read_cached(const std::filesystem::path& file) try {
  const MappedFile cached(file, "a cached tokenizer");
  const std::string_view content = as_text(cached.bytes());
  const std::size_t size = content.size() - std::min(content.size(), cache_detail::checksum("").size());
  if (content.substr(size) != cache_detail::checksum(content.substr(0, size))) return std::nullopt;
  return from_sentencepiece(content, file.string());
} catch (const std::exception&) {
  return std::nullopt;
}

/// Writes the vocabulary to a `file` of the cache, so that it is complete or not there. Failing is not
/// an error.
inline void write_cached(const std::filesystem::path& file, const Vocabulary& vocabulary) {
  const std::string model = to_sentencepiece(vocabulary);
  std::error_code ignored;
  std::filesystem::create_directories(file.parent_path(), ignored);
  try {
    write_atomically(file, [&](std::ostream& out) { out << model << cache_detail::checksum(model); });
  } catch (const Error&) {  // it is converted again next time
  }
}

}  // namespace t5gemma2
