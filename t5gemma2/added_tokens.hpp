// Added tokens: texts that stand for one id wherever they occur (<start_of_image>, <table>, "\n\n", ...). The
// one that starts first counts, and of those the longest. Reference: tokenizers AddedVocabulary.
#pragma once
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer_model.hpp"

namespace t5gemma2 {

/// A sorted list, searched byte by byte.
class AddedTokens {
 public:
  struct Entry {
    std::string text;
    TokenId id;
  };

  void add(std::string text, TokenId id) {
    starts_[static_cast<unsigned char>(text[0])] = true;
    entries_.push_back({std::move(text), id});
  }

  /// To be called between the last add and the first longest_at.
  void sort() { std::ranges::sort(entries_, {}, &Entry::text); }

  /// The longest that `text` begins with; null when there is none.
  const Entry* longest_at(std::string_view text) const {
    if (text.empty() || !starts_[static_cast<unsigned char>(text[0])]) return nullptr;
    const Entry* longest = nullptr;
    auto low = entries_.begin(),
         high = entries_.end();  // those that agree with the text's first `depth` bytes
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

 private:
  std::vector<Entry> entries_;
  std::array<bool, 256> starts_{};  // bytes that an entry begins with
};

}  // namespace t5gemma2
