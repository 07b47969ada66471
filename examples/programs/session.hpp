// A loaded model that answers requests one after the other, and tells a person how it goes on stderr.
#pragma once
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "fill.hpp"
#include "image_memory.hpp"
#include "input_flags.hpp"
#include "load_weights.hpp"
#include "sampling_flags.hpp"
#include "t5gemma2/analysis/memory.hpp"
#include "t5gemma2/checkpoint/hub.hpp"
#include "t5gemma2/tokenizer/tokenizer_config.hpp"
#include "terminal.hpp"

namespace cli {

/// Thrown where Ctrl-C ends what has no partial result.
struct Interrupted : std::exception {};

/// One request; both halves are flags, and keys of a JSON line.
struct Request {
  Input input;
  Sampling sampling;
};

struct Answer {
  std::vector<Generated> texts;       // one at least
  std::vector<Filled> filled;         // what each makes of a prompt's gaps; none where it was not asked to
  std::optional<std::uint64_t> seed;  // where tokens were drawn
};

struct SessionFlags {
  ModelName model;
  bool pan_and_scan = false, special = false, quiet = false;
};

class Session {
 public:
  /// `flags` must live longer. Throws Error where the model cannot be loaded, or not be asked for `sampling`.
  Session(const SessionFlags& flags, const Sampling& sampling) : flags_(flags) {
    const double start = seconds();
    ProgressBar bar("loading", !flags.quiet);
    bar.update(0, 2);
    const auto folder = model_folder(flags.model, flags.quiet);
    model_ = load_model(folder);
    bar.update(1, 2);
    tokenizer_ = Tokenizer::load_if_there(folder);
    bar.update(2, 2);
    const GenerateOptions options = options_for(sampling, model_.generation_config);
    check(options, model_.config.decoder.vocab_size);
    for (const std::string& text : model_.notes) note(text, flags.quiet);
    if (tokenizer_)
      for (const std::string& text : tokenizer_config_notes(folder, *tokenizer_)) note(text, flags.quiet);
    note_sampling(sampling, options.sample);
    load_seconds_ = seconds() - start;
  }

  /// on_text gets the text as it is made, unless gaps are filled: what comes is not in their order. Throws
  /// Interrupted when Ctrl-C comes before the first token.
  Answer answer(const Request& request, const OnText& on_text) {
    const std::optional<Gaps> gaps = gaps_of(request.input, request.sampling, tokenizer());
    const Input input = gaps ? with_sentinels(request.input, *tokenizer_, *gaps) : request.input;
    const std::vector<TokenId> prompt = decoder_ids(input, model_, tokenizer());
    if (gaps) check_answer_start(prompt, *tokenizer_, *gaps);
    const std::vector<Image> images = load_images(input.images);
    GenerateOptions options = options_for(request.sampling, model_.generation_config);
    options.show_special = flags_.special;
    if (gaps) stop_behind_gaps(*tokenizer_, *gaps, options);
    options.encoder_input_ids = encoder_ids(input, tokenizer(), model_.config,
                                            count_crops(images, flags_.pan_and_scan), flags_.quiet);
    check(options, model_.config.decoder.vocab_size);
    const std::vector<TokenId>& ids = options.encoder_input_ids;
    check_lengths(std::ssize(ids), std::ssize(prompt), options.config);
    load_weights_for(options, std::ssize(prompt), !images.empty());
    const std::vector<Matrix> features = look_at(images);
    const double start = seconds();
    const Matrix H = encode_with_progress(ids, features);
    encode_seconds_ += seconds() - start;
    input_tokens_ += ids.size();
    Answer answer{.texts = decode_with_progress(H, prompt, options, gaps ? OnText() : on_text),
                  .filled = {},
                  .seed = {}};
    if (gaps) answer.filled = read_filled(answer.texts, *tokenizer_, options, *gaps);
    if (options.sample) answer.seed = options.seed;
    return answer;
  }

  /// Null where the model has none: its texts are ids.
  const Tokenizer* tokenizer() const { return tokenizer_ ? &*tokenizer_ : nullptr; }

  /// Throws Error where the picture cannot be used.
  void check_picture(const std::string& file) { load_images({file}); }

