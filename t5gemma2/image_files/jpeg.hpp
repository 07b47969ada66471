// The segments before a JPEG's pixels: where EXIF stands, and whether stb_image understands the colours.
// Reference: ITU-T T.81 annex B; EXIF 2.3 §4.7.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "exif.hpp"
#include "format.hpp"

namespace t5gemma2::image_files {

struct JpegSegment {
  std::uint32_t marker = 0;  // 0xE1 is APP1
  Bytes content;
};

/// All segments up to the start of the first scan, as far as they are whole.
inline std::vector<JpegSegment> jpeg_segments(Bytes file) {
  std::vector<JpegSegment> segments;
  std::size_t at = 2;
  while (number_or_zero(file, at, 1, ByteOrder::big) == 0xFF) {
    const std::uint32_t marker = number_or_zero(file, at + 1, 1, ByteOrder::big);
    if (marker == 0xFF) {  // padding
      ++at;
      continue;
    }
    const std::size_t length = number_or_zero(file, at + 2, 2, ByteOrder::big);  // counts itself
    if (marker == 0xDA || length < 2 || at + 2 + length > file.size()) break;
    segments.push_back({marker, file.subspan(at + 4, length - 2)});
    at += 2 + length;
  }
  return segments;
}

/// The orientation in the first EXIF segment; 1 without one.
inline int jpeg_orientation(Bytes file) {
  using namespace std::literals;
  for (const JpegSegment& segment : jpeg_segments(file))
    if (segment.marker == 0xE1 && holds(segment.content, 0, "Exif\0\0"sv))
      return orientation_of(segment.content);
  return 1;
}

/// Throws Error for what would come out in wrong colours: four components (print colours) are read as Adobe
/// writes them, CMYK or YCCK inverted, and that only an Adobe segment tells. Also for kinds of JPEG that are
/// not read.
inline void check_jpeg(Bytes file, const std::string& where) {
  std::uint32_t components = 0, kind = 0;
  std::optional<std::uint32_t> adobe_transform;
  for (const JpegSegment& segment : jpeg_segments(file)) {
    const std::uint32_t marker = segment.marker;
    const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame) kind = marker, components = number_or_zero(segment.content, 5, 1, ByteOrder::big);
    if (marker == 0xEE && holds(segment.content, 0, "Adobe"))
      adobe_transform = number_at(segment.content, 11, 1, ByteOrder::big);
  }
  const std::string expected = "a JPEG image in baseline or progressive Huffman coding";
  if (kind > 0xC8) fail_file(where, expected, "arithmetic coding");
  if (kind > 0xC2) fail_file(where, expected, "lossless or hierarchical coding");
  if (components == 4 && adobe_transform.value_or(1) == 1)
    fail_file(where, "a JPEG image in grey, colour or Adobe's CMYK", "four components of unknown meaning");
}

}  // namespace t5gemma2::image_files
