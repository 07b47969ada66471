// The flags of t5gemma2-generate, and what they mean for generation.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "model_flag.hpp"
#include "t5gemma2/generate.hpp"
#include "t5gemma2/utf8.hpp"

namespace cli {

using namespace t5gemma2;

struct Flags {
  ModelName model;
  std::string prompt, file, decoder_prompt;
  bool has_prompt = false, has_decoder_prompt = false;
  std::optional<Index> tokens, top_k, num_beams, num_return_sequences;
  std::optional<double> temperature, top_p, min_p, typical, repeat_penalty, length_penalty;
  std::optional<std::string> early_stopping;
  std::uint64_t seed = 0;
  std::vector<std::string> stop, images;
  bool pan_and_scan = false, ignore_eos = false, special = false, echo = false, quiet = false, jsonl = false;
  int threads = 1;
};

/// Accepts UTF-8 only.
inline Check utf8_text() {
  return [](const std::string& given) {
    return valid_utf8(given) == given.size() ? std::string()
                                             : std::string("expected UTF-8, found other bytes");
  };
}

/// Accepts the texts of generation_config.json's early_stopping.
inline Check early_stopping_text() {
  return [](const std::string& given) {
    const bool known = given == "true" || given == "false" || given == "never";
    return known ? std::string() : "expected true, false or never, found " + given;
  };
}

inline void add_sampling_flags(App& app, Flags& f) {
  app.add_option("-s,--seed", f.seed, "seed of sampling")
      ->check(integer_in(0, 1000000000000000000))
      ->capture_default_str();
  app.add_option("--temp", f.temperature, "temperature; 0 is greedy")->check(number_in(0, 1e6));
  app.add_option("--top-k", f.top_k, "sample from the k likeliest; 0 is all")
      ->check(integer_in(0, 1000000000));
  app.add_option("--top-p", f.top_p, "... from the likeliest that hold p together")->check(number_in(0, 1));
  app.add_option("--min-p", f.min_p, "... from those with p times the likeliest's")->check(number_in(0, 1));
  app.add_option("--typical", f.typical, "... from the most typical that hold p together")
      ->check(number_in(1e-9, 1));
  app.add_option("--repeat-penalty", f.repeat_penalty,
                 "make tokens of the text so far, decoder prompt included, less likely; 1 is off")
      ->check(number_in(1e-6, 1e6));
}

inline void add_beam_flags(App& app, Flags& f) {
  app.add_option("--num-beams", f.num_beams,
                 "beam search: texts that grow side by side; the best comes at the end")
      ->check(integer_in(1, 1024));
  app.add_option("--length-penalty", f.length_penalty,
                 "score of a text: log p / tokens^L; above 0 favours long ones")
      ->check(number_in(-1e3, 1e3));
  app.add_option("--early-stopping", f.early_stopping,
                 "true: at num-beams texts; false: when none is likely to improve; never: when none can")
      ->check(early_stopping_text());
  app.add_option("--num-return-sequences", f.num_return_sequences, "texts to make, with beams or sampling")
      ->check(integer_in(1, 1024));
}

inline void add_flags(App& app, Flags& f) {
  add_model(app, "-m,--model", f.model);
  app.add_option("-p,--prompt", f.prompt, "text for the encoder; \"\" is <bos> alone");
  app.add_option("-f,--file", f.file, "read the prompt from a file, its last newline too; - is stdin");
  app.add_option("--decoder-prompt", f.decoder_prompt, "text that the decoder continues");
  app.add_option("--image", f.images, "picture for the <start_of_image> in the prompt; repeatable")
      ->allow_extra_args(false);
  app.add_flag("--pan-and-scan", f.pan_and_scan, "show wide and tall pictures in pieces, too");
  app.add_flag("--jsonl", f.jsonl,
               "a JSON object {\"prompt\", \"decoder_prompt\", \"images\"} a line in (stdin or -f), one out");
  app.add_option("-n,--n-predict", f.tokens, "number of tokens to make (generation_config.json's, else 128)")
      ->check(integer_in(0, 1000000000));
  add_threads(app, f.threads);
  add_sampling_flags(app, f);
  add_beam_flags(app, f);
  app.add_option("--stop", f.stop,
                 "text that ends what is made, not printed; also a hidden piece's, <unused31>; repeatable")
      ->allow_extra_args(false)
      ->check(utf8_text());
  app.add_flag("--ignore-eos", f.ignore_eos, "go on after the end-of-sequence token");
  app.add_flag("--special", f.special, "print special pieces and <unusedN> sentinels, too");
  app.add_flag("--echo", f.echo, "print the decoder prompt first");
  add_quiet(app, f.quiet);
  app.footer(
      R"(Greedy unless --temp, --top-k, --top-p, --min-p or --typical asks for sampling: "do_sample": true in
generation_config.json does not. All else in that file is the default, as in transformers; a flag goes
before it, and where neither sets a limit 128 tokens are made. Without -p and -f, --decoder-prompt runs the
decoder alone. --jsonl answers {"text", "finish_reason", "ids"}, and "sequences" where there are several.)");
}

/// Whether a flag asks for draws.
inline bool asks_to_sample(const Flags& f) {
  const auto above_zero = [](const auto& flag) { return flag.value_or(0) > 0; };
  return above_zero(f.temperature) || above_zero(f.top_k) || above_zero(f.top_p) || above_zero(f.min_p) ||
         f.typical.value_or(1) < 1;
}

inline EarlyStopping early_stopping_of(const std::string& text) {
  if (text == "never") return EarlyStopping::never;
  return text == "true" ? EarlyStopping::yes : EarlyStopping::no;
}

/// Flags over generation_config.json.
inline GenerateOptions options_for(const Flags& f, const GenerationConfig& file) {
  GenerateOptions options{.config = file, .seed = f.seed, .show_special = f.special};
  GenerationConfig& c = options.config;
  const auto set = [](auto& value, const auto& flag) {
    if (flag) value = *flag;
  };
  set(c.max_new_tokens, f.tokens);
  set(c.temperature, f.temperature);
  set(c.top_k, f.top_k);
  set(c.top_p, f.top_p);
  set(c.min_p, f.min_p);
  set(c.typical_p, f.typical);
  set(c.repetition_penalty, f.repeat_penalty);
  set(c.num_beams, f.num_beams);
  set(c.num_return_sequences, f.num_return_sequences);
  set(c.length_penalty, f.length_penalty);
  if (f.early_stopping) c.early_stopping = early_stopping_of(*f.early_stopping);
  if (!f.stop.empty()) c.stop_strings = f.stop;
  if (f.ignore_eos) c.eos_token_id.clear();
  options.sample = asks_to_sample(f) && c.temperature > 0;
  // The file may count on its do_sample.
  if (!options.sample && c.num_beams == 1 && !f.num_return_sequences) c.num_return_sequences = 1;
  return options;
}

}  // namespace cli
