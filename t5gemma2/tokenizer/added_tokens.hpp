// Added tokens: texts that stand for one id wherever they occur (<start_of_image>, <table>, "\n\n", ...). The
// one that starts first counts, and of those the longest. Reference: tokenizers AddedVocabulary.
#pragma once
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sentencepiece_model.hpp"
#include "white_space.hpp"

namespace t5gemma2 {

/// A sorted list, searched byte by byte.
class AddedTokens {
 public:
  struct Entry {
    std::string text;
    TokenId id;
    bool lstrip, rstrip;  // takes the white space before, behind it along
  };

  void add(Entry entry) {
    starts_[static_cast<unsigned char>(entry.text[0])] = true;
    entries_.push_back(std::move(entry));
  }

  /// To be called between the last add and the first split.
  void sort() { std::ranges::sort(entries_, {}, &Entry::text); }

  /// Goes through `text`: on_token gets the id of each token in it, on_text what stands between them.
  template <class OnToken, class OnText>
  void split(std::string_view text, OnToken on_token, OnText on_text) const {
    std::size_t done = 0, white_end = 0;  // the end of the white space that was looked at last
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
      if (start < end) on_token(token->id);  // nothing is left of it where rstrip of the one before took all
      done = end;
    }
    if (done < text.size()) on_text(text.substr(done));
  }

 private:
  /// The longest that `text` begins with; null when there is none.
  const Entry* longest_at(std::string_view text) const {
    if (!starts_[static_cast<unsigned char>(text[0])]) return nullptr;
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

  std::vector<Entry> entries_;
  std::array<bool, 256> starts_{};  // bytes that an entry begins with
};

}  // namespace t5gemma2
