// The format of an image file, by its first bytes and never by its name. A format that is not read is named
// in the message.
#pragma once
#include <array>
#include <string>

#include "bytes.hpp"

namespace t5gemma2::image_files {

enum class Format { jpeg, png, bmp, gif, pnm, tga };

inline constexpr const char* expected_image = "an image (JPEG, PNG, BMP, GIF, PNM or TGA)";

inline std::string name_of(Format format) {
  constexpr std::array names{"JPEG", "PNG", "BMP", "GIF", "PNM", "TGA"};
  return names[static_cast<std::size_t>(format)];
}

/// Throws Error "FILE: expected a PNG image, found a damaged one (WHY)".
[[noreturn]] inline void fail_damaged(const std::string& where, Format format, const std::string& why) {
  fail_file(where, "a " + name_of(format) + " image", "a damaged one (" + why + ")");
}

[[noreturn]] inline void fail_truncated(const std::string& where, Format format) {
  fail_file(where, "a " + name_of(format) + " image",
            "a truncated one: the download or copy may be incomplete");
}

/// TGA files have no signature: the fields of the header must fit together.
inline bool looks_like_tga(Bytes file) {
  const auto field = [&](std::size_t at, std::size_t size) {
    return number_or_zero(file, at, size, ByteOrder::little);
  };
  const std::uint32_t has_palette = field(1, 1), kind = field(2, 1), depth = field(16, 1);
  if (file.size() < 18 || has_palette > 1) return false;
  const bool palette = kind == 1 || kind == 9, grey = kind == 3 || kind == 11;
  const bool colour = kind == 2 || kind == 10;
  if (!palette && !grey && !colour) return false;
  if (palette && (has_palette == 0 || depth != 8)) return false;
  const bool known_depth = depth == 8 || depth == 15 || depth == 16 || depth == 24 || depth == 32;
  return known_depth && (!colour || depth > 8) && (!grey || depth <= 16);
}

/// The name of a kind of file that people may give but that is not read; "" for any other.
inline std::string unsupported_kind(Bytes file) {
  using namespace std::literals;
  if (holds(file, 0, "RIFF") && holds(file, 8, "WEBP")) return "a WebP image";
  if (holds(file, 4, "ftypavif") || holds(file, 4, "ftypavis")) return "an AVIF image";
  for (const auto brand : {"heic"sv, "heix"sv, "hevc"sv, "mif1"sv, "msf1"sv})
    if (holds(file, 4, "ftyp") && holds(file, 8, brand)) return "a HEIC image";
  if (holds(file, 4, "ftyp")) return "a video";
  if (holds(file, 0, "II*\0"sv) || holds(file, 0, "MM\0*"sv)) return "a TIFF or camera raw image";
  if (holds(file, 0, "BA") && holds(file, 14, "BM")) return "an OS/2 bitmap array";
  if (holds(file, 0, "8BPS")) return "a Photoshop file";
  if (holds(file, 0, "%PDF")) return "a PDF document";
  if (holds(file, 0, "\0\0\1\0"sv) || holds(file, 0, "\0\0\2\0"sv)) {
    if (!looks_like_tga(file)) return "an icon";
  }
  if (holds(file, 0, "\xff\x0a") || holds(file, 4, "JXL ")) return "a JPEG XL image";
  if (holds(file, 4, "jP  ") || holds(file, 0, "\xff\x4f\xff\x51")) return "a JPEG 2000 image";
  for (const auto plain : {"P1"sv, "P2"sv, "P3"sv, "P4"sv, "P7"sv})
    if (holds(file, 0, plain) && file.size() > 2 && std::to_integer<int>(file[2]) <= ' ')
      return "a " + std::string(plain) + " PNM image (P5 and P6 are read)";
  const std::string_view start = as_text(file).substr(0, 1024);
  if (start.find("<svg") != start.npos && start.find("<html") == start.npos && starts_as_text(start))
    return "an SVG drawing";
  return "";
}

/// Throws Error, naming what was found, unless it is a kind of image that is read.
inline Format format_of(Bytes file, const std::string& where) {
  if (file.empty()) fail_file(where, expected_image, "an empty file");
  if (holds(file, 0, "\xff\xd8")) return Format::jpeg;
  if (holds(file, 0, "\x89PNG\r\n\x1a\n")) return Format::png;
  if (holds(file, 0, "GIF87a") || holds(file, 0, "GIF89a")) return Format::gif;
  if (holds(file, 0, "P5") || holds(file, 0, "P6")) return Format::pnm;
  if (holds(file, 0, "BM")) return Format::bmp;
  const std::string kind = unsupported_kind(file);
  if (!kind.empty()) fail_file(where, expected_image, kind + ", which is not read; convert it first");
  refuse_failed_download(as_text(file), where, expected_image);
  if (looks_like_tga(file)) return Format::tga;
  fail_file(where, expected_image, starts_as_text(as_text(file)) ? "text" : "something else");
}

}  // namespace t5gemma2::image_files
