// How a checkpoint wants its text to be made: the fields of generation_config.json, by their own names, with
// the values that they have in transformers when they are not given. The paper leaves all of it out.
//
// Two things differ: `do_sample: true` alone does not make anyone draw (GenerateOptions::sample does), and
// without any limit 128 tokens are made. Reference: transformers GenerationConfig,
// GenerationMixin._prepare_generated_length.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../error.hpp"
#include "../tensor.hpp"

namespace t5gemma2 {

/// Added to the score of the last of `ids` where the text ends with those before it.
struct SequenceBias {
  std::vector<TokenId> ids;  // at least one
  float bias = 0;
};

/// From `start` new ids on, an eos id's score grows by a power of `factor`.
struct LengthDecay {
  Index start = 0;
  double factor = 1;
};

/// When beam search has enough finished texts: no, where none that runs is likely to become better; yes,
/// where there are num_beams of them; never, where none that runs can become better.
enum class EarlyStopping { no, yes, never };

inline constexpr Index most_texts = 1024;  // at once, or one after the other

struct GenerationConfig {
  std::optional<TokenId> decoder_start_token_id{}, bos_token_id{}, forced_bos_token_id{};
  std::vector<TokenId> eos_token_id{}, forced_eos_token_id{};

  std::optional<Index> max_new_tokens{}, min_new_tokens{};  // these go before max_length and min_length,
  std::optional<Index> max_length{};                        // which count the decoder prompt, too
  Index min_length = 0;
  std::vector<std::string> stop_strings{};  // texts that end the text, not part of it

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
  std::vector<std::string> notes{};               // fields without effect here
};

/// How one request is answered.
struct GenerateOptions {
  GenerationConfig config;                   // Model::generation_config, and what is to be otherwise
  bool sample = false;                       // draw; config.do_sample alone does not
  std::uint64_t seed = 0;                    // of the draws
  std::optional<Index> repeat_last_n{};      // repetition_penalty counts the last of these ids only
  bool show_special = false;                 // special pieces and sentinels in the text
  std::vector<TokenId> encoder_input_ids{};  // what H was made of; only the encoder_... rules need it
};

/// How many ids a text has, the decoder prompt's among them.
struct LengthLimits {
  Index least, most;
};

/// For a decoder prompt of `prompt` ids. Throws Error when max_length leaves no room for another.
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

/// A token that is both forced and suppressed leaves none to choose.
inline void check_forced(const GenerationConfig& c, const char* field, const std::vector<TokenId>& forced) {
  const std::set<TokenId> suppressed(c.suppress_tokens.begin(), c.suppress_tokens.end());
  if (!forced.empty() && std::ranges::all_of(forced, [&](TokenId id) { return suppressed.contains(id); }))
    fail(c.source, field, "a token that suppress_tokens leaves", std::to_string(forced[0]));
}

}  // namespace generation_config_detail

/// Throws Error where the fields do not go together, or not with a vocabulary of this size.
inline void check(const GenerateOptions& options, Index vocab_size) {
  using namespace generation_config_detail;
  const GenerationConfig& c = options.config;
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
