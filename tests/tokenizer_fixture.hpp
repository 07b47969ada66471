// For tests: a small vocabulary built like Gemma's (tests/data/tokenizer), what the tokenizers library makes
// of texts with it, and the errors about files like it.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "scratch.hpp"
#include "t5gemma2/tokenizer/text_stream.hpp"
#include "t5gemma2/tokenizer/tokenizer.hpp"

namespace tokenizer_fixture {

using namespace t5gemma2;
using nlohmann::json;

using Ids = std::vector<TokenId>;

inline const std::filesystem::path data = std::filesystem::path(T5GEMMA2_TEST_DATA) / "tokenizer";

inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline json tokenizer_json() { return json::parse(content_of(data / "tokenizer.json")); }

/// The same with <eos> behind every text.
inline json with_eos() {
  json file = tokenizer_json();
  json& processor = file["post_processor"];
  processor["single"].push_back({{"SpecialToken", {{"id", "<eos>"}, {"type_id", 0}}}});
  for (const json& token : file["added_tokens"])
    if (token["content"] == "<eos>")
      processor["special_tokens"]["<eos>"] = {{"id", "<eos>"}, {"ids", {token["id"]}}, {"tokens", {"<eos>"}}};
  return file;
}

inline Tokenizer from(const json& file) {
  return Tokenizer(vocabulary_from_json(file.dump(), "tokenizer.json"));
}

inline const Tokenizer& small() {
  static const Tokenizer tokenizer = from(tokenizer_json());
  return tokenizer;
}

/// {"text": ..., "ids": [...], "decoded": [without, with special pieces]}; text may be missing.
inline const json& expectations() {
  static const json all = json::parse(content_of(data / "expected.json"));
  return all;
}

/// Sets XDG_CACHE_HOME for a test.
class CacheAt {
 public:
  explicit CacheAt(const std::filesystem::path& folder) { ::setenv("XDG_CACHE_HOME", folder.c_str(), 1); }
  CacheAt(const CacheAt&) = delete;
  CacheAt& operator=(const CacheAt&) = delete;
  ~CacheAt() {
    if (before_)
      ::setenv("XDG_CACHE_HOME", before_->c_str(), 1);
    else
      ::unsetenv("XDG_CACHE_HOME");
  }

 private:
  std::optional<std::string> before_ = std::getenv("XDG_CACHE_HOME") == nullptr
                                           ? std::nullopt
                                           : std::optional<std::string>(std::getenv("XDG_CACHE_HOME"));
};

/// The complaint about the tokenizer.json that `change` makes out of the good one.
inline std::string complaint(const std::function<void(json&)>& change) {
  json file = tokenizer_json();
  change(file);
  const std::string message = error_of([&] { vocabulary_from_json(file.dump(), "tokenizer.json"); });
  CHECK(message.starts_with("tokenizer.json: "));
  return message;
}

/// The complaint about a file of this name and content.
inline std::string complaint(const std::string& name, const std::string& content) {
  const ScratchFolder folder;
  const CacheAt cache(folder.path() / "cache");
  const auto file = folder.write(name, content);
  const std::string message = error_of([&] { Tokenizer::load(file); });
  CHECK(message.starts_with(file.string() + ": "));
  return message;
}

}  // namespace tokenizer_fixture
