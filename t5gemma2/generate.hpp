// Generation: the decoder's loop, and its text as it comes.
//
//   ids = prefix;  repeat: logits = decode(the ids not yet seen); ids += sample(logits)   until eos, a stop
//   text, or n
//
// Reference: transformers GenerationMixin.generate.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model.hpp"
#include "sampling.hpp"
#include "tokenizer.hpp"

namespace t5gemma2 {

struct GenerateOptions {
  Sampling sampling;
  Index max_new_tokens = 128;
  std::vector<TokenId> eos;       // ends the text; none: goes on to max_new_tokens
  std::vector<std::string> stop;  // texts that end it, not part of it
  bool show_special = false;      // special pieces and sentinels in the text
};

enum class FinishReason { eos, stop, length, interrupted };

inline bool ends_text(const GenerateOptions& options, TokenId id) {
  return std::find(options.eos.begin(), options.eos.end(), id) != options.eos.end();
}

/// Gets each new id; returns false to end the generation.
using OnToken = std::function<bool(TokenId)>;

/// Continues `ids` (bos included, at least one) by new ids, at most options.max_new_tokens, an eos id last
/// where one came. Throws Error for an id outside the vocabulary and for logits that are not finite.
inline FinishReason generate_ids(const Decoder& w, const Matrix& H, std::vector<TokenId>& ids,
                                 const GenerateOptions& options, const OnToken& on_token,
                                 const Progress& progress = {}) {
  if (ids.empty()) throw std::invalid_argument("generate_ids: expected bos and more, found no ids");
  check_ids(ids, w.config.vocab_size);
  DecoderState state = start_decoder(w, H, progress);
  Sampler sampler(options.sampling);
  for (Index made = 0; made < options.max_new_tokens; ++made) {
    const std::span<const TokenId> unseen = std::span(ids).subspan(static_cast<std::size_t>(state.position));
    const TokenId id = sampler.next(decode(w, state, unseen, progress), ids);
    ids.push_back(id);
    if (!on_token(id)) return FinishReason::interrupted;
    if (ends_text(options, id)) return FinishReason::eos;
  }
  return FinishReason::length;
}

/// Holds text back while it could be the beginning of a stop text.
class StopFilter {
 public:
  explicit StopFilter(std::vector<std::string> stop) : stop_(std::move(stop)) {}

  /// The text that is sure to be before any stop text. Sets stopped() when one is complete.
  std::string push(std::string_view text) {
    held_ += text;
    std::size_t end = std::string::npos;
    for (const std::string& stop : stop_) end = std::min(end, stop.empty() ? end : held_.find(stop));
    stopped_ = end != std::string::npos;
    return take(stopped_ ? end : held_.size() - possible_start());
  }

  /// What is left when no more text comes.
  std::string finish() { return stopped_ ? std::string() : take(held_.size()); }
  bool stopped() const { return stopped_; }

 private:
  /// Bytes at the end of what is held that begin a stop text.
  std::size_t possible_start() const {
    std::size_t longest = 0;
    for (const std::string& stop : stop_)
      for (std::size_t size = std::min(stop.size(), held_.size()); size > longest; --size)
        if (held_.ends_with(std::string_view(stop).substr(0, size))) longest = size;
    return longest;
  }
  std::string take(std::size_t size) {
    std::string text = held_.substr(0, size);
    held_.erase(0, size);
    return text;
  }

  std::vector<std::string> stop_;
  std::string held_;
  bool stopped_ = false;
};

struct Generated {
  std::vector<TokenId> ids;  // prefix and new
  std::string text;          // of the new ids
  FinishReason reason = FinishReason::length;
};

/// Gets each piece of text, whole UTF-8 characters; returns false to end the generation.
using OnText = std::function<bool(std::string_view)>;

/// Writes the text that follows `prefix` (ids, bos first), given H; on_text gets it as it is made, called
/// once per id. Progress is told of what comes before the first new id.
inline Generated generate(const Model& model, const Tokenizer& tokenizer, const Matrix& H,
                          std::vector<TokenId> prefix, const GenerateOptions& options, const OnText& on_text,
                          const Progress& progress = {}) {
  Generated made{.ids = std::move(prefix), .text = {}, .reason = {}};
  TextStream stream(tokenizer, options.show_special);
  StopFilter filter(options.stop);
  const auto emit = [&](const std::string& text) {
    made.text += text;
    return on_text(text);
  };
  const auto on_token = [&](TokenId id) {
    const bool hidden = !options.show_special && (tokenizer.is_hidden(id) || ends_text(options, id));
    const bool more = emit(filter.push(hidden ? std::string() : stream.push(id)));
    return more && !filter.stopped();
  };
  made.reason = generate_ids(model.decoder, H, made.ids, options, on_token, progress);
  emit(filter.push(stream.finish()) + filter.finish());
  if (filter.stopped()) made.reason = FinishReason::stop;
  return made;
}

/// The same from bos alone, greedily, to the end of the text.
inline Generated generate(const Model& model, const Tokenizer& tokenizer, const Matrix& H) {
  GenerateOptions options;
  for (const Index id : model.config.eos_token_id) options.eos.push_back(static_cast<TokenId>(id));
  return generate(model, tokenizer, H, {tokenizer.bos_id()}, options, [](std::string_view) { return true; });
}

}  // namespace t5gemma2
