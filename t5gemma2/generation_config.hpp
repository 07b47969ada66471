// generation_config.json: the checkpoint's own defaults for generation. Missing file or fields: nothing is
// set. Reference: transformers GenerationConfig.
#pragma once
#include <filesystem>
#include <optional>
#include <vector>

#include "json_fields.hpp"
#include "mapped_file.hpp"

namespace t5gemma2 {

/// Members are named as in the file.
struct GenerationConfig {
  std::vector<TokenId> eos_token_id;  // empty: config.json's
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<Index> top_k, max_new_tokens;
  bool do_sample = false;
};

/// Throws Error when the file is there but wrong.
inline GenerationConfig load_generation_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "generation_config.json";
  GenerationConfig config;
  if (!std::filesystem::exists(path)) return config;
  const nlohmann::json json = parse_json(read_text(path, "a JSON file"), path.string());
  const JsonField whole(json, path.string());
  constexpr Index most = std::numeric_limits<TokenId>::max();
  const auto number = [&](const char* key, double low, double high) {
    const JsonField field = whole[key];
    return field.given() ? std::optional(static_cast<float>(field.number(low, high))) : std::nullopt;
  };
  const auto integer = [&](const char* key) {
    const JsonField field = whole[key];
    return field.given() ? std::optional(field.integer(0, most)) : std::nullopt;
  };
  if (const JsonField eos = whole["eos_token_id"]; eos.is_array()) {
    for (const JsonField& id : eos.items())
      config.eos_token_id.push_back(static_cast<TokenId>(id.integer(0, most)));
  } else if (const auto id = integer("eos_token_id")) {
    config.eos_token_id = {static_cast<TokenId>(*id)};
  }
  config.temperature = number("temperature", 0, 1e6);
  config.top_p = number("top_p", 0, 1);
  config.min_p = number("min_p", 0, 1);
  config.repetition_penalty = number("repetition_penalty", 1e-6, 1e6);
  config.top_k = integer("top_k");
  config.max_new_tokens = integer("max_new_tokens");
  if (const JsonField sample = whole["do_sample"]; sample.given()) config.do_sample = sample.boolean();
  return config;
}

}  // namespace t5gemma2
