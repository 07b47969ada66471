// Names and texts out of files, made fit for a message of one line.
#pragma once
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace t5gemma2 {

/// `text` in quotes: control and non-ASCII characters escaped, cut off after 60 bytes.
inline std::string in_quotes(std::string_view text) {
  constexpr std::size_t longest = 60;
  const auto replace = nlohmann::json::error_handler_t::replace;
  const std::string start = nlohmann::json(text.substr(0, longest)).dump(-1, ' ', true, replace);
  return text.size() > longest ? start + "..." : start;
}

/// `name` as it is when it is printable ASCII without spaces and at most 200 bytes long, else in quotes.
inline std::string readable(std::string_view name) {
  const auto plain = [](char c) { return c > ' ' && c <= '~'; };
  const bool is_plain = !name.empty() && name.size() <= 200 && std::all_of(name.begin(), name.end(), plain);
  return is_plain ? std::string(name) : in_quotes(name);
}

}  // namespace t5gemma2
