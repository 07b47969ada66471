// adapter_config.json of a LoRA adapter, as PEFT saves it: which scale s the change s B A of a module has.
//
//   s = alpha / r     or, with use_rslora, alpha / sqrt(r)
//
// rank_pattern and alpha_pattern give modules an r and an alpha of their own: the first key counts that is a regular
// expression of the end of the module's name, from a dot on. modules_to_save tells which whole tensors of the adapter are a
// module's own: others, saved beside, are the base's. Other kinds of adapters are refused by name.
//
// Reference: peft tuners/lora/config.py LoraConfig, tuners/lora/model.py LoraModel._create_and_replace,
// utils/other.py get_pattern_key
#pragma once
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "../io/json_fields.hpp"
#include "../tensor.hpp"

namespace t5gemma2 {

namespace lora_detail {

constexpr Index most_rank = 1 << 16;
constexpr double most_alpha = 1e9;

/// Python's regular expressions as far as ECMAScript has them. libstdc++ can keep the time of a match polynomial.
#ifdef __GLIBCXX__
constexpr auto syntax = std::regex_constants::ECMAScript | std::regex_constants::__polynomial;
#else
constexpr auto syntax = std::regex_constants::ECMAScript;
#endif

/// A number for the modules whose names a pattern matches.
struct Pattern {
  std::regex regex;
  double number;
};

/// Whether a pattern has what Python and ECMAScript read differently: letters behind a backslash such as \A and \Z, and some
/// sets of characters.
inline bool is_of_python_alone(std::string_view pattern) {
  for (const std::string_view set : {"[[:", "[]", "[^]"})
    if (pattern.find(set) != pattern.npos) return true;
  constexpr std::string_view same = "dDwWsSbBnrtfv";
  for (std::size_t at = 0; at + 1 < pattern.size(); ++at)
    if (pattern[at] == '\\') {
      ++at;
      if (std::isalpha(static_cast<unsigned char>(pattern[at])) && same.find(pattern[at]) == same.npos)
        return true;
    }
  return false;
}

/// rank_pattern or alpha_pattern, in the order of the file: PEFT takes the first that matches.
inline std::vector<Pattern> read_patterns(const JsonField& field, const nlohmann::ordered_json& in_order,
                                          double low, double high) {
  std::vector<Pattern> patterns;
  if (!field.given()) return patterns;
  field.keys();  // throws unless it is an object
  for (const auto& [key, value] : in_order.items()) {
    constexpr std::size_t longest = 200;
    const JsonField number = field[key];
    if (key.size() > longest)
      number.refuse("a pattern of at most " + std::to_string(longest) + " bytes", "more");
    const std::string expected = "a regular expression that ECMAScript has, too";
    if (is_of_python_alone(key)) number.refuse(expected, in_quotes(key));
    try {
      patterns.push_back({std::regex("(.*\\.)?(" + key + ")", syntax), number.number(low, high)});
    } catch (const std::regex_error&) {
      number.refuse(expected, in_quotes(key));
    }
  }
  return patterns;
}

/// Throws Error where a field asks for what is not done here.
inline void refuse_other_kinds(const JsonField& config) {
  const JsonField type = config["peft_type"], init = config["init_lora_weights"];
  if (!type.is("LORA")) type.refuse("\"LORA\"");
  for (const char* key : {"use_dora", "use_qalora", "lora_bias", "fan_in_fan_out", "use_bdlora"})
    if (config[key].given() && !config[key].is(false))
      config[key].refuse("false: that kind of LoRA is not done here");
  for (const char* key : {"alora_invocation_tokens", "layer_replication", "trainable_token_indices",
                          "target_parameters", "arrow_config", "lora_ga_config", "corda_config"})
    if (const JsonField field = config[key]; field.given() && !field.is(nlohmann::json::array()))
      field.refuse("none: that kind of LoRA is not done here");
  // The others change the weights of the base, too.
  if (init.given() && !init.is(true) && !init.is(false) && !init.is("gaussian") && !init.is("eva") &&
      !init.is("orthogonal") && !init.is("mica"))
    init.refuse(
        "true, false, \"gaussian\", \"eva\", \"orthogonal\" or \"mica\": others change the base's weights");
}

}  // namespace lora_detail

/// Ranks and scales of an adapter.
class AdapterConfig {
 public:
  /// Of the text of a file. Throws Error naming the file and the field that is wrong, or that asks for what is not done here.
  static AdapterConfig parse(const std::string& text, const std::string& file) {
    using namespace lora_detail;
    const nlohmann::json json = parse_json(text, file);
    const nlohmann::ordered_json in_order = nlohmann::ordered_json::parse(text);
    const JsonField config(json, file), rslora = config["use_rslora"];
    refuse_other_kinds(config);
    AdapterConfig parsed;
    parsed.rank_ = static_cast<double>(config["r"].integer(1, most_rank));
    parsed.alpha_ = config["lora_alpha"].number(-most_alpha, most_alpha);
    parsed.rslora_ = rslora.given() && rslora.boolean();
    const auto patterns = [&](const char* key, double low, double high) {
      return read_patterns(config[key], config[key].given() ? in_order[key] : nlohmann::ordered_json(), low,
                           high);
    };
    parsed.rank_pattern_ = patterns("rank_pattern", 1, most_rank);
    for (const Pattern& pattern : parsed.rank_pattern_)
      if (pattern.number != std::floor(pattern.number))
        config["rank_pattern"].refuse("whole numbers", nlohmann::json(pattern.number).dump());
    parsed.alpha_pattern_ = patterns("alpha_pattern", -most_alpha, most_alpha);
    const JsonField saved = config["modules_to_save"];
    if (saved.given())
      for (const JsonField& module : saved.items()) parsed.modules_to_save_.push_back(module.text());
    return parsed;
  }

  /// r of the module of this name ("model.decoder.layers.0.self_attn.q_proj").
  Index rank_of(const std::string& module) const {
    return static_cast<Index>(number_of(module, rank_pattern_, rank_));
  }

  /// s of it.
  float scale_of(const std::string& module) const {
    const auto rank = static_cast<double>(rank_of(module));
    return static_cast<float>(number_of(module, alpha_pattern_, alpha_) / (rslora_ ? std::sqrt(rank) : rank));
  }

  /// Whether a tensor of this name, or a module that it is in, ends like one of modules_to_save.
  bool saves(const std::string& tensor) const {
    for (std::size_t dot = tensor.find('.'); dot != tensor.npos; dot = tensor.find('.', dot + 1)) {
      const std::string_view module = std::string_view(tensor).substr(0, dot);
      if (std::ranges::any_of(modules_to_save_,
                              [&](const std::string& saved) { return module.ends_with(saved); }))
        return true;
    }
    return false;
  }

 private:
  static double number_of(const std::string& module, const std::vector<lora_detail::Pattern>& patterns,
                          double other) {
    for (const lora_detail::Pattern& pattern : patterns)
      if (std::regex_match(module, pattern.regex)) return pattern.number;
    return other;
  }

  double rank_ = 0, alpha_ = 0;
  bool rslora_ = false;
  std::vector<lora_detail::Pattern> rank_pattern_, alpha_pattern_;
  std::vector<std::string> modules_to_save_;
};

}  // namespace t5gemma2
