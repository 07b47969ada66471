// tokenizer_config.json, beside tokenizer.json. Only tokenizer.json decides which ids a text gets here.
// transformers differs where tokenizer_config.json names tokens that tokenizer.json lacks, which it adds, or
// asks for special tokens to be read as text: then a note says so.
//
// Reference: transformers tokenization_utils_tokenizers.py TokenizersBackend
#pragma once
#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "../io/json_fields.hpp"
#include "../io/mapped_file.hpp"
#include "tokenizer.hpp"

namespace t5gemma2 {

namespace tokenizer_config_detail {

/// The texts of the tokens in `value`: a text, {"content": text, ...}, or a list or object of these.
inline void collect_tokens(const nlohmann::json& value, std::set<std::string>& tokens) {
  if (value.is_string()) tokens.insert(value.get<std::string>());
  if (value.is_object() && value.contains("content")) {
    collect_tokens(value["content"], tokens);
  } else if (value.is_structured()) {
    for (const nlohmann::json& part : value) collect_tokens(part, tokens);
  }
}

/// The tokens that the file names: in fields such as "pad_token", and in lists.
inline std::set<std::string> tokens_named(const nlohmann::json& config) {
  constexpr std::array lists = {"added_tokens_decoder", "extra_special_tokens", "additional_special_tokens"};
  std::set<std::string> tokens;
  for (const auto& [key, value] : config.items()) {
    const bool is_list = std::ranges::find(lists, key) != lists.end();
    if (is_list || key.ends_with("_token")) collect_tokens(value, tokens);
  }
  return tokens;
}

}  // namespace tokenizer_config_detail

/// A note for each way in which transformers would give other ids with this model's tokenizer_config.json;
/// none when the folder holds no such file. Throws Error when it is not a JSON object.
inline std::vector<std::string> tokenizer_config_notes(const std::filesystem::path& folder,
                                                       const Tokenizer& tokenizer) {
  const std::filesystem::path path = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(path)) return {};
  const nlohmann::json config = parse_json(read_text(path, "a JSON file"), path.string());
  const JsonField split = JsonField(config, path.string())["split_special_tokens"];
  std::vector<std::string> notes;
  if (split.given() && split.boolean())
    notes.push_back("split_special_tokens of tokenizer_config.json is not followed: they stay tokens");
  // transformers obeys these two where there is no tokenizer.json, which says the same in its own way.
  const JsonField root(config, path.string()), bos = root["add_bos_token"], eos = root["add_eos_token"];
  const bool other = (bos.given() && !bos.boolean()) || (eos.given() && eos.boolean());
  if (other && !is_there(folder / "tokenizer.json"))
    notes.push_back(
        "add_bos_token and add_eos_token are not followed with tokenizer.model: a text gets <bos> alone");
  std::vector<std::string> lacking;
  for (const std::string& token : tokenizer_config_detail::tokens_named(config))
    if (!tokenizer.id_of(token)) lacking.push_back(readable(token));
  if (!lacking.empty()) {
    const std::string others =
        lacking.size() > 1 ? " and " + std::to_string(lacking.size() - 1) + " more" : "";
    notes.push_back("tokenizer_config.json names tokens that the tokenizer lacks, here plain text: " +
                    lacking[0] + others);
  }
  return notes;
}

}  // namespace t5gemma2
