// t5gemma2-look: where the decoder looked while it wrote, as one HTML page that needs nothing else.
#include <omp.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "input_flags.hpp"
#include "load_weights.hpp"
#include "look_html.hpp"  // made from the files in look by CMake
#include "look_page.hpp"
#include "programs.hpp"
#include "sampling_flags.hpp"
#include "t5gemma2/analysis/memory.hpp"
#include "t5gemma2/generate.hpp"
#include "t5gemma2/image_prompt.hpp"
#include "terminal.hpp"

namespace look_program {

using namespace t5gemma2;

struct Flags {
  cli::ModelName model;
  cli::Input input;
  std::string out;
  std::optional<Index> tokens;
  double megabytes = 16;
  bool quiet = false;
  int threads = 1;
};

void add_flags(cli::App& app, Flags& f) {
  cli::add_model(app, f.model);
  cli::add_input_flags(app, f.input, "text that the decoder continues", true);
  app.group("Output");
  app.add_option(
         "-n,--n-predict", f.tokens,
         "number of tokens to make (generation_config.json's, else 48); -1: until the model ends the text; "
         "0: look at --decoder-prompt's words")
      ->check(cli::integer_in(cli::until_eos, cli::most_tokens));
  app.add_option("--megabytes", f.megabytes,
                 "about the most that the page may hold; words behind are left out")
      ->value("MB")
      ->check(cli::number_in(0, 1000))
      ->capture_default_str();
  app.add_option("-o,--output", f.out, "the HTML file to write")->value("FILE.html")->required();
  cli::add_threads(app, f.threads);
  cli::add_quiet(app, f.quiet);
  app.examples({R"(t5gemma2-look "in words: 39629" -o build/look.html)",
                "t5gemma2-look --image examples/inputs/shapes.png -o build/look.html"});
}

/// A request and its answer.
struct Run {
  std::vector<Image> images;
  std::vector<TokenId> ids, decoder_ids;
  Index given = 0;  // decoder ids that were not made
  Matrix H;
};

/// How the text is made: its likeliest tokens. Throws UsageError where there will be no word to look at.
GenerateOptions options_of(const Flags& f, const Model& model, const Tokenizer* tokenizer, const Run& run) {
  cli::Sampling asked;
  asked.n_predict = f.tokens;
  GenerateOptions options = cli::options_for(asked, model.generation_config);
  options.encoder_input_ids = run.ids;
  GenerationConfig& config = options.config;
  if (!config.max_new_tokens && !config.max_length) config.max_new_tokens = 48;
  config.num_return_sequences = 1;
  if (tokenizer == nullptr && !config.stop_strings.empty()) {
    cli::note("stop_strings of generation_config.json stop nothing: there is no tokenizer to make texts",
              f.quiet);
    config.stop_strings.clear();
  }
  if (config.max_new_tokens == 0 && run.given < 2)
    throw cli::UsageError("-n 0 needs words in --decoder-prompt, or two ids in --decoder-input-ids");
  return options;
}

/// The decoder's ids and those it makes.
std::vector<TokenId> write(const Flags& f, const Model& model, const Tokenizer* tokenizer, const Run& run,
                           const GenerateOptions& options) {
  cli::ProgressBar reading(options.config.num_beams == 1 ? "reading" : "writing", !f.quiet);
  cli::ProgressBar writing("writing", !f.quiet);
  long made = 0;
  const auto on_text = [&](std::string_view) {
    writing.update(++made, 0);
    return true;
  };
  return cli::generate_texts(model, tokenizer, run.H, run.decoder_ids, options, on_text, reading.watch())
      .at(0)
      .ids;
}

Run run_model(const Flags& f, const Model& model, const Tokenizer* tokenizer) {
  Run run;
  for (const std::string& file : f.input.images) run.images.push_back(load_image(file));
  std::optional<Vision> vision;
  if (!run.images.empty()) vision = load_vision(model.config, *model.checkpoint);
  run.ids = cli::encoder_ids(f.input, tokenizer, model.config, count_crops(run.images, false), f.quiet);
  run.decoder_ids = cli::decoder_ids(f.input, model, tokenizer);
  run.given = std::ssize(run.decoder_ids);
  const GenerateOptions options = options_of(f, model, tokenizer, run);
  const Index most = length_limits(options.config, run.given).most - run.given;
  check_memory(model.config, std::ssize(run.ids), cli::likely_length(model, options.config, run.given));
  cli::load_weights(cli::weights_of(model, vision ? &*vision : nullptr, !run.ids.empty()), f.quiet);
  ImageFeatures features;
  if (vision) {
    cli::ProgressBar bar("looking", !f.quiet);
    features = encode_images(*vision, run.images, false, bar.watch());
  }
  {
    cli::ProgressBar bar("encoding", !f.quiet);
    run.H = encode(model, run.ids, features.tokens, bar.watch());
  }
  if (most > 0) run.decoder_ids = write(f, model, tokenizer, run, options);
  return run;
}

look::Json pictures_json(const Flags& f, const Model& model, const Run& run) {
  look::Json pictures = look::Json::array();
  for (std::size_t i = 0; i < run.images.size(); ++i) {
    pictures.push_back(look::picture(run.images[i], model.config.vision->image_size));
    pictures.back()["name"] = std::filesystem::path(f.input.images[i]).filename().string();
  }
  return pictures;
}

/// Runs the decoder once more over all it wrote, and makes the page of what its softmax and its logits
/// were.
std::string page_of(const Flags& f, const Model& model, const Tokenizer* tokenizer, const Run& run) {
  const TextConfig& config = model.config.decoder;
  const std::vector<look::Piece> prompt =
      look::prompt_pieces(tokenizer, model.config, run.ids, !run.images.empty());
  const std::vector<look::Piece> words = look::decoder_words(tokenizer, run.decoder_ids, {1, run.given});
  const bool made = std::ssize(run.decoder_ids) > run.given;
  Index first = 1;  // the first word to look at: the first that was made, or all behind bos
  while (made && words[static_cast<std::size_t>(first)].first < run.given) ++first;
  const Index all = std::ssize(words) - first;
  const Index shown =
      std::min(all, look::most_words(config, std::ssize(run.ids) + std::ssize(words), f.megabytes));
  if (shown < all)
    cli::note("the page holds what belongs to the first " + std::to_string(shown) + " of " +
                  std::to_string(all) + " words",
              f.quiet);

  look::Weights weights(config, prompt, words, first, shown);
  const Trace trace = weights.trace();
  Matrix x;
  {
    cli::ProgressBar bar("reading", !f.quiet);
    x = decoder(model.decoder, run.decoder_ids, run.H, Tap(trace) / "model" / "decoder", bar.watch());
  }
  const auto looked =
      std::span(words).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(shown));
  const std::vector<look::Prediction> predicted =
      look::predictions(model.decoder, x, run.decoder_ids, looked.front().first, looked.back().end());

