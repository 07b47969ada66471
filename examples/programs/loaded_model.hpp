// A loaded model with its tokenizer and its eyes, and what every request to it begins with: a source is read and encoded, with
// notes, bars and timings on stderr.
#pragma once
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common_flags.hpp"
#include "image_encoder.hpp"
#include "input_flags.hpp"
#include "interrupted.hpp"
#include "load_weights.hpp"
#include "progress_bar.hpp"
#include "t5gemma2/model.hpp"
#include "t5gemma2/prompt.hpp"
#include "t5gemma2/tokenizer/tokenizer_config.hpp"
#include "terminal.hpp"
#include "timings.hpp"

namespace cli {

struct LoadFlags {
  ModelName model;
  std::string dtype = "float32";
  std::vector<std::string> lora;
  bool pan_and_scan = false, quiet = false;
};

/// What the encoder gets.
struct Source {
  std::vector<TokenId> ids;
  std::vector<PromptImage> images;
};

class LoadedModel {
 public:
  /// `flags` must outlive this. Throws Error where the model cannot be loaded.
  explicit LoadedModel(const LoadFlags& flags) : flags_(flags) {
    const double start = seconds();
    ProgressBar bar("loading", !flags.quiet);
    bar.update(0, 2);
    folder_ = model_folder(flags.model, flags.quiet);
    model_ = open_model(folder_, flags.dtype, flags.lora, flags.quiet);
    images_.emplace(model_, flags.dtype, flags.pan_and_scan, flags.quiet);
    bar.update(1, 2);
    tokenizer_ = Tokenizer::load_if_there(tokenizer_folder(folder_, model_));
    bar.update(2, 2);
    timings_.load_seconds = seconds() - start;
  }
  LoadedModel(const LoadedModel&) = delete;

  const Model& model() const { return model_; }

  /// Null where the model has none: it then takes and makes ids only.
  const Tokenizer* tokenizer() const { return tokenizer_ ? &*tokenizer_ : nullptr; }

  Timings& timings() { return timings_; }

  void print_notes() const {
    for (const std::string& text : model_.notes) note(text, flags_.quiet);
    if (tokenizer_)
      for (const std::string& text : tokenizer_config_notes(tokenizer_folder(folder_, model_), *tokenizer_))
        note(text, flags_.quiet);
  }

  /// Throws Error where an image cannot be used.
  std::vector<PromptImage> read_images(const std::vector<std::string>& files) { return images_->read(files); }

  /// Throws Error where the input fits neither the model nor its images.
  Source source_of(const Input& input) {
    Source source{.ids = {}, .images = read_images(input.images)};
    source.ids = encoder_ids(input, tokenizer(), model_.config, source.images, flags_.quiet);
    return source;
  }

  /// Notes that texts of n and m tokens are longer than the model was made for.
  void note_lengths(Index n, Index m, const std::string& decoder_text) const {
    const auto warn = [&](const std::string& what, Index length, Index most) {
      if (length > most)
        note(what + " of " + std::to_string(length) + " tokens is longer than max_position_embeddings " +
                 std::to_string(most) + ": what comes may make no sense",
             flags_.quiet);
    };
    warn("prompt", n, model_.config.encoder.max_position_embeddings);
    warn(decoder_text, m, model_.config.decoder.max_position_embeddings);
  }

  /// Loads the weights of the parts that will run, then H of the source. Throws Interrupted.
  Matrix encode_source(const Source& source, bool decodes) {
    load_parts(source, decodes);
    const double before = seconds();
    const std::vector<Matrix> features = images_->features_of(source.images);
    if (!source.images.empty()) timings_.image_seconds += seconds() - before;
    const double start = seconds();
    ProgressBar bar("encoding " + std::to_string(source.ids.size()) + " tokens", !flags_.quiet);
    Matrix H = encode(model_, source.ids, features, interruptible(bar));
    timings_.encode.seconds += seconds() - start;
    timings_.encode.tokens += source.ids.size();
    return H;
  }

  void print_timings() const {
    if (!flags_.quiet) timings_.print();
  }

 private:
  void load_parts(const Source& source, bool decodes) {
    const double start = seconds();
    const Vision* vision = source.images.empty() ? nullptr : images_->vision();
    load_weights(weights_of(model_, vision, !source.ids.empty(), decodes), flags_.quiet,
                 [](Index, Index) { throw_if_interrupted(); });
    timings_.load_seconds += seconds() - start;
  }

  const LoadFlags& flags_;
  std::filesystem::path folder_;
  Model model_;
  std::optional<ImageEncoder> images_;
  std::optional<Tokenizer> tokenizer_;
  Timings timings_;
};

}  // namespace cli
