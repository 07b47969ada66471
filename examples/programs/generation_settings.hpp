// The settings of generation that a request may give: as flags, or as keys of a JSON line.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "t5gemma2/checkpoint/generation_config.hpp"
#include "t5gemma2/tensor.hpp"

namespace cli {

using namespace t5gemma2;

/// Those that are not given are taken from generation_config.json.
struct GenerationSettings {
  std::optional<Index> n_predict, seed, top_k, repeat_last_n, num_beams, num_return_sequences, first_sentinel,
      logprobs;
  std::optional<double> temp, top_p, min_p, typical, repeat_penalty, length_penalty;
  std::optional<std::string> early_stopping;
  std::vector<std::string> stop;
  bool do_sample = false, ignore_eos = false, fill = false;
};

inline constexpr Index until_eos = -1, at_random = -1, whole_text = -1;
inline constexpr Index most_tokens = 1000000000;

/// The numbers that may be given, from low to high inclusive.
struct Range {
  double low, high;
};

/// Calls visit(names, value, allowed, description) for each setting that says where a text ends: `allowed` is
/// a Range for a number, a list for a word, and left out for other types.
template <class Visit>
void for_each_length_setting(GenerationSettings& s, const Visit& visit) {
  visit("-n,--n-predict", s.n_predict, Range{until_eos, most_tokens},
        "number of tokens to generate (generation_config.json's, or else 128); -1: until the model ends the "
        "text");
  visit("--stop", s.stop,
        "text that ends the generation and is not printed; also a hidden piece such as <unused31>; "
        "repeatable");
  visit("--ignore-eos", s.ignore_eos, "go on after the end-of-sequence token");
}

template <class Visit>
void for_each_sampling_setting(GenerationSettings& s, const Visit& visit) {
  visit("-s,--seed", s.seed, Range{at_random, 1e18}, "seed of sampling; -1, or none: a new one each time");
  visit("--do-sample", s.do_sample, "sample, with generation_config.json's temperature, top_k, ...");
  visit("--temp", s.temp, Range{0, 1e6}, "temperature; 0 is greedy");
  visit("--top-k", s.top_k, Range{0, 1e9}, "sample from the k likeliest tokens; 0 is all");
  visit("--top-p", s.top_p, Range{0, 1}, "... from the likeliest tokens, with total probability p");
  visit("--min-p", s.min_p, Range{0, 1}, "... from the tokens at least p times as likely as the likeliest");
  visit("--typical", s.typical, Range{1e-9, 1}, "... from the most typical tokens, with total probability p");
  visit("--repeat-penalty", s.repeat_penalty, Range{1e-6, 1e6},
        "make tokens of the text so far, decoder prompt included, less likely; 1 is off");
  visit("--repeat-last-n", s.repeat_last_n, Range{whole_text, 1e9},
        "... of its last n tokens only; 0 is off, -1 all (the default)");
}

template <class Visit>
void for_each_beam_setting(GenerationSettings& s, const Visit& visit) {
  visit("--num-beams", s.num_beams, Range{1, most_texts},
        "beam search: number of texts that grow side by side; the best is printed at the end");
  visit("--length-penalty", s.length_penalty, Range{-1e3, 1e3},
        "L in the score of a text, log p / tokens^L; above 0 favours long texts");
  visit("--early-stopping", s.early_stopping, std::vector<std::string>{"true", "false", "never"},
        "stop the search: true: at num-beams texts; false: when none is likely to improve; never: when none "
        "can");
  visit("--num-return-sequences", s.num_return_sequences, Range{1, most_texts},
        "number of texts to generate, with beams or sampling");
}

/// The gaps of UL2: whether they are filled, and their sentinels.
template <class Visit>
void for_each_gap_setting(GenerationSettings& s, const Visit& visit) {
  visit("--fill", s.fill, "print the prompt with each of its gaps, ___, filled in");
  visit("--first-sentinel", s.first_sentinel, Range{0, 1e9},
        "<unusedN> stands for the first gap, <unusedN-1> for the next (6237, or else the vocabulary's "
        "highest)");
}

template <class Visit>
void for_each_score_setting(GenerationSettings& s, const Visit& visit) {
  visit(
      "--logprobs", s.logprobs, Range{0, 1e6},
      "with --jsonl: add the log-probability of each new token, and of the N likeliest in its place, before "
      "penalties and temperature");
}

/// All of the above.
template <class Visit>
void for_each_setting(GenerationSettings& s, const Visit& visit) {
  for_each_length_setting(s, visit);
  for_each_sampling_setting(s, visit);
  for_each_beam_setting(s, visit);
  for_each_gap_setting(s, visit);
  for_each_score_setting(s, visit);
}

}  // namespace cli