  return look::fill_in(look::html, {{"model", cli::shown_name(f.model)},
                                    {"layers", look::layers_json(config)},
                                    {"heads", config.num_attention_heads},
                                    {"images", pictures_json(f, model, run)},
                                    {"prompt", look::pieces_json(prompt, run.ids)},
                                    {"words", look::pieces_json(words, run.decoder_ids)},
                                    {"made", made ? first : std::ssize(words)},  // the first that was made
                                    {"first", first},                            // of those with weights
                                    {"shown", shown},
                                    {"predictions", look::predictions_json(tokenizer, looked, predicted)},
                                    {"weights", look::weights_json(weights)}});
}

int run(Flags& f) {
  cli::check_writable(f.out);
  omp_set_num_threads(f.threads);
  const auto folder = cli::model_folder(f.model, f.quiet);
  const Model model = load_model(folder);
  const std::optional<Tokenizer> loaded = Tokenizer::load_if_there(folder);
  const Tokenizer* const tokenizer = loaded ? &*loaded : nullptr;
  for (const std::string& text : model.notes) cli::note(text, f.quiet);
  if (model.generation_config.do_sample)
    cli::note("generation_config.json asks for sampling; here the likeliest tokens are shown", f.quiet);
  const std::string page = page_of(f, model, tokenizer, run_model(f, model, tokenizer));
  write_whole(f.out, [&](std::ostream& out) { out << page; });
  if (!f.quiet) std::cerr << page.size() / 1000 << " kB written to " << f.out << '\n';
  return cli::ok;
}

}  // namespace look_program

int programs::look(int argc, char** argv) {
  using namespace look_program;
  cli::App app("t5gemma2-look", "-o FILE.html [FLAGS] [PROMPT]",
               "Shows where the decoder looked for each word it wrote, as an HTML page.");
  Flags flags;
  add_flags(app, flags);
  return app.run(argc, argv, [&] {
    cli::check_prompt(flags.input);
    if (flags.input.empty())
      throw cli::UsageError("expected a prompt (-p TEXT), --image or --decoder-prompt, found none");
    return run(flags);
  });
}
