// The settings of generation: the fields of generation_config.json under their own names, with
// transformers' defaults.
//
// Two things differ from transformers: `do_sample: true` in the file does not switch sampling on
// (GenerateOptions::sample does), and the default limit is 128 new tokens.
//
// Reference: transformers generation/configuration_utils.py GenerationConfig; generation/utils.py
// GenerationMixin._prepare_generated_length
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../error.hpp"
#include "../tensor.hpp"

namespace t5gemma2 {

/// `bias` is added to the score of the last of `ids` where the text ends with the ids before it.
struct SequenceBias {
  std::vector<TokenId> ids;  // at least one
  float bias = 0;
};

/// With more than `start` new ids, each eos id's score grows by |score| * (factor^(new ids - start) - 1).
struct LengthDecay {
  Index start = 0;
  double factor = 1;
};

/// When beam search stops. yes: when num_beams texts have ended. no: when num_beams texts have ended and no
/// running text is likely to score higher. never: when they have ended and no running text can score higher.
enum class EarlyStopping { no, yes, never };

inline constexpr Index most_texts = 1024;  // limit of num_beams and num_return_sequences

/// The fields of generation_config.json.
struct GenerationConfig {
  std::optional<TokenId> decoder_start_token_id{}, bos_token_id{}, forced_bos_token_id{};
  std::vector<TokenId> eos_token_id{}, forced_eos_token_id{};

  std::optional<Index> max_new_tokens{}, min_new_tokens{};  // where given, they replace the next two
  std::optional<Index> max_length{};                        // counts the decoder prompt, too
  Index min_length = 0;                                     // counts the decoder prompt, too
  std::vector<std::string> stop_strings{};                  // each ends the text and is not part of it

  bool do_sample = false;
  double temperature = 1, top_p = 1, min_p = 0, typical_p = 1;
  Index top_k = 50;  // 0 is off

  Index num_beams = 1, num_return_sequences = 1;
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::no;

  std::vector<SequenceBias> sequence_bias{};
  double repetition_penalty = 1, encoder_repetition_penalty = 1;
  Index no_repeat_ngram_size = 0, encoder_no_repeat_ngram_size = 0;  // 0 is off
  std::vector<std::vector<TokenId>> bad_words_ids{};
  std::vector<TokenId> suppress_tokens{}, begin_suppress_tokens{};
  std::optional<LengthDecay> exponential_decay_length_penalty{};
  bool renormalize_logits = false;

