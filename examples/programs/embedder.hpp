// A loaded encoder that embeds requests, with notes, bars and timings on stderr.
#pragma once
#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common_flags.hpp"
#include "embed_input.hpp"
#include "image_encoder.hpp"
#include "load_weights.hpp"
#include "t5gemma2/analysis/memory.hpp"
#include "t5gemma2/embedding/sentence_transformers.hpp"
#include "t5gemma2/tokenizer/tokenizer_config.hpp"
#include "timings.hpp"

namespace cli {

struct EmbedFlags {
  ModelName model;
  std::string dtype = "float32";
  std::vector<std::string> lora;
  std::optional<std::string> pooling, prompt_name;
  std::optional<Index> layer, dimensions;
  bool normalize = false, quiet = false;
};

class Embedder {
 public:
  /// `flags` must outlive this. Throws Error where the model cannot be loaded, or not do what they ask for.
  explicit Embedder(const EmbedFlags& flags) : flags_(flags) {
    const double start = seconds();
    const std::filesystem::path folder = model_folder(flags.model, flags.quiet);
    how_ = load_sentence_transformer(folder);
    how_.options = with_asked(how_.options, flags.pooling, flags.layer, flags.dimensions, flags.normalize);
    prompt_ = how_.prompt(flags.prompt_name);
    model_ = open_encoder(how_.model, flags.dtype, flags.lora, flags.quiet);
    images_.emplace(model_, flags.dtype, false, flags.quiet);
    const std::filesystem::path of_tokenizer = tokenizer_folder(how_.model, model_);
    tokenizer_ = Tokenizer::load_if_there(of_tokenizer);
    check_sizes();
    for (const std::string& text : model_.notes) note(text, flags.quiet);
    if (tokenizer_)
      for (const std::string& text : tokenizer_config_notes(of_tokenizer, *tokenizer_))
        note(text, flags.quiet);
    load_weights(weights_of(model_, nullptr, true, false), flags.quiet);
    timings_.load_seconds = seconds() - start;
  }

  Embedder(const Embedder&) = delete;

  /// Whether every token has an embedding of its own.
  bool every_token() const { return how_.options.pooling == Pooling::none; }

  /// Numbers of an embedding.
  Index width() const { return width_of(how_.options, model_.config.encoder.hidden_size); }

  /// Throws Error where a request cannot be embedded.
  EmbedInput input_of(const EmbedRequest& request) {
    const std::vector<PromptImage> images = images_->read(request.images);
    EmbedInput input = read(request, images);
    const Index n = std::ssize(input.ids), most = model_.config.encoder.max_position_embeddings;
    check_ids(input.ids, model_.config.encoder.vocab_size);
    check_image_tokens(input.ids, model_.config, images);
    if (n > most)
      note("a text of " + std::to_string(n) + " tokens is longer than max_position_embeddings " +
               std::to_string(most) + ": its embedding may make no sense",
           flags_.quiet);
    check_encoder_memory(model_.config, n);
    const double start = seconds();
    input.features = images_->features_of(images);
    if (!images.empty()) timings_.image_seconds += seconds() - start;
    return input;
  }

  std::vector<Matrix> embeddings_of(const std::vector<EmbedInput>& inputs, const Progress& progress) {
    const double start = seconds();
    std::vector<Matrix> embeddings = embed(model_, inputs, how_.options, progress);
    timings_.encode.seconds += seconds() - start;
    for (const EmbedInput& input : inputs) timings_.encode.tokens += input.ids.size();
    return embeddings;
  }

  void print_timings() const {
    if (!flags_.quiet) timings_.print();
  }

 private:
  void check_sizes() const {
    const Index layers = model_.config.encoder.num_hidden_layers;
    if (flags_.layer.value_or(0) > layers)
      fail("--layer", "hidden state", "0 to " + std::to_string(layers), std::to_string(*flags_.layer));
    width();  // throws where the steps do not fit the model
  }

  EmbedInput read(const EmbedRequest& request, const std::vector<PromptImage>& images) const {
    if (request.ids) return {.ids = *request.ids, .features = {}};
    const Tokenizer& tokenizer =
        tokenizer_for_text(tokenizer_ ? &*tokenizer_ : nullptr, "--jsonl with input_ids takes");
    if (images.empty()) return embed_input(how_, tokenizer, prompt_, request.text);
    EmbedInput input{.ids = encode_prompt(tokenizer, model_.config, request.text, images), .features = {}};
    if (how_.max_seq_length && std::ssize(input.ids) > *how_.max_seq_length)
      fail("images", "tokens with the text", "at most max_seq_length " + std::to_string(*how_.max_seq_length),
           std::to_string(input.ids.size()));
    return input;
  }

  const EmbedFlags& flags_;
  SentenceTransformer how_;
  std::string prompt_;
  Model model_;
  std::optional<ImageEncoder> images_;
  std::optional<Tokenizer> tokenizer_;
  Timings timings_;
};

}  // namespace cli
