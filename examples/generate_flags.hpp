// The flags of t5gemma2-generate, and what they mean for generation.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "model_flag.hpp"
#include "t5gemma2/generate.hpp"
#include "t5gemma2/generation_config.hpp"
#include "t5gemma2/utf8.hpp"

namespace cli {

using namespace t5gemma2;

struct Flags {
  ModelName model;
  std::string prompt, file, decoder_prompt;
  bool has_prompt = false, has_decoder_prompt = false;
  std::optional<Index> tokens, top_k;
  std::optional<float> temperature, top_p, min_p, repeat_penalty;
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
  app.add_option("-n,--n-predict", f.tokens, "number of tokens to make (128)")
      ->check(integer_in(0, 1000000000));
  add_threads(app, f.threads);
  app.add_option("-s,--seed", f.seed, "seed of sampling")
      ->check(integer_in(0, 1000000000000000000))
      ->capture_default_str();
  app.add_option("--temp", f.temperature, "temperature; 0 is greedy")->check(number_in(0, 1e6));
  app.add_option("--top-k", f.top_k, "sample from the k likeliest; 0 is all")
      ->check(integer_in(0, 1000000000));
  app.add_option("--top-p", f.top_p, "... from the likeliest that hold p together")->check(number_in(0, 1));
  app.add_option("--min-p", f.min_p, "... from those with p times the likeliest's")->check(number_in(0, 1));
  app.add_option("--repeat-penalty", f.repeat_penalty, "divide logits of tokens already made; 1 is off")
      ->check(number_in(1e-6, 1e6));
  app.add_option("--stop", f.stop, "text that ends the output, not printed; repeatable")
      ->allow_extra_args(false)
      ->check(utf8_text());
  app.add_flag("--ignore-eos", f.ignore_eos, "go on after the end-of-sequence token");
  app.add_flag("--special", f.special, "print special pieces and <unusedN> sentinels, too");
  app.add_flag("--echo", f.echo, "print the decoder prompt first");
  add_quiet(app, f.quiet);
  app.footer(
      "Greedy unless --temp, --top-k, --top-p or --min-p is above 0; generation_config.json gives the other\n"
      "defaults. Without -p and -f, --decoder-prompt runs the decoder alone.");
}

/// Flags over generation_config.json over the reference's defaults.
inline GenerateOptions options_for(const Flags& f, const Model& model, const GenerationConfig& config) {
  const auto above_zero = [](const auto& flag) { return flag.value_or(0) > 0; };
  GenerateOptions options;
  const auto either = [](const auto& flag, const auto& file, auto standard) {
    return flag ? *flag : file.value_or(standard);
  };
  Sampling& s = options.sampling;
  s.seed = f.seed;
  s.repetition_penalty = either(f.repeat_penalty, config.repetition_penalty, s.repetition_penalty);
  s.temperature = either(f.temperature, config.temperature, s.temperature);
  s.top_k = either(f.top_k, config.top_k, s.top_k);
  s.top_p = either(f.top_p, config.top_p, s.top_p);
  s.min_p = either(f.min_p, config.min_p, s.min_p);
  const bool asked =
      above_zero(f.temperature) || above_zero(f.top_k) || above_zero(f.top_p) || above_zero(f.min_p);
  s.greedy = !asked || s.temperature == 0;
  options.max_new_tokens = either(f.tokens, config.max_new_tokens, options.max_new_tokens);
  options.stop = f.stop;
  options.show_special = f.special;
  if (f.ignore_eos) return options;
  options.eos = config.eos_token_id;
  if (options.eos.empty())
    options.eos.assign(model.config.eos_token_id.begin(), model.config.eos_token_id.end());
  return options;
}

}  // namespace cli
