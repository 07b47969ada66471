// A loaded model that answers requests one after the other, and tells a person how it goes on stderr.
#pragma once
#include <unistd.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "generate_flags.hpp"
#include "image_memory.hpp"
#include "t5gemma2/hub.hpp"
#include "t5gemma2/image_prompt.hpp"
#include "t5gemma2/memory.hpp"

namespace cli {

inline volatile std::sig_atomic_t stop_requested = 0;

/// Thrown where Ctrl-C ends what has no partial result.
struct Interrupted : std::exception {};

inline volatile std::sig_atomic_t waiting_for_input = 0;

/// While one lives, nothing is done but to wait for a prompt: Ctrl-C, pressed before or now, ends the
/// program.
class WaitForInput {
 public:
  WaitForInput() {
    waiting_for_input = 1;
    if (stop_requested) throw Interrupted();
  }
  ~WaitForInput() { waiting_for_input = 0; }
  WaitForInput(const WaitForInput&) = delete;
};

/// Ctrl-C asks to stop; a second one kills.
inline void stop_on_interrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) {
    if (waiting_for_input) _exit(interrupted);
    stop_requested = 1;
  };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
}

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
    for (const std::string& text : model_.notes) note(text);
    if (options_.config.do_sample && !options_.sample)
      note("generation_config.json asks for sampling; greedy without --temp or another sampling flag");
    load_seconds_ = seconds() - start;
  }

  /// on_text gets the text as it is made. Throws Interrupted when Ctrl-C comes before the first token.
  std::vector<Generated> answer(const Request& request, const OnText& on_text) {
    const std::vector<TokenId> prefix = decoder_prompt(model_, *tokenizer_, request.decoder_prompt);
    const std::vector<Image> images = load_images(request.images);
    std::vector<TokenId> ids;
    if (request.prompt || !images.empty())
      ids = encode_prompt(*tokenizer_, model_.config, request.prompt.value_or(""),
                          count_crops(images, flags_.pan_and_scan));
    check_ids(ids, model_.config.encoder.vocab_size);
    check_lengths(std::ssize(ids), std::ssize(prefix));
    const std::vector<Matrix> features = look_at(images);
    const double start = seconds();
    const Matrix H = encode_with_progress(ids, features);
    encode_seconds_ += seconds() - start;
    input_tokens_ += ids.size();
    options_.encoder_input_ids = ids;
    return decode_with_progress(H, prefix, on_text);
  }

  void print_timings() const {
    if (flags_.quiet) return;
    const auto rate = [](std::size_t tokens, double time) {
      return time > 0 ? static_cast<double>(tokens) / time : 0.0;
    };
    std::fprintf(stderr, "load %.2f s | ", load_seconds_);
    if (image_seconds_ > 0) std::fprintf(stderr, "images %.2f s | ", image_seconds_);
    std::fprintf(stderr, "encode %zu tokens, %.1f tok/s | read %zu tokens, %.1f tok/s | ", input_tokens_,
                 rate(input_tokens_, encode_seconds_), prefix_tokens_, rate(prefix_tokens_, read_seconds_));
    std::fprintf(stderr, "decode %zu tokens, %.1f tok/s | peak memory %.0f MB\n", new_tokens_,
                 rate(new_tokens_, decode_seconds_), peak_memory() / 1e6);
  }

 private:
  void note(const std::string& text) const {
    if (!flags_.quiet) std::cerr << "note: " << text << '\n';
  }

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
             " tokens is longer than max_position_embeddings " + std::to_string(most));
    };
    const Index longest = model_.config.decoder.max_position_embeddings;
    warn("prompt", n, model_.config.encoder.max_position_embeddings);
    warn("decoder prompt", m, longest);
    // Few texts reach a large -n: count on what the model was made for at most.
    check_memory(model_.config, n, m + std::min(length_limits(options_.config, m).most - m, longest));
  }

  Matrix encode_with_progress(const std::vector<TokenId>& ids, const std::vector<Matrix>& features) const {
    const ProgressBar bar("encoding " + std::to_string(ids.size()) + " tokens", !flags_.quiet);
    return encode(model_, ids, features, watch(bar));
  }

  /// Reads H and the prefix, then writes; the first new token comes with the reading.
  std::vector<Generated> decode_with_progress(const Matrix& H, const std::vector<TokenId>& prefix,
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
        generate_several(model_, *tokenizer_, H, prefix, options_, cleared, watch(bar));
    const double end = seconds();
    prefix_tokens_ += prefix.size();
    if (!streams) first = start;
    read_seconds_ += (first == 0 ? end : first) - start;
    for (const Generated& one : made)
      if (one.ids.size() > prefix.size() + 1) new_tokens_ += one.ids.size() - prefix.size() - 1;
    decode_seconds_ += first == 0 ? 0 : end - first;
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
  std::size_t input_tokens_ = 0, prefix_tokens_ = 0, new_tokens_ = 0;
};

}  // namespace cli
