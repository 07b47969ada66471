// A text with gaps as UL2 masks it (paper §3.1): the encoder reads a sentinel for each gap.
//
//   text      monday tuesday ___ friday saturday ___ monday
//   encoder   <bos> monday tuesday S1 friday saturday S2 monday
//
// The paper leaves out:
//   the sentinels   S1, S2, ... are <unused6237>, <unused6236>, ... downwards (Google's sample code for
//                   T5Gemma 2, "UL2 Infilling"); a vocabulary without <unused6237> begins at its highest, as
//                   the pocket model's at <unused31> (weights_tool's infilling.py)
//   spaces          UL2 masks ids, and an id holds the space before its word: the spaces before a gap are
//                   masked with it, those after it stay (Google's sample leaves a space before the gap)
#pragma once
#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../error.hpp"
#include "../tensor.hpp"
#include "../tokenizer/tokenizer.hpp"

namespace t5gemma2 {

inline constexpr std::string_view gap_mark = "___";  // three underscores or more

/// A text with g gaps.
struct Gaps {
  std::vector<std::string> around;  // [g + 1], the texts before, between and after the gaps
  std::vector<TokenId> sentinels;   // g or more, in order
  Index count() const { return std::ssize(around) - 1; }
};

/// Throws std::invalid_argument unless there are texts around the gaps and a sentinel for each gap.
inline void check(const Gaps& gaps) {
  check_argument(!gaps.around.empty(), "gaps around", "one text or more", "none");
  check_argument(gaps.count() <= std::ssize(gaps.sentinels), "gaps sentinels", "one for each gap",
                 gaps.sentinels.size());
}

namespace gap_detail {

inline std::string_view without_spaces_behind(std::string_view text) {
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

inline std::string sentinel_name(Index number) { return "<unused" + std::to_string(number) + ">"; }

/// N of "<unusedN>".
inline Index number_of(std::string_view sentinel) {
  Index number = 0;
  const std::string_view digits = sentinel.substr(std::string_view("<unused").size());
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

/// The number N of S1, <unusedN>.
inline Index first_of(const Tokenizer& tokenizer) {
  constexpr Index published = 6237;
  if (tokenizer.id_of(sentinel_name(published))) return published;
  Index highest = -1;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
    if (tokenizer.is_sentinel(id)) highest = std::max(highest, number_of(tokenizer.piece(id)));
  if (highest < 0) fail("tokenizer", "sentinels", "pieces <unusedN>", "none");
  return highest;
}

/// Throws Error where the text itself has sentinels.
inline void refuse_sentinels(const Tokenizer& tokenizer, std::string_view text) {
  for (const TokenId id : tokenizer.encode_start(text))
    if (tokenizer.is_sentinel(id))
      fail("prompt", "gaps", "___ alone", std::string(tokenizer.piece(id)) + ", too");
}

}  // namespace gap_detail

/// The sentinels in the order of use, from <unusedN> with N = `first` down to the last that the vocabulary
/// has. Throws Error when it does not have the first.
inline std::vector<TokenId> sentinels_from(const Tokenizer& tokenizer, std::optional<Index> first = {}) {
  using namespace gap_detail;
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

/// The parts of `text` around its gaps.
inline std::vector<std::string> split_at_gaps(std::string_view text) {
  std::vector<std::string> around;
  for (std::size_t at; (at = text.find(gap_mark)) != text.npos;) {
    around.emplace_back(text.substr(0, at));
    text.remove_prefix(std::min(text.find_first_not_of('_', at), text.size()));
  }
  around.emplace_back(text);
  return around;
}

/// The gaps of a text; `first` is that of sentinels_from. Throws Error for a text without gaps, with
/// sentinels of its own, or with more gaps than there are sentinels, and where Tokenizer::encode does.
inline Gaps find_gaps(const Tokenizer& tokenizer, std::string_view text, std::optional<Index> first = {}) {
  gap_detail::refuse_sentinels(tokenizer, text);
  Gaps gaps{split_at_gaps(text), sentinels_from(tokenizer, first)};
  if (gaps.count() == 0) fail("prompt", "gaps", "___ where words are missing", "none");
  if (gaps.count() > std::ssize(gaps.sentinels))
    fail("prompt", "gaps",
         "at most " + std::to_string(gaps.sentinels.size()) + ", a sentinel for each from " +
             std::string(tokenizer.piece(gaps.sentinels[0])) + " down",
         std::to_string(gaps.count()));
  return gaps;
}

/// The text for the encoder: each gap, with the spaces before it, becomes its sentinel.
inline std::string with_sentinels(const Tokenizer& tokenizer, const Gaps& gaps) {
  check(gaps);
  std::string text;
  for (std::size_t i = 0; i + 1 < gaps.around.size(); ++i)
    text.append(gap_detail::without_spaces_behind(gaps.around[i])).append(tokenizer.piece(gaps.sentinels[i]));
  return text + gaps.around.back();
}

}  // namespace t5gemma2