  std::string source = "generation_config.json";  // the file, for messages
  std::vector<std::string> notes{};               // about the file: fields without effect, no eos
};

/// The settings of one request.
struct GenerateOptions {
  GenerationConfig config;               // Model::generation_config with the request's changes
  bool sample = false;                   // draw tokens; config.do_sample has no effect
  std::uint64_t seed = 0;                // of the draws
  std::optional<Index> repeat_last_n{};  // how many last ids repetition_penalty counts; none: all
  bool show_special = false;             // special pieces and sentinels in the text
  std::vector<TokenId>
      encoder_input_ids{};  // the ids that H was made of; only the encoder_... rules need them
};

/// The smallest and the largest number of ids of a text, those of the decoder prompt included.
struct LengthLimits {
  Index least, most;
};

/// For a decoder prompt of `prompt` ids. Throws Error when max_length leaves no room for a new id.
inline LengthLimits length_limits(const GenerationConfig& c, Index prompt) {
  constexpr Index without_limit = 128;
  const Index least = c.min_new_tokens ? prompt + *c.min_new_tokens : c.min_length;
  if (c.max_new_tokens || !c.max_length) return {least, prompt + c.max_new_tokens.value_or(without_limit)};
  if (*c.max_length <= prompt)
    fail(c.source, "max_length", "more than the decoder prompt's " + std::to_string(prompt) + " tokens",
         std::to_string(*c.max_length));
  return {least, *c.max_length};
}

namespace generation_config_detail {

inline void check_below(const GenerationConfig& c, const char* field, const std::vector<TokenId>& ids,
                        Index vocab_size) {
  for (const TokenId id : ids)
    if (id < 0 || id >= vocab_size)
      fail(c.source, field, "token ids below " + std::to_string(vocab_size), std::to_string(id));
}

/// A token that is forced and suppressed leaves no token to choose.
inline void check_forced(const GenerationConfig& c, const char* field, const std::vector<TokenId>& forced) {
  const std::set<TokenId> suppressed(c.suppress_tokens.begin(), c.suppress_tokens.end());
  if (!forced.empty() && std::ranges::all_of(forced, [&](TokenId id) { return suppressed.contains(id); }))
    fail(c.source, field, "a token that suppress_tokens leaves", std::to_string(forced[0]));
}

inline void check_probability(double p, const char* name) {
  check_argument(p >= 0 && p <= 1, name, "a number from 0 to 1", p);
}

inline void check_positive(double number, const char* name) {
  check_argument(number > 0 && std::isfinite(number), name, "a number above 0", number);
}

inline void check_count(Index count, const char* name) {
  check_argument(count >= 0, name, "0 or more", count);
}

/// The fields that choose a token or a text.
inline void check_search(const GenerationConfig& c, bool sample) {
  if (sample) check_positive(c.temperature, "temperature");
  check_count(c.top_k, "top_k");
  check_probability(c.top_p, "top_p");
  check_probability(c.min_p, "min_p");
  check_argument(c.typical_p > 0 && c.typical_p <= 1, "typical_p", "a number above 0, at most 1",
                 c.typical_p);
  check_argument(c.num_beams >= 1 && c.num_beams <= most_texts, "num_beams", "from 1 to most_texts",
                 c.num_beams);
  check_argument(c.num_return_sequences >= 1 && c.num_return_sequences <= most_texts, "num_return_sequences",
                 "from 1 to most_texts", c.num_return_sequences);
  check_argument(std::isfinite(c.length_penalty), "length_penalty", "a finite number", c.length_penalty);
}

/// The fields that change scores, and the limits.
inline void check_rules(const GenerationConfig& c) {
  check_count(c.max_new_tokens.value_or(0), "max_new_tokens");
  check_count(c.min_new_tokens.value_or(0), "min_new_tokens");
  check_count(c.min_length, "min_length");
  check_positive(c.repetition_penalty, "repetition_penalty");
  check_positive(c.encoder_repetition_penalty, "encoder_repetition_penalty");
  check_count(c.no_repeat_ngram_size, "no_repeat_ngram_size");
  check_count(c.encoder_no_repeat_ngram_size, "encoder_no_repeat_ngram_size");
  for (const SequenceBias& bias : c.sequence_bias) {
    check_argument(!bias.ids.empty(), "sequence_bias ids", "one or more", "none");
    check_argument(std::isfinite(bias.bias), "sequence_bias", "a finite number", bias.bias);
  }
  for (const std::vector<TokenId>& word : c.bad_words_ids)
    check_argument(!word.empty(), "bad_words_ids", "one or more in each", "none");
  if (const auto& decay = c.exponential_decay_length_penalty) {
    check_count(decay->start, "exponential_decay_length_penalty start");
    check_positive(decay->factor, "exponential_decay_length_penalty factor");
  }
}

}  // namespace generation_config_detail

/// Throws std::invalid_argument for a field out of range (temperature 0 where tokens are drawn, num_beams 0),
/// and Error where fields do not go together, or not with a vocabulary of this size.
inline void check(const GenerateOptions& options, Index vocab_size) {
  using namespace generation_config_detail;
  const GenerationConfig& c = options.config;
  check_search(c, options.sample);
  check_rules(c);
  check_count(options.repeat_last_n.value_or(0), "repeat_last_n");
  const std::string sequences = std::to_string(c.num_return_sequences);
  if (c.num_beams == 1 && !options.sample && c.num_return_sequences > 1)
    throw Error("num_return_sequences: expected 1, or beams or sampling to make several, found " + sequences);
  if (c.num_beams > 1 && c.num_return_sequences > c.num_beams)
    throw Error("num_return_sequences: expected at most num_beams, " + std::to_string(c.num_beams) +
                ", found " + sequences);
  for (const auto& [field, id] : {std::pair("decoder_start_token_id", c.decoder_start_token_id),
                                  std::pair("bos_token_id", c.bos_token_id)})
    if (id) check_below(c, field, {*id}, vocab_size);
  const std::vector<TokenId> forced_bos(c.forced_bos_token_id ? 1 : 0, c.forced_bos_token_id.value_or(0));
  check_forced(c, "forced_bos_token_id", forced_bos);
  check_forced(c, "forced_eos_token_id", c.forced_eos_token_id);
  check_below(c, "forced_bos_token_id", forced_bos, vocab_size);
  check_below(c, "forced_eos_token_id", c.forced_eos_token_id, vocab_size);
  for (const SequenceBias& bias : c.sequence_bias) check_below(c, "sequence_bias", bias.ids, vocab_size);
  for (const auto& word : c.bad_words_ids) check_below(c, "bad_words_ids", word, vocab_size);
  if (c.encoder_repetition_penalty != 1)
    check_below(c, "encoder_repetition_penalty", options.encoder_input_ids, vocab_size);
}

}  // namespace t5gemma2
