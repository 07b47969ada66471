// Gaps in a text, filled in: what UL2 trains (paper §3.1). A sentinel stands for each gap, and is echoed in
// the answer in front of what fills it:
//
//   text      monday tuesday ___ friday saturday ___ monday
//   encoder   <bos> monday tuesday S1 friday saturday S2 monday
//   decoder   <bos> S1 wednesday thursday S2 sunday <eos>
//
// What the paper leaves out:
//   which tokens    S1, S2, ... are <unused6237>, <unused6236>, ... downwards (Google's sample code for
//                   T5Gemma 2, "UL2 Infilling"); pocket's begin at its highest, <unused31> (weights_tool's
//                   infilling.py)
//   where it ends   at <eos>, or at the sentinel behind the last gap's: T5's answers close with one more
//                   (Raffel et al. 2020, §3.1.4). Nothing that comes later fills a gap.
//   spaces          UL2 hides ids, and an id holds the space in front of its word: the spaces in front of a
//                   gap go with it, those behind it stay. (Google's sample leaves a space in front.)
#pragma once
#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../checkpoint/generation_config.hpp"
#include "../error.hpp"
#include "../tokenizer/tokenizer.hpp"
#include "../tokenizer/white_space.hpp"
#include "shown_text.hpp"

namespace t5gemma2 {

inline constexpr std::string_view gap_mark = "___";  // or longer

/// A text with gaps: g of them.
struct Gaps {
  std::vector<std::string> around;  // [g + 1], what stands in front of, between and behind them
  std::vector<TokenId> sentinels;   // g or more, in order
  Index count() const { return std::ssize(around) - 1; }
};

/// What an answer makes of it.
struct Filled {
  std::vector<std::string> around;                   // [g + 1]
  std::vector<std::optional<std::string>> fillings;  // [g], as they fit there; none where one was left out
  std::vector<std::string> notes;                    // what was not as asked for
};

namespace fill_detail {

inline std::string_view without_spaces_behind(std::string_view text) {
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

inline std::string_view without_spaces_in_front(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(' '), text.size()));
}

inline std::string sentinel_name(Index number) { return "<unused" + std::to_string(number) + ">"; }

inline Index number_of(std::string_view sentinel) {
  Index number = 0;
  const std::string_view digits = sentinel.substr(std::string_view("<unused").size());
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

/// The number of S1.
inline Index first_of(const Tokenizer& tokenizer) {
  constexpr Index published = 6237;
  if (tokenizer.id_of(sentinel_name(published))) return published;
  Index highest = -1;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
    if (tokenizer.is_sentinel(id)) highest = std::max(highest, number_of(tokenizer.piece(id)));
  if (highest < 0) fail("tokenizer", "sentinels", "pieces <unusedN>", "none");
  return highest;
}

inline void refuse_sentinels(const Tokenizer& tokenizer, std::string_view text) {
  for (const TokenId id : tokenizer.encode(text))
    if (tokenizer.is_sentinel(id))
      fail("prompt", "gaps", "___ alone", std::string(tokenizer.piece(id)) + ", too");
}

/// A filling between `before` and `behind`: where these have a space at the edge, or the text ends, it has
/// none of its own.
inline std::string fitted(std::string_view filling, std::string_view before, std::string_view behind) {
  if (before.empty() || white_space_at_end(before) > 0) filling = without_spaces_in_front(filling);
  if (behind.empty() || white_space_at_start(behind) > 0) filling = without_spaces_behind(filling);
  return std::string(filling);
}

/// What an answer says, in its own order.
class Reader {
 public:
  Reader(const Tokenizer& tokenizer, const GenerateOptions& options, const Gaps& gaps)
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
  /// Whether the answer ended before a word came.
  bool was_cut(std::span<const TokenId> ids, std::size_t from, std::size_t end) const {
    const bool is_whole = end < ids.size() || ids.empty() || is_eos(options_, ids.back());
    return !is_whole && text_of(ids.subspan(from)).empty();
  }

  bool is_last(TokenId id) const {
    const auto last = gaps_.sentinels.begin() + gaps_.count();
    return last != gaps_.sentinels.end() && id == *last;
  }

  /// `ids` stand behind the sentinel, or in front of all.
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

/// The sentinels in the order of use, from <unusedN> with N = `first` down, as far as the vocabulary has
/// them. Throws Error when it does not have the first.
inline std::vector<TokenId> sentinels_from(const Tokenizer& tokenizer, std::optional<Index> first = {}) {
  using namespace fill_detail;
  std::vector<TokenId> ids;
  const Index start = first ? *first : first_of(tokenizer);
  for (Index number = start; number >= 0; --number) {
    const std::optional<TokenId> id = tokenizer.id_of(sentinel_name(number));
    if (!id) break;
    ids.push_back(*id);
  }
  if (ids.empty()) fail("tokenizer", sentinel_name(start), "a piece of the vocabulary", "none");
  return ids;
}

/// The stretches of `text` around its gaps.
inline std::vector<std::string> split_at_gaps(std::string_view text) {
  std::vector<std::string> around;
  for (std::size_t at; (at = text.find(gap_mark)) != text.npos;) {
    around.emplace_back(text.substr(0, at));
    text.remove_prefix(std::min(text.find_first_not_of('_', at), text.size()));
  }
  around.emplace_back(text);
  return around;
}

/// `first`: of sentinels_from. Throws Error for a text without gaps, with sentinels of its own, or with more
/// gaps than there are sentinels, and where Tokenizer::encode does.
inline Gaps find_gaps(const Tokenizer& tokenizer, std::string_view text, std::optional<Index> first = {}) {
  fill_detail::refuse_sentinels(tokenizer, text);
  Gaps gaps{split_at_gaps(text), sentinels_from(tokenizer, first)};
  if (gaps.count() == 0) fail("prompt", "gaps", "___ where words are missing", "none");
  if (gaps.count() > std::ssize(gaps.sentinels))
    fail("prompt", "gaps",
         "at most " + std::to_string(gaps.sentinels.size()) + ", a sentinel for each from " +
             std::string(tokenizer.piece(gaps.sentinels[0])) + " down",
         std::to_string(gaps.count()));
  return gaps;
}

/// The text for the encoder.
inline std::string with_sentinels(const Tokenizer& tokenizer, const Gaps& gaps) {
  std::string text;
  for (std::size_t i = 0; i + 1 < gaps.around.size(); ++i)
    text.append(fill_detail::without_spaces_behind(gaps.around[i]))
        .append(tokenizer.piece(gaps.sentinels[i]));
  return text + gaps.around.back();
}

/// Ends the answer behind the last gap, as the header says.
inline void stop_behind_gaps(const Tokenizer& tokenizer, const Gaps& gaps, GenerateOptions& options) {
  const auto last = static_cast<std::size_t>(gaps.count());
  if (last < gaps.sentinels.size())
    options.config.stop_strings.emplace_back(tokenizer.piece(gaps.sentinels[last]));
}

/// What the answer `ids` (the decoder prompt's may be among them) fills in. The first filling of a gap
/// counts.
inline Filled read_filled(const Tokenizer& tokenizer, const GenerateOptions& options, const Gaps& gaps,
                          std::span<const TokenId> ids) {
  return fill_detail::Reader(tokenizer, options, gaps).read(ids);
}

/// The whole text; each filling stands between `begin` and `end`. A gap that was left out stays one, and one
/// filled with nothing takes the spaces in front of it along.
inline std::string filled_text(const Filled& filled, std::string_view begin = {}, std::string_view end = {}) {
  std::string text;
  for (std::size_t i = 0; i < filled.fillings.size(); ++i) {
    const std::optional<std::string>& filling = filled.fillings[i];
    if (!filling)
      text.append(filled.around[i]).append(gap_mark);
    else if (filling->empty())
      text.append(fill_detail::without_spaces_behind(filled.around[i]));
    else
      text.append(filled.around[i]).append(begin).append(*filling).append(end);
  }
  return text + filled.around.back();
}

}  // namespace t5gemma2
