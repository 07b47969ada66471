// A request of t5gemma2-look, from its flags to the text that the decoder made.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "generation_options.hpp"
#include "input_flags.hpp"
#include "load_weights.hpp"
#include "t5gemma2/analysis/memory.hpp"
#include "t5gemma2/generate.hpp"
#include "t5gemma2/prompt.hpp"
#include "t5gemma2/vision/vision_weights.hpp"
#include "terminal.hpp"

namespace look {

using namespace t5gemma2;

struct Request {
  cli::Input input;
  std::optional<Index> tokens;  // to make
  std::string dtype = "float32";
  std::vector<std::string> lora;
  bool quiet = false;
};

/// A request's ids and the text that the decoder made.
struct Run {
  std::vector<PromptImage> images;
  std::vector<TokenId> ids, decoder_ids;
  Index given = 0;  // the number of decoder ids before those that were made
  Matrix H;
};

/// How the text is made: of the likeliest tokens. Throws UsageError where there will be no word to look at.
inline GenerateOptions options_of(const Request& request, const Model& model, const Tokenizer* tokenizer,
                                  const Run& run) {
  cli::GenerationSettings asked;
  asked.n_predict = request.tokens;
  GenerateOptions options = cli::options_for(asked, model.generation_config);
  options.encoder_input_ids = run.ids;
  GenerationConfig& config = options.config;
  if (!config.max_new_tokens && !config.max_length) config.max_new_tokens = 48;
  config.num_return_sequences = 1;
  if (tokenizer == nullptr && !config.stop_strings.empty()) {
    cli::note("stop_strings of generation_config.json stop nothing: there is no tokenizer to make texts",
              request.quiet);
    config.stop_strings.clear();
  }
  if (config.max_new_tokens == 0 && run.given < 2)
    throw cli::UsageError("-n 0 needs words in --decoder-prompt, or two ids in --decoder-input-ids");
  return options;
}

/// The decoder's ids with those that it makes.
inline std::vector<TokenId> write(const Request& request, const Model& model, const Tokenizer* tokenizer,
                                  const Run& run, const GenerateOptions& options) {
  cli::ProgressBar reading(options.config.num_beams == 1 ? "reading" : "writing", !request.quiet);
  cli::ProgressBar writing("writing", !request.quiet);
  long made = 0;
  const auto on_text = [&](std::string_view) {
    writing.update(++made, 0);
    return true;
  };
  return generate_several(model, tokenizer, run.H, run.decoder_ids, options, on_text, reading.watch())
      .at(0)
      .ids;
}

inline Run run_model(const Request& request, const Model& model, const Tokenizer* tokenizer) {
  Run run;
  run.images = load_images(request.input.images);
  std::optional<Vision> vision;
  if (!run.images.empty()) vision = cli::open_vision(model, request.dtype, request.quiet);
  run.ids = cli::encoder_ids(request.input, tokenizer, model.config, run.images, request.quiet);
  run.decoder_ids = cli::decoder_ids(request.input, model, tokenizer);
  run.given = std::ssize(run.decoder_ids);
  const GenerateOptions options = options_of(request, model, tokenizer, run);
  const Index most = length_limits(options.config, run.given).most - run.given;
  check_memory(model.config, std::ssize(run.ids), likely_length(model, options.config, run.given));
  cli::load_weights(cli::weights_of(model, vision ? &*vision : nullptr, !run.ids.empty()), request.quiet);
  std::vector<Matrix> features;
  if (vision) {
    cli::ProgressBar bar("looking", !request.quiet);
    features = get_image_features(*vision, run.images, bar.watch());
  }
  {
    cli::ProgressBar bar("encoding", !request.quiet);
    run.H = encode(model, run.ids, features, bar.watch());
  }
  if (most > 0) run.decoder_ids = write(request, model, tokenizer, run, options);
  return run;
}

}  // namespace look