  void print_timings() const {
    if (flags_.quiet) return;
    const auto print_rate = [](const char* step, std::size_t tokens, double time) {
      if (tokens == 0 || time <= 0) return;
      std::fprintf(stderr, " | %s %zu token%s, %.1f tok/s", step, tokens, tokens == 1 ? "" : "s",
                   static_cast<double>(tokens) / time);
    };
    fresh_line();
    std::fprintf(stderr, "load %.2f s", load_seconds_);
    if (image_seconds_ > 0) std::fprintf(stderr, " | images %.2f s", image_seconds_);
    print_rate("encode", input_tokens_, encode_seconds_);
    print_rate("read", prompt_tokens_, read_seconds_);
    print_rate("decode", new_tokens_, decode_seconds_);
    std::fprintf(stderr, " | peak memory %.0f MB\n", peak_memory() / 1e6);
  }

 private:
  void note_sampling(const Sampling& sampling, bool sample) const {
    if (asks_to_sample(sampling) && !sample && !sampling.temp)
      note("generation_config.json says temperature 0: greedy without --temp above 0", flags_.quiet);
    if (model_.generation_config.do_sample && !sample)
      note("generation_config.json asks for sampling; greedy without --temp or another sampling flag",
           flags_.quiet);
  }

  /// The first image opens the vision half, too.
  std::vector<Image> load_images(const std::vector<std::string>& files) {
    std::vector<Image> images;
    for (const std::string& file : files) images.push_back(load_image(file));
    if (!files.empty() && !vision_) vision_ = load_vision(model_.config, *model_.checkpoint);
    return images;
  }

  /// Those of the parts that will run over a decoder prompt of `m` ids.
  void load_weights_for(const GenerateOptions& options, Index m, bool images) {
    const double start = seconds();
    const bool encodes = !options.encoder_input_ids.empty(),
               decodes = length_limits(options.config, m).most > m;
    load_weights(weights_of(model_, images ? &*vision_ : nullptr, encodes, decodes), flags_.quiet,
                 [](Index, Index) { stop_where_asked(); });
    load_seconds_ += seconds() - start;
  }

  /// The tokens of all images and their crops; what was seen lately is remembered.
  std::vector<Matrix> look_at(const std::vector<Image>& images) {
    if (images.empty()) return {};
    const double start = seconds();
    std::vector<Matrix> features;
    for (std::size_t i = 0; i < images.size(); ++i) {
      const auto look = [&] {
        const std::string which = std::to_string(i + 1) + " of " + std::to_string(images.size());
        ProgressBar bar("looking at image " + which, !flags_.quiet);
        return encode_images(*vision_, {images[i]}, flags_.pan_and_scan, watch(bar)).tokens;
      };
      const std::vector<Matrix>& tokens = seen_.tokens_of(images[i], look);
      features.insert(features.end(), tokens.begin(), tokens.end());
    }
    image_seconds_ += seconds() - start;
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
    return encode(model_, ids, features, watch(bar));
  }

  /// Reads H and the decoder prompt, then writes; the first new token comes with the reading, and all that is
  /// done for several texts counts as writing. Without on_text a bar shows how far it is.
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
        generate_texts(model_, tokenizer(), H, prompt, options, cleared, watch(bar));
    std::size_t written = 0;
    for (const Generated& one : made) written += one.ids.size() - prompt.size();
    if (written == 0) return made;  // for no token nothing is read
    if (single) {
      prompt_tokens_ += prompt.size();
      read_seconds_ += first - start;
    }
    new_tokens_ += written - (single ? 1 : 0);
    decode_seconds_ += seconds() - (single ? first : start);
    return made;
  }

  static Progress watch(ProgressBar& bar) {
    return [&bar](Index done, Index all) {
      bar.update(done, all);
      stop_where_asked();
    };
  }

  static void stop_where_asked() {
    if (stop_requested) throw Interrupted();
  }

  const SessionFlags& flags_;
  Model model_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<Vision> vision_;
  ImageMemory seen_;
  double load_seconds_ = 0, image_seconds_ = 0, encode_seconds_ = 0, read_seconds_ = 0, decode_seconds_ = 0;
  std::size_t input_tokens_ = 0, prompt_tokens_ = 0, new_tokens_ = 0;
};

}  // namespace cli
