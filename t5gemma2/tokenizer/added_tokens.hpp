// Added tokens: texts that stand for one id wherever they occur (<start_of_image>, <table>, "\n\n", ...). Of
// tokens that overlap, the one that starts first is taken, and of those that start together the longest.
// Reference: tokenizers src/tokenizer/added_vocabulary.rs AddedVocabulary::find_matches.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../tensor.hpp"
#include "white_space.hpp"

namespace t5gemma2 {

/// A list of added tokens and the search for them in a text.
class AddedTokens {
 public:
  struct Entry {
    std::string text;
    TokenId id;
    bool lstrip = false, rstrip = false;  // whether it includes the white space before it, behind it
  };

  AddedTokens() = default;

  /// Throws std::invalid_argument when an entry has no text.
  explicit AddedTokens(std::vector<Entry> entries) : entries_(std::move(entries)) {
    std::ranges::sort(entries_, {}, &Entry::text);
    for (const Entry& entry : entries_) {
      check_argument(!entry.text.empty(), "text of an added token", "one that is not empty", "none");
      starts_[static_cast<unsigned char>(entry.text[0])] = true;
    }
  }

  /// Splits `text`, in order: on_token(id) is called for each token in it, on_text(text) for each
  /// text between.
  template <class OnToken, class OnText>
  void split(std::string_view text, OnToken on_token, OnText on_text) const {
    std::size_t done = 0;
    std::size_t white_end = 0;  // the end of the white space that was measured last, so that none is twice
    for (std::size_t at = 0; at < text.size();) {
      const Entry* token = longest_at(text.substr(at));
      if (token == nullptr) {
        ++at;
        continue;
      }
      std::size_t start = at, end = at + token->text.size();
      at = end;
      if (token->lstrip && done < start) start -= white_space_at_end(text.substr(done, start - done));
      if (token->lstrip) start = std::max(done, start);
      if (token->rstrip && end > white_end) white_end = end + white_space_at_start(text.substr(end));
      if (token->rstrip) end = std::max(end, white_end);
      if (done < start) on_text(text.substr(done, start - done));
      if (start < end) on_token(token->id);  // else the token before, with rstrip, included it
      done = end;
    }
    if (done < text.size()) on_text(text.substr(done));
  }

 private:
  /// The longest token that `text` begins with; null when there is none.
  const Entry* longest_at(std::string_view text) const {
    if (!starts_[static_cast<unsigned char>(text[0])]) return nullptr;
    const Entry* longest = nullptr;
    auto low = entries_.begin(), high = entries_.end();  // the tokens that begin with the first `depth` bytes
    for (std::size_t depth = 0; low != high; ++depth) {
      if (low->text.size() == depth) longest = &*low++;
      if (depth == text.size()) break;
      const auto byte_at = [depth](const Entry& entry) {
        return static_cast<unsigned char>(entry.text[depth]);
      };
      const auto next = static_cast<unsigned char>(text[depth]);
      high = std::ranges::upper_bound(low, high, next, {}, byte_at);
      low = std::ranges::lower_bound(low, high, next, {}, byte_at);
    }
    return longest;
  }

  std::vector<Entry> entries_;      // sorted by text
  std::array<bool, 256> starts_{};  // the bytes that an entry begins with
};

}  // namespace t5gemma2
