// t5gemma2-look: the words that a model wrote, with the attention weights of each, as one HTML page that
// needs nothing else.
#include <omp.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "input_flags.hpp"
#include "look_html.hpp"  // made from the files in look by CMake
#include "look_page.hpp"
#include "look_run.hpp"
#include "programs.hpp"
#include "t5gemma2/io/atomic_file.hpp"
#include "t5gemma2/model.hpp"
#include "t5gemma2/score.hpp"
#include "terminal.hpp"

namespace look_program {

using namespace t5gemma2;

struct Flags {
  cli::ModelName model;
  look::Request request;
  std::string out;
  double megabytes = 16;
  int threads = 1;
};

void add_flags(cli::App& app, Flags& f) {
  cli::add_model(app, f.model);
  cli::add_dtype(app, f.request.dtype);
  cli::add_lora(app, f.request.lora);
  cli::add_input_flags(app, f.request.input, "text that the decoder continues", true);
  app.group("Output");
  app.add_option(
         "-n,--n-predict", f.request.tokens,
         "number of tokens to generate (generation_config.json's, or else 48); -1: until the model ends the "
         "text; 0: look at the words of --decoder-prompt")
      ->check(cli::integer_in(cli::until_eos, cli::most_tokens));
  app.add_option("--megabytes", f.megabytes, "approximate limit of the page's size; later words are left out")
      ->value("MB")
      ->check(cli::number_in(0, 1000))
      ->capture_default_str();
  app.add_option("-o,--output", f.out, "the HTML file to write")->value("FILE.html")->required();
  cli::add_threads(app, f.threads);
  cli::add_quiet(app, f.request.quiet);
  app.examples({R"(t5gemma2-look "in words: 39629" -o build/look.html)",
                "t5gemma2-look --image examples/inputs/shapes.png -o build/look.html"});
}

look::Json images_json(const Flags& f, const Model& model, const look::Run& run) {
  look::Json images = look::Json::array();
  for (std::size_t i = 0; i < run.images.size(); ++i) {
    images.push_back(look::image_json(run.images[i].image, model.config.vision->image_size));
    images.back()["name"] = std::filesystem::path(f.request.input.images[i]).filename().string();
  }
  return images;
}

/// The words that the page has weights and predictions of: of those that were made, or else of all after bos,
/// as many as fit.
look::ShownWords shown_words(const Flags& f, const TextConfig& config, const look::Run& run,
                             std::span<const look::Piece> words) {
  look::ShownWords shown{.first = 1, .size = 0, .made = std::ssize(run.decoder_ids) > run.given};
  while (shown.made && words[static_cast<std::size_t>(shown.first)].first < run.given) ++shown.first;
  const Index all = std::ssize(words) - shown.first;
  shown.size = std::min(all, look::most_words(config, std::ssize(run.ids) + std::ssize(words), f.megabytes));
  if (shown.size < all)
    cli::note("the page holds what belongs to the first " + std::to_string(shown.size) + " of " +
                  std::to_string(all) + " words",
              f.request.quiet);
  return shown;
}

/// Runs the decoder once more over all ids, and makes the page of its softmax weights and predictions.
std::string page_of(const Flags& f, const Model& model, const Tokenizer* tokenizer, const look::Run& run) {
  const TextConfig& config = model.config.decoder;
  const std::vector<look::Piece> prompt =
      look::prompt_pieces(tokenizer, model.config, run.ids, !run.images.empty());
  const std::vector<look::Piece> words = look::decoder_words(tokenizer, run.decoder_ids, {1, run.given});
  const look::ShownWords shown = shown_words(f, config, run, words);

  look::Weights weights(config, prompt, words, shown.first, shown.size);
  const Trace trace = weights.trace();
  Matrix x;
  {
    cli::ProgressBar bar("reading", !f.request.quiet);
    x = decoder(model.decoder, run.decoder_ids, run.H, Tap(trace) / "model" / "decoder", bar.watch());
  }
  const std::span<const look::Piece> looked = shown.of(words);
  const Index first = looked.front().first, count = looked.back().end() - first;
  const std::span<const TokenId> ids =
      std::span(run.decoder_ids).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
  const std::vector<TokenScore> predicted =
      score_rows(model.decoder, x.middleRows(first - 1, count), ids, look::predictions_shown);

  return look::fill_in(look::html, {{"model", cli::shown_name(f.model)},
                                    {"layers", look::layers_json(config)},
                                    {"heads", config.num_attention_heads},
                                    {"images", images_json(f, model, run)},
                                    {"prompt", look::pieces_json(prompt, run.ids)},
                                    {"words", look::pieces_json(words, run.decoder_ids)},
                                    {"made", shown.made ? shown.first : std::ssize(words)},  // the first made
                                    {"first", shown.first},  // of those with weights
                                    {"shown", shown.size},
                                    {"predictions", look::predictions_json(tokenizer, looked, predicted)},
                                    {"weights", look::weights_json(weights)}});
}

int run(Flags& f) {
  cli::check_writable(f.out);
  omp_set_num_threads(f.threads);
  const auto folder = cli::model_folder(f.model, f.request.quiet);
  const Model model = cli::open_model(folder, f.request.dtype, f.request.lora, f.request.quiet);
  const std::optional<Tokenizer> loaded = Tokenizer::load_if_there(tokenizer_folder(folder, model));
  const Tokenizer* const tokenizer = loaded ? &*loaded : nullptr;
  for (const std::string& text : model.notes) cli::note(text, f.request.quiet);
  if (model.generation_config.do_sample)
    cli::note("generation_config.json asks for sampling; here the likeliest tokens are shown",
              f.request.quiet);
  const std::string page = page_of(f, model, tokenizer, look::run_model(f.request, model, tokenizer));
  write_atomically(f.out, [&](std::ostream& out) { out << page; });
  if (!f.request.quiet) std::cerr << page.size() / 1000 << " kB written to " << f.out << '\n';
  return cli::ok;
}

}  // namespace look_program

int programs::look(int argc, char** argv) {
  using namespace look_program;
  cli::App app("t5gemma2-look", "-o FILE.html [FLAGS] [PROMPT]",
               "Writes an HTML page that shows where the decoder looked for each word that it wrote.");
  Flags flags;
  add_flags(app, flags);
  return app.run(argc, argv, [&] {
    cli::check_prompt(flags.request.input);
    cli::check_not_empty(flags.request.input);
    return run(flags);
  });
}
