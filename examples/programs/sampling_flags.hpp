// How text is made: flags, the same words as keys of a JSON line, and what they mean for generation.
#pragma once
#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "cli.hpp"
#include "t5gemma2/checkpoint/generation_config.hpp"
#include "t5gemma2/tokenizer/utf8.hpp"

namespace cli {

using namespace t5gemma2;

/// What was asked for; what was not is generation_config.json's.
struct Sampling {
  std::optional<Index> n_predict, seed, top_k, repeat_last_n, num_beams, num_return_sequences, first_sentinel;
  std::optional<double> temp, top_p, min_p, typical, repeat_penalty, length_penalty;
  std::optional<std::string> early_stopping;
  std::vector<std::string> stop;
  bool do_sample = false, ignore_eos = false, fill = false;
};

inline constexpr Index until_eos = -1, at_random = -1, whole_text = -1;
inline constexpr Index most_tokens = 1000000000;

/// What may be written for a number, ends included.
struct Range {
  double low, high;
};

/// Shows `flag` each of those that say where a text ends, as for_each_flag does.
template <class Flag>
void for_each_length_flag(Sampling& s, const Flag& flag) {
  flag("-n,--n-predict", s.n_predict, Range{until_eos, most_tokens},
       "number of tokens to make (generation_config.json's, else 128); -1: until the model ends the text");
  flag("--stop", s.stop,
       "text that ends what is made, not printed; also a hidden piece's, <unused31>; repeatable");
  flag("--ignore-eos", s.ignore_eos, "go on after the end-of-sequence token");
}

template <class Flag>
void for_each_sampling_flag(Sampling& s, const Flag& flag) {
  flag("-s,--seed", s.seed, Range{at_random, 1e18}, "seed of sampling; -1, or none: a new one each time");
  flag("--do-sample", s.do_sample,
       "draw each token at its probability, which generation_config.json may change");
  flag("--temp", s.temp, Range{0, 1e6}, "temperature; 0 is greedy");
  flag("--top-k", s.top_k, Range{0, 1e9}, "sample from the k likeliest; 0 is all");
  flag("--top-p", s.top_p, Range{0, 1}, "... from the likeliest that hold p together");
  flag("--min-p", s.min_p, Range{0, 1}, "... from those with p times the likeliest's");
  flag("--typical", s.typical, Range{1e-9, 1}, "... from the most typical that hold p together");
  flag("--repeat-penalty", s.repeat_penalty, Range{1e-6, 1e6},
       "make tokens of the text so far, decoder prompt included, less likely; 1 is off");
  flag("--repeat-last-n", s.repeat_last_n, Range{whole_text, 1e9},
       "... of its last n tokens only; 0 is off, -1 all (the default)");
}

template <class Flag>
void for_each_beam_flag(Sampling& s, const Flag& flag) {
  flag("--num-beams", s.num_beams, Range{1, most_texts},
       "beam search: texts that grow side by side; the best comes at the end");
  flag("--length-penalty", s.length_penalty, Range{-1e3, 1e3},
       "score of a text: log p / tokens^L; above 0 favours long ones");
  flag("--early-stopping", s.early_stopping, std::vector<std::string>{"true", "false", "never"},
       "true: at num-beams texts; false: when none is likely to improve; never: when none can");
  flag("--num-return-sequences", s.num_return_sequences, Range{1, most_texts},
       "texts to make, with beams or sampling");
}

/// UL2's own: what is filled, and with which sentinels.
template <class Flag>
void for_each_gap_flag(Sampling& s, const Flag& flag) {
  flag("--fill", s.fill, "print the prompt with each gap in it, ___, filled in");
  flag("--first-sentinel", s.first_sentinel, Range{0, 1e9},
       "<unusedN> stands for the first gap, <unusedN-1> for the next (6237, else the vocabulary's highest)");
}

/// Shows `flag` each of them: names, value, what it may be (a Range for numbers), description.
template <class Flag>
void for_each_flag(Sampling& s, const Flag& flag) {
  for_each_length_flag(s, flag);
  for_each_sampling_flag(s, flag);
  for_each_beam_flag(s, flag);
  for_each_gap_flag(s, flag);
}

/// Accepts UTF-8 only.
inline Check utf8_text() {
  return [](const std::string& given) {
    return valid_utf8(given) == given.size() ? std::string()
                                             : std::string("expected UTF-8, found other bytes");
  };
}

/// "true, false, never"
inline std::string listed(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
  return all;
}

/// Accepts these words only.
inline Check one_of(const std::vector<std::string>& words) {
  return [words](const std::string& given) {
    const bool known = std::find(words.begin(), words.end(), given) != words.end();
    return known ? std::string() : "expected one of " + listed(words) + ", found " + given;
  };
}

inline void add_sampling_flags(App& app, Sampling& s) {
  struct Adder {
    App& app;
    using Text = const std::string&;
    void operator()(Text names, std::optional<Index>& value, Range r, Text what) const {
      app.add_option(names, value, what)
          ->check(integer_in(static_cast<Index>(r.low), static_cast<Index>(r.high)));
    }
    void operator()(Text names, std::optional<double>& value, Range r, Text what) const {
      app.add_option(names, value, what)->check(number_in(r.low, r.high));
    }
    void operator()(Text names, std::optional<std::string>& value, const std::vector<std::string>& words,
                    Text what) const {
      std::string all;
      for (const std::string& word : words) all += (all.empty() ? "" : "|") + word;
      app.add_option(names, value, what)->value(all)->check(one_of(words));
    }
    void operator()(Text names, std::vector<std::string>& values, Text what) const {
      app.add_option(names, values, what)->allow_extra_args(false)->check(utf8_text());
    }
    void operator()(Text names, bool& value, Text what) const { app.add_flag(names, value, what); }
  };
  app.group("Length");
  for_each_length_flag(s, Adder{app});
  app.group("Sampling");
  for_each_sampling_flag(s, Adder{app});
  app.group("Beams");
  for_each_beam_flag(s, Adder{app});
  app.group("Gaps");
  for_each_gap_flag(s, Adder{app});
}

/// Whether a flag asks for draws.
inline bool asks_to_sample(const Sampling& s) {
  const auto above_zero = [](const auto& flag) { return flag.value_or(0) > 0; };
  return s.do_sample || above_zero(s.temp) || above_zero(s.top_k) || above_zero(s.top_p) ||
         above_zero(s.min_p) || s.typical.value_or(1) < 1;
}

inline EarlyStopping early_stopping_of(const std::string& text) {
  if (text == "never") return EarlyStopping::never;
  return text == "true" ? EarlyStopping::yes : EarlyStopping::no;
}

/// Flags over generation_config.json. A seed that is not given is drawn.
inline GenerateOptions options_for(const Sampling& s, const GenerationConfig& file) {
  GenerateOptions options{.config = file};
  GenerationConfig& c = options.config;
  const auto set = [](auto& value, const auto& flag) {
    if (flag) value = *flag;
  };
  set(c.max_new_tokens, s.n_predict);
  if (c.max_new_tokens == until_eos) c.max_new_tokens = most_tokens;
  set(c.temperature, s.temp);
  set(c.top_k, s.top_k);
  set(c.top_p, s.top_p);
  set(c.min_p, s.min_p);
  set(c.typical_p, s.typical);
  set(c.repetition_penalty, s.repeat_penalty);
  set(c.num_beams, s.num_beams);
  set(c.num_return_sequences, s.num_return_sequences);
  set(c.length_penalty, s.length_penalty);
  if (s.early_stopping) c.early_stopping = early_stopping_of(*s.early_stopping);
  if (!s.stop.empty()) c.stop_strings = s.stop;
  if (s.ignore_eos) c.eos_token_id.clear();
  if (s.repeat_last_n && *s.repeat_last_n != whole_text) options.repeat_last_n = s.repeat_last_n;
  options.sample = asks_to_sample(s) && c.temperature > 0;
  const Index seed = s.seed.value_or(at_random);
  options.seed = seed == at_random ? std::random_device()() : static_cast<std::uint64_t>(seed);
  // The file may count on its do_sample.
  if (!options.sample && c.num_beams == 1 && !s.num_return_sequences) c.num_return_sequences = 1;
  return options;
}

}  // namespace cli
