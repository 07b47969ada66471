// --fill: the gaps of a request's prompt, and the answers that fill them.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>

#include "generation_settings.hpp"
#include "input_flags.hpp"
#include "t5gemma2/generation/fill.hpp"
#include "terminal.hpp"

namespace cli {

using namespace t5gemma2;

/// The gaps of the prompt; none without --fill. Throws Error where the prompt has none, and as
/// find_gaps does.
inline std::optional<Gaps> gaps_of(const Input& input, const GenerationSettings& settings,
                                   const Tokenizer* tokenizer) {
  if (!settings.fill) return {};
  if (!input.prompt) fail("prompt", "gaps", "a text with ___ where words are missing", "no text");
  return find_gaps(tokenizer_for_text(tokenizer), *input.prompt, settings.first_sentinel);
}

/// The input with sentinels in place of the prompt's gaps.
inline Input input_with_sentinels(Input input, const Tokenizer& tokenizer, const Gaps& gaps) {
  input.prompt = with_sentinels(tokenizer, gaps);
  return input;
}

/// Throws Error unless the decoder's ids can begin an answer: after special tokens, with the sentinel of
/// a gap.
inline void check_answer_start(std::span<const TokenId> ids, const Tokenizer& tokenizer, const Gaps& gaps) {
  const auto asked = std::span(gaps.sentinels).first(static_cast<std::size_t>(gaps.count()));
  const auto id = std::ranges::find_if(ids, [&](TokenId one) { return !tokenizer.is_special(one); });
  if (id == ids.end() || std::ranges::find(asked, *id) != asked.end()) return;
  fail("decoder prompt", "beginning",
       std::string(tokenizer.piece(asked.front())) +
           " or another gap's sentinel, as an answer that fills gaps",
       '"' + std::string(tokenizer.piece(*id)) + '"');
}

/// Each text's fillings of the gaps.
inline std::vector<Filled> read_all_filled(const std::vector<Generated>& texts, const Tokenizer& tokenizer,
                                           const GenerateOptions& options, const Gaps& gaps) {
  std::vector<Filled> all;
  for (const Generated& one : texts) all.push_back(read_filled(tokenizer, options, gaps, one.ids));
  return all;
}

/// Notes about answers that do not fill the gaps as asked; `where` names the request.
inline void note_filled(const std::vector<Generated>& texts, const std::vector<Filled>& filled,
                        const std::string& where, bool quiet) {
  for (std::size_t i = 0; i < filled.size(); ++i) {
    const std::string which = where + (texts.size() > 1 ? "text " + std::to_string(i + 1) + ": " : "");
    for (const std::string& text : filled[i].notes) note(which + text, quiet);
    if (texts[i].reason == FinishReason::length)
      note(which + "the answer was cut at its limit, which -n sets", quiet);
  }
}

/// The filled prompt, its fillings underlined where the terminal can do that.
inline std::string underlined_text(const Filled& filled) {
  return can_style_text() ? filled_text(filled, "\033[4m", "\033[24m") : filled_text(filled);
}

/// Adds "filled" and "gaps" to a JSON answer; null is a gap that was left out.
inline void add_filled(nlohmann::ordered_json& answer, const Filled& filled) {
  answer["filled"] = filled_text(filled);
  answer["gaps"] = nlohmann::ordered_json::array();
  for (const std::optional<std::string>& filling : filled.fillings)
    answer["gaps"].push_back(filling ? nlohmann::ordered_json(*filling) : nlohmann::ordered_json());
}

}  // namespace cli
