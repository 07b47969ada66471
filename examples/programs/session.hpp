// A loaded model that answers requests one after the other, with notes, bars and timings on stderr.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "generation_options.hpp"
#include "image_encoder.hpp"
#include "input_flags.hpp"
#include "interrupted.hpp"
#include "load_weights.hpp"
#include "progress_bar.hpp"
#include "request.hpp"
#include "request_gaps.hpp"
#include "t5gemma2/analysis/memory.hpp"
#include "t5gemma2/checkpoint/hub.hpp"
#include "t5gemma2/prompt.hpp"
#include "t5gemma2/tokenizer/tokenizer_config.hpp"
#include "terminal.hpp"
#include "timings.hpp"

namespace cli {

struct SessionFlags {
  ModelName model;
  std::string dtype = "float32";
  bool pan_and_scan = false, special = false, quiet = false;
};

class Session {
 public:
  /// `flags` must outlive the session. Throws Error where the model cannot be loaded, or not do `settings`.
  Session(const SessionFlags& flags, const GenerationSettings& settings) : flags_(flags) {
    const double start = seconds();
    ProgressBar bar("loading", !flags.quiet);
    bar.update(0, 2);
    const auto folder = model_folder(flags.model, flags.quiet);
    model_ = open_model(folder, flags.dtype, flags.quiet);
    images_.emplace(model_, flags.dtype, flags.pan_and_scan, flags.quiet);
    bar.update(1, 2);
    tokenizer_ = Tokenizer::load_if_there(folder);
    bar.update(2, 2);
    const GenerateOptions options = options_for(settings, model_.generation_config);
    check(options, model_.config.decoder.vocab_size);
    for (const std::string& text : model_.notes) note(text, flags.quiet);
    if (tokenizer_)
      for (const std::string& text : tokenizer_config_notes(folder, *tokenizer_)) note(text, flags.quiet);
    note_sampling(settings, options.sample);
    timings_.load_seconds = seconds() - start;
  }

  /// on_text gets the text as it is made, but none where gaps are filled: they are not made in the order of
  /// the prompt. Throws Interrupted when Ctrl-C comes before the first token.
  Answer answer(const Request& request, const OnText& on_text) {
    const std::optional<Gaps> gaps = gaps_of(request.input, request.settings, tokenizer());
    const Input input = gaps ? input_with_sentinels(request.input, *tokenizer_, *gaps) : request.input;
    const std::vector<TokenId> prompt = decoder_ids(input, model_, tokenizer());
    if (gaps) check_answer_start(prompt, *tokenizer_, *gaps);
    const std::vector<PromptImage> images = images_->read(input.images);
    GenerateOptions options = options_for(request.settings, model_.generation_config);
    options.show_special = flags_.special;
    if (gaps) stop_behind_gaps(*tokenizer_, *gaps, options);
    options.encoder_input_ids = encoder_ids(input, tokenizer(), model_.config, images, flags_.quiet);
    check(options, model_.config.decoder.vocab_size);
    const std::vector<TokenId>& ids = options.encoder_input_ids;
    check_lengths(std::ssize(ids), std::ssize(prompt), options.config);
    load_weights_for(options, std::ssize(prompt), !images.empty());
    const std::vector<Matrix> features = features_of(images);
    const double start = seconds();
    const Matrix H = encode_with_progress(ids, features);
    timings_.encode.seconds += seconds() - start;
    timings_.encode.tokens += ids.size();
    Answer answer{.texts = decode_with_progress(H, prompt, options, gaps ? OnText() : on_text),
                  .filled = {},
                  .seed = {}};
    if (gaps) answer.filled = read_all_filled(answer.texts, *tokenizer_, options, *gaps);
    if (options.sample) answer.seed = options.seed;
    return answer;
  }

  /// Null where the model has none: it then takes and makes ids only.
  const Tokenizer* tokenizer() const { return tokenizer_ ? &*tokenizer_ : nullptr; }

  /// Throws Error where the image cannot be used.
  void check_image(const std::string& file) { images_->read({file}); }

  void print_timings() const {
    if (!flags_.quiet) timings_.print();
  }

 private:
  void note_sampling(const GenerationSettings& settings, bool sample) const {
    if (asks_to_sample(settings) && !sample && !settings.temp)
      note("generation_config.json says temperature 0: greedy without --temp above 0", flags_.quiet);
    if (model_.generation_config.do_sample && !sample)
      note("generation_config.json asks for sampling; greedy without --temp or another sampling flag",
           flags_.quiet);
  }

  /// Loads the weights of the parts that will run over a decoder prompt of `m` ids.
  void load_weights_for(const GenerateOptions& options, Index m, bool images) {
    const double start = seconds();
    const bool encodes = !options.encoder_input_ids.empty(),
               decodes = length_limits(options.config, m).most > m;
    load_weights(weights_of(model_, images ? images_->vision() : nullptr, encodes, decodes), flags_.quiet,
                 [](Index, Index) { throw_if_interrupted(); });
    timings_.load_seconds += seconds() - start;
  }

  std::vector<Matrix> features_of(const std::vector<PromptImage>& images) {
    const double start = seconds();
    std::vector<Matrix> features = images_->features_of(images);
    if (!images.empty()) timings_.image_seconds += seconds() - start;
    return features;
  }

  void check_lengths(Index n, Index m, const GenerationConfig& config) const {
    const auto warn = [&](const char* what, Index length, Index most) {
      if (length > most)
        note(std::string(what) + " of " + std::to_string(length) +
                 " tokens is longer than max_position_embeddings " + std::to_string(most) +
                 ": what comes may make no sense",
             flags_.quiet);
    };
    warn("prompt", n, model_.config.encoder.max_position_embeddings);
    warn("decoder prompt", m, model_.config.decoder.max_position_embeddings);
    check_memory(model_.config, n, likely_length(model_, config, m), available_memory(), config.num_beams);
  }

  Matrix encode_with_progress(const std::vector<TokenId>& ids, const std::vector<Matrix>& features) const {
    ProgressBar bar("encoding " + std::to_string(ids.size()) + " tokens", !flags_.quiet);
    return encode(model_, ids, features, interruptible(bar));
  }

  /// Reads H and the decoder prompt, then writes. The first new token counts as reading, unless there are
  /// several texts, which count as writing as a whole. Without on_text a bar shows the progress of writing.
  std::vector<Generated> decode_with_progress(const Matrix& H, const std::vector<TokenId>& prompt,
                                              const GenerateOptions& options, const OnText& on_text) {
    const double start = seconds();
    double first = 0;
    const bool single = options.config.num_beams == 1 && options.config.num_return_sequences == 1;
    ProgressBar bar(single && on_text ? "reading" : "writing", !flags_.quiet);
    Index calls = 0;
    const auto cleared = [&](std::string_view text) {
      if (first == 0) first = seconds();
      if (on_text) {
        bar.clear();
        return on_text(text);
      }
      bar.update(++calls, 0);
      return stop_requested == 0;
    };
    std::vector<Generated> made =
        generate_texts(model_, tokenizer(), H, prompt, options, cleared, interruptible(bar));
    std::size_t written = 0;
    for (const Generated& one : made) written += one.ids.size() - prompt.size();
    if (written == 0) return made;  // nothing was read either
    if (single) {
      timings_.read.tokens += prompt.size();
      timings_.read.seconds += first - start;
    }
    timings_.decode.tokens += written - (single ? 1 : 0);
    timings_.decode.seconds += seconds() - (single ? first : start);
    return made;
  }

  const SessionFlags& flags_;
  Model model_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<ImageEncoder> images_;
  Timings timings_;
};

}  // namespace cli
