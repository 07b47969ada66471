// The orientation of the camera: the one tag of EXIF that changes what the model sees.
//
//   "II" or "MM" (byte order), 42, offset of the first directory; there: a count, then entries of 12 bytes:
//   tag, type, count, value. Orientation is tag 0x0112, a SHORT (type 3) or, from some writers, a LONG
//   (type 4).
//
// Malformed EXIF counts as upright. Reference: EXIF 2.3 §4.5, §4.6; PIL Image.getexif.
#pragma once
#include "bytes.hpp"

namespace t5gemma2::image_files {

/// 1 to 8, as upright() takes it; 1 when the block says nothing. `exif` starts at the byte order, or at the
/// "Exif\0\0" that some writers put before it.
inline int orientation_of(Bytes exif) {
  using namespace std::literals;
  while (holds(exif, 0, "Exif\0\0"sv)) exif = exif.subspan(6);
  const bool big = holds(exif, 0, "MM\0*"sv);
  if (!big && !holds(exif, 0, "II*\0"sv)) return 1;
  const ByteOrder order = big ? ByteOrder::big : ByteOrder::little;
  const std::size_t directory = number_or_zero(exif, 4, 4, order);
  const std::size_t entries = number_or_zero(exif, directory, 2, order);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (number_or_zero(exif, entry, 2, order) != 0x0112) continue;
    const std::uint32_t type = number_or_zero(exif, entry + 2, 2, order);
    const std::uint32_t count = number_or_zero(exif, entry + 4, 4, order);
    if (count != 1 || (type != 3 && type != 4)) return 1;
    const std::uint32_t value = number_or_zero(exif, entry + 8, type == 3 ? 2 : 4, order);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace t5gemma2::image_files
