// Token ids in the text of a flag, and in JSON.
#pragma once
#include <charconv>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "t5gemma2/error.hpp"
#include "t5gemma2/io/json_fields.hpp"
#include "t5gemma2/tensor.hpp"

namespace cli {

/// The ids in "2,5,7", "2 5 7" or "[2, 5, 7]". Throws Error with `where` and the byte at which there is
/// no id.
inline std::vector<t5gemma2::TokenId> parse_ids(std::string_view text, const std::string& where) {
  constexpr std::string_view between = " \t\r\n,[]";
  std::vector<t5gemma2::TokenId> ids;
  for (std::size_t at = text.find_first_not_of(between); at < text.size();
       at = text.find_first_not_of(between, at)) {
    const std::string_view word = text.substr(at, text.find_first_of(between, at) - at);
    t5gemma2::TokenId id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id < 0)
      t5gemma2::fail(where, "byte " + std::to_string(at), "a token id", t5gemma2::in_quotes(word));
    ids.push_back(id);
    at += word.size();
  }
  return ids;
}

/// The ids in a JSON list. Throws Error where it is none, or an item is no id.
inline std::vector<t5gemma2::TokenId> ids_in(const t5gemma2::JsonField& list) {
  std::vector<t5gemma2::TokenId> ids;
  for (const t5gemma2::JsonField& id : list.items())
    ids.push_back(static_cast<t5gemma2::TokenId>(
        id.integer(0, std::numeric_limits<t5gemma2::TokenId>::max(), "a token id")));
  return ids;
}

}  // namespace cli
