// The text shown while tokens are generated: without special pieces, in complete characters, up to a stop
// text; without a tokenizer the ids.
//
// Reference: transformers generation/streamers.py TextStreamer; generation/stopping_criteria.py
// StopStringCriteria
#pragma once
#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../checkpoint/generation_config.hpp"
#include "../error.hpp"
#include "../tokenizer/text_stream.hpp"
#include "../tokenizer/tokenizer.hpp"

namespace t5gemma2 {

inline bool is_eos(const GenerateOptions& options, TokenId id) {
  return std::ranges::count(options.config.eos_token_id, id) > 0;
}

/// Holds text back while it may be the beginning of a stop text.
class StopFilter {
 public:
  explicit StopFilter(std::vector<std::string> stop) : stop_(std::move(stop)) {}

  /// Takes more text, returns the part in which no stop text can begin. A complete stop text sets stopped().
  std::string push(std::string_view text) {
    held_ += text;
    std::size_t end = std::string::npos;
    for (const std::string& stop : stop_) end = std::min(end, stop.empty() ? end : held_.find(stop));
    stopped_ = end != std::string::npos;
    return take(stopped_ ? end : held_.size() - possible_start());
  }

  /// The text held back, when no more comes in.
  std::string finish() { return stopped_ ? std::string() : take(held_.size()); }
  bool stopped() const { return stopped_; }

 private:
  /// The number of bytes at the end of the held text that may begin a stop text.
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

/// The shown text of ids as they come: without special pieces and sentinels (gaps.hpp) unless the options ask
/// for them, up to the first stop text, which may be a hidden piece, too.
class ShownText {
 public:
  /// Both must outlive this object.
  ShownText(const Tokenizer& tokenizer, const GenerateOptions& options)
      : tokenizer_(tokenizer),
        options_(options),
        stream_(tokenizer, options.show_special),
        filter_(options.config.stop_strings) {}

  /// Takes one more id, returns the text that is certain now: complete UTF-8 characters, or none.
  std::string push(TokenId id) {
    const bool hidden = !options_.show_special && (tokenizer_.is_hidden(id) || is_eos(options_, id));
    if (!hidden) return filter_.push(stream_.push(id));
    const std::string_view piece = tokenizer_.piece(id);
    stopped_ = stopped_ || (!piece.empty() && std::ranges::count(options_.config.stop_strings, piece) > 0);
    return {};
  }

  /// The text held back. Call it once, at the end.
  std::string finish() {
    std::string text = filter_.push(stream_.finish());
    return text += filter_.finish();
  }

  /// Whether a stop text is complete.
  bool stopped() const { return stopped_ || filter_.stopped(); }

 private:
  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  TextStream stream_;
  StopFilter filter_;
  bool stopped_ = false;  // by a hidden piece
};

/// Ids as "5,7,9".
inline std::string ids_as_text(std::span<const TokenId> ids) {
  std::string text;
  for (const TokenId id : ids) text.append(text.empty() ? "" : ",").append(std::to_string(id));
  return text;
}

/// ShownText without a tokenizer: all ids, as ids_as_text writes them.
class ShownIds {
 public:
  /// Throws Error where the options have stop texts.
  explicit ShownIds(const GenerateOptions& options) {
    if (!options.config.stop_strings.empty())
      throw Error("stop texts: expected a tokenizer, which makes ids into texts, found none");
  }

  std::string push(TokenId id) { return std::exchange(separator_, ",") + std::to_string(id); }
  std::string finish() const { return {}; }
  bool stopped() const { return false; }

 private:
  std::string separator_;
};

}  // namespace t5gemma2
