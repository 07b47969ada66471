// The segments of a JPEG: where EXIF stands, whether all of it is there, and whether stb_image reads it
// rightly. Reference: ITU-T T.81 annex B; EXIF 2.3 §4.7.
#pragma once
#include <algorithm>
#include <array>
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

/// What the segments so far have defined. A scan that refers to anything else, or a component without a scan,
/// would make stb_image use memory that nobody has written.
class JpegDefinitions {
 public:
  /// Takes the next segment. Throws Error when it is malformed or refers to what is not there.
  void add(const JpegSegment& segment, const std::string& where) {
    const bool sound = segment.marker == 0xDB   ? add_quantization(segment.content)
                       : segment.marker == 0xC4 ? add_huffman(segment.content)
                       : is_frame(segment)      ? add_frame(segment)
                       : segment.marker == 0xDA ? add_scan(segment.content)
                                                : true;
    if (!sound) fail_damaged(where, Format::jpeg, "its tables and scans do not go together");
  }

  std::uint32_t kind() const { return kind_; }  // of the frame: 0xC0 to 0xC2 are read
  std::size_t components() const { return components_.size(); }
  bool complete() const {
    return std::all_of(components_.begin(), components_.end(), [](const Component& c) { return c.scanned; });
  }

 private:
  struct Component {
    std::uint32_t id = 0, quantization = 0;
    bool scanned = false;  // at least its mean values
  };

  static std::uint32_t byte_at(Bytes content, std::size_t at) {
    return number_or_zero(content, at, 1, ByteOrder::big);
  }

  static bool is_frame(const JpegSegment& segment) {
    const std::uint32_t marker = segment.marker;
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
  }

  bool add_quantization(Bytes content) {
    std::size_t at = 0;
    while (at < content.size()) {
      const std::uint32_t head = byte_at(content, at);
      if (head % 16 > 3) return false;
      quantization_[head % 16] = true;
      at += head / 16 == 0 ? 65 : 129;
    }
    return at == content.size();
  }

  /// stb_image 2.27 has room for 256 codes and writes on when there are more.
  bool add_huffman(Bytes content) {
    std::size_t at = 0;
    while (at < content.size()) {
      const std::uint32_t head = byte_at(content, at);
      std::size_t codes = 0;
      for (std::size_t length = 1; length <= 16; ++length) codes += byte_at(content, at + length);
      if (head / 16 > 1 || head % 16 > 3 || codes > 256) return false;
      (head / 16 == 0 ? dc_ : ac_)[head % 16] = true;
      at += 17 + codes;
    }
    return at == content.size();
  }

  bool add_frame(const JpegSegment& segment) {
    if (!components_.empty()) return false;
    kind_ = segment.marker;
    const std::size_t count = byte_at(segment.content, 5);
    for (std::size_t i = 0; i < count; ++i)
      components_.push_back({byte_at(segment.content, 6 + 3 * i), byte_at(segment.content, 8 + 3 * i)});
    return count > 0 && segment.content.size() == 6 + 3 * count;
  }

  bool add_scan(Bytes content) {
    const std::size_t count = byte_at(content, 0);
    if (content.size() != 4 + 2 * count) return false;
    const bool progressive = kind_ == 0xC2;
    const bool means = byte_at(content, 1 + 2 * count) == 0;  // the first of the 64 coefficients
    const bool refines = progressive && byte_at(content, 3 + 2 * count) >= 16;  // more bits of what is there
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t id = byte_at(content, 1 + 2 * i), tables = byte_at(content, 2 + 2 * i);
      const auto component = std::find_if(components_.begin(), components_.end(),
                                          [&](const Component& c) { return c.id == id; });
      if (component == components_.end() || tables / 16 > 3 || tables % 16 > 3) return false;
      const bool needs_dc = means && !refines, needs_ac = !progressive || !means;
      if ((needs_dc && !dc_[tables / 16]) || (needs_ac && !ac_[tables % 16])) return false;
      if (component->quantization > 3 || !quantization_[component->quantization]) return false;
      if (!component->scanned && !needs_dc) return false;
      component->scanned = true;
    }
    return true;
  }

  std::array<bool, 4> quantization_{}, dc_{}, ac_{};
  std::uint32_t kind_ = 0;
  std::vector<Component> components_;
};

/// Throws Error for what stb_image would read wrongly: four components (print colours) come as Adobe writes
/// them, CMYK or YCCK inverted, and that only an Adobe segment tells. Also for kinds of JPEG that it does not
/// read.
inline void check_jpeg(const std::vector<JpegSegment>& segments, const std::string& where) {
  const std::string expected = "a JPEG image in baseline or progressive Huffman coding";
  JpegDefinitions definitions;
  std::optional<std::uint32_t> adobe_transform;
  for (const JpegSegment& segment : segments) {
    definitions.add(segment, where);
    if (definitions.kind() > 0xC8) fail_file(where, expected, "arithmetic coding");
    if (definitions.kind() > 0xC2) fail_file(where, expected, "lossless or hierarchical coding");
    if (segment.marker == 0xEE && holds(segment.content, 0, "Adobe"))
      adobe_transform = number_at(segment.content, 11, 1, ByteOrder::big);
  }
  if (definitions.components() == 4 && adobe_transform.value_or(1) == 1)
    fail_file(where, "a JPEG image in grey, colour or Adobe's CMYK", "four components of unknown meaning");
  if (!definitions.complete()) fail_damaged(where, Format::jpeg, "a component has no pixels");
}

}  // namespace t5gemma2::image_files
