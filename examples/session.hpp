// A loaded model that answers requests one after the other, and tells a person how it goes on stderr.
#pragma once
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "generate_flags.hpp"
#include "image_memory.hpp"
#include "t5gemma2/hub.hpp"
#include "t5gemma2/image_prompt.hpp"
#include "t5gemma2/memory.hpp"
#include "t5gemma2/tokenizer_config.hpp"
#include "terminal.hpp"

namespace cli {

/// Thrown where Ctrl-C ends what has no partial result.
struct Interrupted : std::exception {};

struct Request {
  std::optional<std::string> prompt, decoder_prompt;
  std::vector<std::string> images;  // files
};

class Session {
 public:
  explicit Session(const Flags& flags) : flags_(flags) {
    const double start = seconds();
    const ProgressBar bar("loading", !flags.quiet);
    bar.update(0, 2);
    const auto folder = model_folder(flags.model, flags.quiet);
    model_ = load_model(folder);
    bar.update(1, 2);
    tokenizer_.emplace(Tokenizer::load(folder));
    bar.update(2, 2);
    options_ = options_for(flags, model_.generation_config);
    check(options_, model_.config.decoder.vocab_size);
    for (const std::string& text : model_.notes) note(text, flags.quiet);
    for (const std::string& text : tokenizer_config_notes(folder, *tokenizer_)) note(text, flags.quiet);
    if (asks_to_sample(flags) && !flags.temperature && options_.config.temperature == 0)
      note("generation_config.json says temperature 0: greedy without --temp above 0", flags.quiet);
    if (options_.config.do_sample && !options_.sample)
      note("generation_config.json asks for sampling; greedy without --temp or another sampling flag",
           flags.quiet);
    load_seconds_ = seconds() - start;
  }

  /// on_text gets the text as it is made. Throws Interrupted when Ctrl-C comes before the first token.
  std::vector<Generated> answer(const Request& request, const OnText& on_text) {
    const std::vector<TokenId> prompt = decoder_prompt(model_, *tokenizer_, request.decoder_prompt);
    const std::vector<Image> images = load_images(request.images);
    std::vector<TokenId> ids;
    if (request.prompt || !images.empty())
      ids = encode_prompt(*tokenizer_, model_.config, request.prompt.value_or(""),
                          count_crops(images, flags_.pan_and_scan));
    check_ids(ids, model_.config.encoder.vocab_size);
    check_lengths(std::ssize(ids), std::ssize(prompt));
    const std::vector<Matrix> features = look_at(images);
    const double start = seconds();
    const Matrix H = encode_with_progress(ids, features);
    encode_seconds_ += seconds() - start;
    input_tokens_ += ids.size();
    options_.encoder_input_ids = ids;
    return decode_with_progress(H, prompt, on_text);
  }

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
  /// The first image opens the vision half, too.
  std::vector<Image> load_images(const std::vector<std::string>& files) {
    std::vector<Image> images;
    for (const std::string& file : files) images.push_back(load_image(file));
    if (!files.empty() && !vision_) vision_ = load_vision(model_.config, *model_.checkpoint);
    return images;
  }

  /// The tokens of all images and their crops; what was seen lately is remembered.
  std::vector<Matrix> look_at(const std::vector<Image>& images) {
    if (images.empty()) return {};
    const double start = seconds();
    std::vector<Matrix> features;
    for (std::size_t i = 0; i < images.size(); ++i) {
      const auto look = [&] {
        const std::string which = std::to_string(i + 1) + " of " + std::to_string(images.size());
        const ProgressBar bar("looking at image " + which, !flags_.quiet);
        return encode_images(*vision_, {images[i]}, flags_.pan_and_scan, watch(bar)).tokens;
      };
      const std::vector<Matrix>& tokens = seen_.tokens_of(images[i], look);
      features.insert(features.end(), tokens.begin(), tokens.end());
    }
    image_seconds_ += seconds() - start;
    return features;
  }

  void check_lengths(Index n, Index m) const {
    const auto warn = [&](const char* what, Index length, Index most) {
      if (length > most)
        note(std::string(what) + " of " + std::to_string(length) +
                 " tokens is longer than max_position_embeddings " + std::to_string(most),
             flags_.quiet);
    };
    const Index longest = model_.config.decoder.max_position_embeddings;
    warn("prompt", n, model_.config.encoder.max_position_embeddings);
    warn("decoder prompt", m, longest);
    // Few texts reach a large -n: count on what the model was made for at most.
    check_memory(model_.config, n, m + std::min(length_limits(options_.config, m).most - m, longest),
                 available_memory(), options_.config.num_beams);
  }

  Matrix encode_with_progress(const std::vector<TokenId>& ids, const std::vector<Matrix>& features) const {
    const ProgressBar bar("encoding " + std::to_string(ids.size()) + " tokens", !flags_.quiet);
    return encode(model_, ids, features, watch(bar));
  }

  /// Reads H and the decoder prompt, then writes; the first new token comes with the reading, and all that is
  /// done for several texts counts as writing.
  std::vector<Generated> decode_with_progress(const Matrix& H, const std::vector<TokenId>& prompt,
                                              const OnText& on_text) {
    const double start = seconds();
    double first = 0;
    const bool streams = options_.config.num_beams == 1 && options_.config.num_return_sequences == 1;
    const ProgressBar bar(streams ? "reading" : "writing", !flags_.quiet);
    const auto cleared = [&](std::string_view text) {
      if (first == 0) first = seconds();
      bar.clear();
      return on_text(text);
    };
    std::vector<Generated> made =
        generate_several(model_, *tokenizer_, H, prompt, options_, cleared, watch(bar));
    std::size_t written = 0;
    for (const Generated& one : made) written += one.ids.size() - prompt.size();
    if (written == 0) return made;  // for no token nothing is read
    if (streams) {
      prompt_tokens_ += prompt.size();
      read_seconds_ += first - start;
    }
    new_tokens_ += written - (streams ? 1 : 0);
    decode_seconds_ += seconds() - (streams ? first : start);
    return made;
  }

  static Progress watch(const ProgressBar& bar) {
    return [&bar](Index done, Index layers) {
      bar.update(done, layers);
      if (stop_requested) throw Interrupted();
    };
  }

  const Flags& flags_;
  Model model_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<Vision> vision_;
  ImageMemory seen_;
  GenerateOptions options_;
  double load_seconds_ = 0, image_seconds_ = 0, encode_seconds_ = 0, read_seconds_ = 0, decode_seconds_ = 0;
  std::size_t input_tokens_ = 0, prompt_tokens_ = 0, new_tokens_ = 0;
};

}  // namespace cli
