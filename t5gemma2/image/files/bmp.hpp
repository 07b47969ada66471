// The pixels of a BMP file, every kind that PIL reads: indices of 1, 4 or 8 bits into a palette, plain or in
// run lengths, and pixels of 16, 24 or 32 bits with masks for red, green, blue and alpha.
//
// The lowest line comes first, unless the header says otherwise; each is padded to 4 bytes. Reference: PIL
// BmpImagePlugin.py, except for its faults: it reads one bit a pixel when the palette is black and white,
// whatever the depth, leaves out an empty line of run lengths, and refuses run lengths that end early.
#pragma once
#include <vector>

#include "../pixels.hpp"
#include "bmp_header.hpp"

namespace t5gemma2::image_files {

inline std::uint64_t bmp_line_bits(const BmpHeader& header) {
  return static_cast<std::uint64_t>(header.width) * header.depth;
}

/// Bytes from one line to the next, where lines are not in run lengths.
inline std::size_t bmp_line_step(const BmpHeader& header) { return (bmp_line_bits(header) + 31) / 32 * 4; }

/// Throws Error unless the last pixel is there; the padding of its line may be missing.
inline void check_bmp_pixels(Bytes file, const BmpHeader& header, const std::string& where) {
  const std::uint64_t before_last = static_cast<std::uint64_t>(header.height - 1) * bmp_line_step(header);
  if (header.pixels + before_last + (bmp_line_bits(header) + 7) / 8 > file.size())
    fail_truncated(where, Format::bmp);
}

/// The part of a pixel under a mask, scaled to 0 to 255.
inline int under_mask(std::uint32_t pixel, std::uint32_t mask) {
  const int shift = std::countr_zero(mask);
  return static_cast<int>(std::uint64_t{(pixel & mask) >> shift} * 255 / (mask >> shift));
}

/// Pixels of 16, 24 or 32 bits, on white, lines in the file's order.
inline Image masked_bmp(Bytes file, const BmpHeader& header, const std::string& where) {
  check_bmp_pixels(file, header, where);
  const BmpMasks masks = bmp_masks(file, header, where);
  const std::size_t pixel_bytes = header.depth / 8;
  Image image(header.width, header.height);
  for (Index y = 0; y < image.height; ++y) {
    std::size_t at = header.pixels + static_cast<std::size_t>(y) * bmp_line_step(header);
    for (Index x = 0; x < image.width; ++x, at += pixel_bytes) {
      const std::uint32_t pixel = little(file, at, pixel_bytes);
      const int alpha = masks[3] == 0 ? 255 : under_mask(pixel, masks[3]);
      for (std::size_t c = 0; c < 3; ++c) image.pixel(x, y)[c] = on_white(under_mask(pixel, masks[c]), alpha);
    }
  }
  return image;
}

/// Indices of 1, 4 or 8 bits, the first in the highest bits.
inline std::vector<std::uint8_t> plain_indices(Bytes file, const BmpHeader& header,
                                               const std::string& where) {
  check_bmp_pixels(file, header, where);
  std::vector<std::uint8_t> indices;
  indices.reserve(static_cast<std::size_t>(header.width * header.height));
  for (Index y = 0; y < header.height; ++y) {
    const std::size_t start = header.pixels + static_cast<std::size_t>(y) * bmp_line_step(header);
    for (std::size_t bit = 0; bit < bmp_line_bits(header); bit += header.depth) {
      const std::uint32_t byte = little(file, start + bit / 8, 1) << bit % 8;  // 8 bits count
      indices.push_back(static_cast<std::uint8_t>((byte & 255) >> (8 - header.depth)));
    }
  }
  return indices;
}

/// Indices that are written one after the other along a line; those outside the image are dropped.
struct BmpIndices {
  Index width, height, x = 0, y = 0;
  std::vector<std::uint8_t> values;  // [height, width]

  explicit BmpIndices(const BmpHeader& header)
      : width(header.width), height(header.height), values(static_cast<std::size_t>(width * height)) {}

  bool full() const { return y >= height || (y == height - 1 && x >= width); }
  void put(std::uint32_t index) {
    if (x < width && y < height)
      values[static_cast<std::size_t>(y * width + x)] = static_cast<std::uint8_t>(index);
    ++x;
  }
};

/// Run lengths: pairs of bytes (count, indices), one index of 8 bits or two of 4 in turn. With a count of 0,
/// (0, 0) ends the line, (0, 1) the image, (0, 2) moves right and on to later lines by the two bytes that
/// follow, and (0, n) stands before n single indices, padded to two bytes. Unwritten pixels have index 0.
inline std::vector<std::uint8_t> unpacked_indices(Bytes file, const BmpHeader& header,
                                                  const std::string& where) {
  BmpIndices indices(header);
  std::size_t at = header.pixels;
  const auto next_byte = [&] {
    const auto byte = number_at(file, at++, 1, ByteOrder::little);
    if (!byte) fail_truncated(where, Format::bmp);
    return *byte;
  };
  const std::uint32_t in_a_byte = header.compression == bmp_rle4 ? 2 : 1;
  const auto index_in = [&](std::uint32_t byte, std::uint32_t i) {
    return in_a_byte == 1 ? byte : i % 2 == 0 ? byte >> 4 : byte & 15;
  };
  while (!indices.full()) {
    const std::uint32_t count = next_byte(), value = next_byte();
    for (std::uint32_t i = 0; i < count; ++i) indices.put(index_in(value, i));
    if (count > 0) continue;
    if (value == 0) {
      indices.x = 0;
      ++indices.y;
    } else if (value == 1) {
      break;
    } else if (value == 2) {
      indices.x += next_byte();
      indices.y += next_byte();
    } else {
      for (std::uint32_t i = 0, byte = 0; i < value; ++i) {
        if (i % in_a_byte == 0) byte = next_byte();
        indices.put(index_in(byte, i));
      }
      at += (value + in_a_byte - 1) / in_a_byte % 2;
    }
  }
  return indices.values;
}

/// Pixels with a palette, lines in the file's order. An index outside the file's palette is black.
inline Image indexed_bmp(Bytes file, const BmpHeader& header, const std::string& where) {
  const auto indices = header.compression == bmp_plain ? plain_indices(file, header, where)
                                                       : unpacked_indices(file, header, where);
  Image image(header.width, header.height);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] >= header.colours) continue;
    const std::size_t colour = header.palette + indices[i] * header.bytes_per_colour();
    for (std::size_t c = 0; c < 3; ++c)
      image.rgb[3 * i + c] = static_cast<std::uint8_t>(little(file, colour + 2 - c, 1));
  }
  return image;
}

/// The image, whose size has been checked. Throws Error when it is cut off.
inline Image read_bmp(Bytes file, const BmpHeader& header, const std::string& where) {
  constexpr int flipped = 4;  // EXIF's number for it
  return upright(header.depth > 8 ? masked_bmp(file, header, where) : indexed_bmp(file, header, where),
                 header.from_top ? 1 : flipped);
}

}  // namespace t5gemma2::image_files
