// White space at the ends of a text: the characters that Unicode 15 gives the property White_Space, which is
// what \s means to the tokenizers library.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace t5gemma2 {

inline constexpr std::array<std::string_view, 25> white_space = {
    "\t",     "\n",     "\v",     "\f",     "\r",     " ",      "\u0085", "\u00A0", "\u1680",
    "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008",
    "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"};

namespace white_space_detail {

enum class End { start, end };

inline std::size_t white_space_at(End end, std::string_view text) {
  const std::size_t size = text.size();
  const auto is_there = [&](std::string_view space) {
    return end == End::start ? text.starts_with(space) : text.ends_with(space);
  };
  for (;;) {
    const auto space = std::ranges::find_if(white_space, is_there);
    if (space == white_space.end()) return size - text.size();
    end == End::start ? text.remove_prefix(space->size()) : text.remove_suffix(space->size());
  }
}

}  // namespace white_space_detail

/// Bytes of white space that `text`, which is UTF-8, begins with.
inline std::size_t white_space_at_start(std::string_view text) {
  return white_space_detail::white_space_at(white_space_detail::End::start, text);
}

/// Bytes of white space that `text`, which is UTF-8, ends with.
inline std::size_t white_space_at_end(std::string_view text) {
  return white_space_detail::white_space_at(white_space_detail::End::end, text);
}

}  // namespace t5gemma2
