// The answer to a text with gaps (gaps.hpp): the decoder writes each sentinel, and after it the words that
// fill its gap.
//
//   text      monday tuesday ___ friday saturday ___ monday
//   decoder   <bos> S1 wednesday thursday S2 sunday <eos>
//
// The paper leaves out where an answer ends: at <eos>, or at the sentinel after the last gap's, which closes
// T5's answers (Raffel et al. 2020, §3.1.4). Ids after it fill no gap.
#pragma once
#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../checkpoint/generation_config.hpp"
#include "../tokenizer/tokenizer.hpp"
#include "../tokenizer/white_space.hpp"
#include "gaps.hpp"
#include "shown_text.hpp"

namespace t5gemma2 {

/// A text with its gaps filled in.
struct Filled {
  std::vector<std::string> around;                   // [g + 1]
  std::vector<std::optional<std::string>> fillings;  // [g], with fitting spaces; none where one was left out
  std::vector<std::string> notes;  // parts of the answer that fill no gap, and gaps left out
};

namespace fill_detail {

inline std::string_view without_spaces_in_front(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(' '), text.size()));
}

/// The filling of the gap between `before` and `behind`, without spaces on a side where the text has spaces
/// or is empty.
inline std::string fitted(std::string_view filling, std::string_view before, std::string_view behind) {
  if (before.empty() || white_space_at_end(before) > 0) filling = without_spaces_in_front(filling);
  if (behind.empty() || white_space_at_start(behind) > 0)
    filling = gap_detail::without_spaces_behind(filling);
  return std::string(filling);
}

/// Reads an answer, sentinel by sentinel in the answer's order.
class AnswerReader {
 public:
  AnswerReader(const Tokenizer& tokenizer, const GenerateOptions& options, const Gaps& gaps)
      : tokenizer_(tokenizer), options_(options), gaps_(gaps) {
    options_.show_special = false;
  }

  Filled read(std::span<const TokenId> ids) {
    std::size_t from = 0;
    std::optional<TokenId> sentinel;
    for (std::size_t i = 0; i <= ids.size(); ++i) {
      if (i < ids.size() && !tokenizer_.is_sentinel(ids[i])) continue;
      if (!was_cut(ids, from, i)) put(sentinel, ids.subspan(from, i - from));
      if (i == ids.size() || is_last(ids[i])) break;
      sentinel = ids[i];
      from = i + 1;
    }
    for (Index i = 0; i < gaps_.count(); ++i)
      if (!filled_.fillings[static_cast<std::size_t>(i)])
        note("gap " + std::to_string(i + 1) + " was left out");
    return std::move(filled_);
  }

 private:
  /// Whether the limit ended the answer before the first word of this filling.
  bool was_cut(std::span<const TokenId> ids, std::size_t from, std::size_t end) const {
    const bool is_whole = end < ids.size() || ids.empty() || is_eos(options_, ids.back());
    return !is_whole && text_of(ids.subspan(from)).empty();
  }

  bool is_last(TokenId id) const {
    const auto last = gaps_.sentinels.begin() + gaps_.count();
    return last != gaps_.sentinels.end() && id == *last;
  }

  /// Takes `ids` as the filling of the sentinel's gap; without a sentinel they precede the first.
  void put(std::optional<TokenId> sentinel, std::span<const TokenId> ids) {
    const std::string text = text_of(ids);
    const auto asked = std::span(gaps_.sentinels).first(static_cast<std::size_t>(gaps_.count()));
    const auto found = sentinel ? std::ranges::find(asked, *sentinel) : asked.end();
    const auto gap = static_cast<std::size_t>(found - asked.begin());
    const std::string ignored = ": \"" + text + "\" was ignored";
    if (!sentinel) {
      if (white_space_at_start(text) < text.size())
        note("the answer has words in front of its first sentinel" + ignored);
    } else if (found == asked.end()) {
      note("the answer has " + std::string(tokenizer_.piece(*sentinel)) + ", which no gap has" + ignored);
    } else if (filled_.fillings[gap]) {
      note("gap " + std::to_string(gap + 1) + " was filled again" + ignored);
    } else {
      filled_.fillings[gap] = fitted(text, gaps_.around[gap], gaps_.around[gap + 1]);
    }
  }

  std::string text_of(std::span<const TokenId> ids) const {
    ShownText shown(tokenizer_, options_);
    std::string text;
    for (const TokenId id : ids) text += shown.push(id);
    return text += shown.finish();
  }

  void note(std::string text) { filled_.notes.push_back(std::move(text)); }

  const Tokenizer& tokenizer_;
  GenerateOptions options_;
  const Gaps& gaps_;
  Filled filled_{gaps_.around, std::vector<std::optional<std::string>>(gaps_.around.size() - 1), {}};
};

}  // namespace fill_detail

/// Adds the stop text that ends the answer after the last gap: the next sentinel.
inline void stop_behind_gaps(const Tokenizer& tokenizer, const Gaps& gaps, GenerateOptions& options) {
  check(gaps);
  const auto last = static_cast<std::size_t>(gaps.count());
  if (last < gaps.sentinels.size())
    options.config.stop_strings.emplace_back(tokenizer.piece(gaps.sentinels[last]));
}

/// Reads the answer `ids`, with or without those of the decoder prompt. The first filling of a gap counts.
/// Throws std::invalid_argument for gaps without texts around them, or without sentinels.
inline Filled read_filled(const Tokenizer& tokenizer, const GenerateOptions& options, const Gaps& gaps,
                          std::span<const TokenId> ids) {
  check(gaps);
  return fill_detail::AnswerReader(tokenizer, options, gaps).read(ids);
}

/// The text with each filling between `begin` and `end`. A gap that was left out stays a gap; one filled with
/// nothing is removed with the spaces before it. Throws std::invalid_argument unless there is one text more
/// than fillings.
inline std::string filled_text(const Filled& filled, std::string_view begin = {}, std::string_view end = {}) {
  check_argument(filled.around.size() == filled.fillings.size() + 1, "texts around gaps",
                 "one more than fillings", filled.around.size());
  std::string text;
  for (std::size_t i = 0; i < filled.fillings.size(); ++i) {
    const std::optional<std::string>& filling = filled.fillings[i];
    if (!filling)
      text.append(filled.around[i]).append(gap_mark);
    else if (filling->empty())
      text.append(gap_detail::without_spaces_behind(filled.around[i]));
    else
      text.append(filled.around[i]).append(begin).append(*filling).append(end);
  }
  return text + filled.around.back();
}

}  // namespace t5gemma2
