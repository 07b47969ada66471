// The segments of a JPEG: where EXIF stands, whether all of it is there, and whether stb_image reads it
// rightly. Reference: ITU-T T.81 annex B; EXIF 2.3 §4.7.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "exif.hpp"
#include "format.hpp"

namespace t5gemma2::image_files {

struct JpegSegment {
  std::uint32_t marker = 0;  // 0xE1 is APP1
  Bytes content;             // without the length before it
};

/// The place of the next marker's code in the coded pixels from `at` on: behind a byte 0xFF, and neither 0
/// (it was a pixel's 0xFF) nor a restart mark. The end of the file when there is none.
inline std::size_t next_marker(Bytes file, std::size_t at) {
  for (; at + 1 < file.size(); ++at) {
    const auto code = std::to_integer<std::uint32_t>(file[at + 1]);
    if (file[at] == std::byte{0xFF} && code != 0 && code != 0xFF && (code < 0xD0 || code > 0xD7))
      return at + 1;
  }
  return file.size();
}

/// All segments to the mark of the end, pixels left out. Throws Error when the file ends before it.
inline std::vector<JpegSegment> jpeg_segments(Bytes file, const std::string& where) {
  std::vector<JpegSegment> segments;
  std::size_t at = next_marker(file, 2);
  while (at < file.size()) {
    const auto marker = std::to_integer<std::uint32_t>(file[at]);
    if (marker == 0xD9) return segments;
    const std::size_t length = number_or_zero(file, at + 1, 2, ByteOrder::big);  // counts itself
    if (length > file.size() - at - 1) break;
    if (length < 2) fail_damaged(where, Format::jpeg, "a segment without a length");
    segments.push_back({marker, file.subspan(at + 3, length - 2)});
    at = next_marker(file, at + 1 + length);
  }
  fail_truncated(where, Format::jpeg);
}

/// The orientation in the first EXIF segment; 1 without one.
inline int jpeg_orientation(const std::vector<JpegSegment>& segments) {
  using namespace std::literals;
  for (const auto& [marker, content] : segments)
    if (marker == 0xE1 && holds(content, 0, "Exif\0\0"sv)) return orientation_of(content);
  return 1;
}

/// Throws Error unless the segment is whole Huffman tables of at most 256 codes: stb_image 2.27 has no room
/// for more.
inline void check_huffman_tables(Bytes content, const std::string& where) {
  for (std::size_t at = 0; at < content.size();) {
    std::size_t codes = 0;
    for (std::size_t length = 1; length <= 16; ++length)
      codes += number_or_zero(content, at + length, 1, ByteOrder::big);
    at += 17 + codes;
    if (codes > 256 || at > content.size()) fail_damaged(where, Format::jpeg, "a bad Huffman table");
  }
}

/// Throws Error for what stb_image would read wrongly: four components (print colours) come as Adobe writes
/// them, CMYK or YCCK inverted, and that only an Adobe segment tells. Also for kinds of JPEG that it does not
/// read.
inline void check_jpeg(const std::vector<JpegSegment>& segments, const std::string& where) {
  std::uint32_t components = 0, kind = 0;
  std::optional<std::uint32_t> adobe_transform;
  for (const auto& [marker, content] : segments) {
    if (marker == 0xC4) check_huffman_tables(content, where);
    const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame) kind = marker, components = number_or_zero(content, 5, 1, ByteOrder::big);
    if (marker == 0xEE && holds(content, 0, "Adobe"))
      adobe_transform = number_at(content, 11, 1, ByteOrder::big);
  }
  const std::string expected = "a JPEG image in baseline or progressive Huffman coding";
  if (kind > 0xC8) fail_file(where, expected, "arithmetic coding");
  if (kind > 0xC2) fail_file(where, expected, "lossless or hierarchical coding");
  if (components == 4 && adobe_transform.value_or(1) == 1)
    fail_file(where, "a JPEG image in grey, colour or Adobe's CMYK", "four components of unknown meaning");
}

}  // namespace t5gemma2::image_files
