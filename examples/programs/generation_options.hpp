// The options of generation: the settings of a request over generation_config.json.
#pragma once
#include <cstdint>
#include <random>
#include <string>

#include "generation_settings.hpp"
#include "t5gemma2/checkpoint/generation_config.hpp"

namespace cli {

/// Whether a setting asks for sampling.
inline bool asks_to_sample(const GenerationSettings& s) {
  const auto above_zero = [](const auto& setting) { return setting.value_or(0) > 0; };
  return s.do_sample || above_zero(s.temp) || above_zero(s.top_k) || above_zero(s.top_p) ||
         above_zero(s.min_p) || s.typical.value_or(1) < 1;
}

inline EarlyStopping early_stopping_of(const std::string& text) {
  if (text == "never") return EarlyStopping::never;
  return text == "true" ? EarlyStopping::yes : EarlyStopping::no;
}

/// generation_config.json with the settings that are given in place of its own.
inline GenerationConfig config_with(const GenerationSettings& s, GenerationConfig config) {
  const auto set = [](auto& value, const auto& setting) {
    if (setting) value = *setting;
  };
  set(config.max_new_tokens, s.n_predict);
  if (config.max_new_tokens == until_eos) config.max_new_tokens = most_tokens;
  set(config.temperature, s.temp);
  set(config.top_k, s.top_k);
  set(config.top_p, s.top_p);
  set(config.min_p, s.min_p);
  set(config.typical_p, s.typical);
  set(config.repetition_penalty, s.repeat_penalty);
  set(config.num_beams, s.num_beams);
  set(config.num_return_sequences, s.num_return_sequences);
  set(config.length_penalty, s.length_penalty);
  if (s.early_stopping) config.early_stopping = early_stopping_of(*s.early_stopping);
  if (!s.stop.empty()) config.stop_strings = s.stop;
  if (s.ignore_eos) config.eos_token_id.clear();
  return config;
}

/// The seed is random where none is given.
inline GenerateOptions options_for(const GenerationSettings& s, const GenerationConfig& file) {
  GenerateOptions options{.config = config_with(s, file)};
  GenerationConfig& config = options.config;
  if (s.repeat_last_n && *s.repeat_last_n != whole_text) options.repeat_last_n = s.repeat_last_n;
  options.sample = asks_to_sample(s) && config.temperature > 0;
  const Index seed = s.seed.value_or(at_random);
  options.seed = seed == at_random ? std::random_device()() : static_cast<std::uint64_t>(seed);
  // Several texts without sampling or beams make sense to the file only with its do_sample, which is
  // not obeyed.
  if (!options.sample && config.num_beams == 1 && !s.num_return_sequences) config.num_return_sequences = 1;
  return options;
}

}  // namespace cli
