// The header of a BMP file.
//
//   "BM", 8 bytes, where the pixels start | header: its size, width, height, planes, bits a pixel,
//   compression, 5 numbers of which the fourth counts colours, masks | palette: blue, green, red, 0 | pixels
//
// The oldest header, of 12 bytes, has 16-bit sizes, no compression, and three bytes a colour. Numbers are
// little-endian. Reference: PIL BmpImagePlugin.py.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <string>

#include "../../tensor.hpp"
#include "format.hpp"

namespace t5gemma2::image_files {

enum BmpCompression : std::uint32_t { bmp_plain = 0, bmp_rle8 = 1, bmp_rle4 = 2, bmp_masked = 3 };

struct BmpHeader {
  std::size_t size = 0;  // without the 14 bytes before it
  Index width = 0, height = 0;
  bool from_top = false;    // the first line of pixels is the highest, not the lowest
  std::uint32_t depth = 0;  // bits a pixel
  std::uint32_t compression = bmp_plain;
  std::size_t palette = 0, colours = 0;  // where it starts, its entries
  std::size_t pixels = 0;                // where they start

  bool oldest() const { return size == 12; }
  std::size_t bytes_per_colour() const { return oldest() ? 3 : 4; }
};

/// The name of a compression that is not read; "" for any other. OS/2's header (64 bytes) differs in them.
inline std::string unsupported_bmp(std::size_t header_size, std::uint32_t compression) {
  const bool os2 = header_size == 64;
  if (compression == 3) return os2 ? "Huffman coding" : "";
  if (compression == 4) return os2 ? "run lengths of 24-bit pixels" : "a JPEG image inside";
  if (compression == 5) return "a PNG image inside";
  return compression < 3 ? "" : "compression " + std::to_string(compression);
}

/// Throws Error unless depth and compression are supported, and go together.
inline void check_bmp_kind(const BmpHeader& header, const std::string& where) {
  const std::string other = unsupported_bmp(header.size, header.compression);
  if (!other.empty()) fail_file(where, "a BMP image without compression, or in RLE4 or RLE8", other);
  const std::uint32_t depth = header.depth;
  const bool palette = depth == 1 || depth == 4 || depth == 8;
  if (!palette && depth != 16 && depth != 24 && depth != 32)
    fail_file(where, "a BMP image of 1, 4, 8, 16, 24 or 32 bits a pixel", std::to_string(depth));
  const std::array fits{true, depth == 8, depth == 4, !palette};
  if (!fits[header.compression])
    fail_damaged(where, Format::bmp, "its compression does not go with its bits a pixel");
}

/// Throws Error when the header is cut off or of a kind that is not read.
inline BmpHeader bmp_header(Bytes file, const std::string& where) {
  BmpHeader header;
  header.size = little(file, 14, 4);
  constexpr std::array<std::size_t, 7> sizes{12, 40, 52, 56, 64, 108, 124};
  if (file.size() < 18) fail_truncated(where, Format::bmp);
  if (std::find(sizes.begin(), sizes.end(), header.size) == sizes.end())
    fail_file(where, "a BMP header of 12, 40, 52, 56, 64, 108 or 124 bytes", std::to_string(header.size));
  if (file.size() - 14 < header.size) fail_truncated(where, Format::bmp);
  if (header.oldest()) {
    header.width = little(file, 18, 2);
    header.height = little(file, 20, 2);
    header.depth = little(file, 24, 2);
  } else {
    const auto height = static_cast<std::int32_t>(little(file, 22, 4));
    header.width = static_cast<std::int32_t>(little(file, 18, 4));
    header.height = std::abs(Index{height});
    header.from_top = height < 0;
    header.depth = little(file, 28, 2);
    header.compression = little(file, 30, 4);
    header.colours = little(file, 46, 4);
  }
  check_bmp_kind(header, where);
  if (header.colours == 0) header.colours = std::size_t{1} << std::min(header.depth, 8u);
  if (header.depth > 8) header.colours = 0;
  const bool masks_behind = header.size == 40 && header.compression == bmp_masked;
  header.palette = 14 + header.size + (masks_behind ? 12 : 0);
  // Some writers give 0 or the palette's offset for that of the pixels.
  header.pixels = little(file, 10, 4);
  if (header.pixels == 0 || header.pixels == header.palette)
    header.pixels = header.palette + header.colours * header.bytes_per_colour();
  return header;
}

using BmpMasks = std::array<std::uint32_t, 4>;  // red, green, blue, alpha; 0 when there is no alpha

/// The bits of each colour in a pixel of 16, 24 or 32 bits. Only pixels of 32 bits have alpha, where the
/// header has a mask for it or leaves all masks empty. Throws Error when a mask is not a run of bits.
inline BmpMasks bmp_masks(Bytes file, const BmpHeader& header, const std::string& where) {
  const bool given = header.compression == bmp_masked, wide = header.depth == 32;
  BmpMasks masks{};
  for (std::size_t i = 0; i < (wide && header.size >= 56 ? 4 : 3); ++i)
    if (given) masks[i] = little(file, 54 + 4 * i, 4);
  if (masks == BmpMasks{}) {
    if (header.depth == 16) return {0x7C00, 0x3E0, 0x1F, 0};
    return {0xFF0000, 0xFF00, 0xFF, given && wide ? 0xFF000000 : 0};
  }
  for (std::size_t i = 0; i < 4; ++i) {
    const std::uint64_t low = masks[i] == 0 ? 0 : masks[i] >> std::countr_zero(masks[i]);
    const bool optional = i == 3;
    if (!std::has_single_bit(low + 1) || (low == 0 && !optional))
      fail_damaged(where, Format::bmp, "the mask of a colour is not a run of bits");
  }
  return masks;
}

}  // namespace t5gemma2::image_files
