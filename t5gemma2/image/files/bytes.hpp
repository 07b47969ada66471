// Numbers in a file's bytes, in either byte order; nothing is read beyond the end.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "../../io/mapped_file.hpp"

namespace t5gemma2::image_files {

using Bytes = std::span<const std::byte>;

enum class ByteOrder { little, big };

/// The unsigned number in `size` (1 to 4) bytes from `at` on; nothing when they are not all there.
inline std::optional<std::uint32_t> number_at(Bytes bytes, std::size_t at, std::size_t size,
                                              ByteOrder order) {
  if (at > bytes.size() || size > bytes.size() - at) return std::nullopt;
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t place = order == ByteOrder::big ? i : size - 1 - i;
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + place]);
  }
  return value;
}

/// Like number_at, with 0 in place of what is not there.
inline std::uint32_t number_or_zero(Bytes bytes, std::size_t at, std::size_t size, ByteOrder order) {
  return number_at(bytes, at, size, order).value_or(0);
}

/// The same for little-endian numbers.
inline std::uint32_t little(Bytes bytes, std::size_t at, std::size_t size) {
  return number_or_zero(bytes, at, size, ByteOrder::little);
}

/// Whether the bytes from `at` on are those of `text`.
inline bool holds(Bytes bytes, std::size_t at, std::string_view text) {
  return at <= bytes.size() && as_text(bytes.subspan(at)).starts_with(text);
}

}  // namespace t5gemma2::image_files
