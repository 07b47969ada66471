// GIF, PNM and TGA: checks that the whole image is in the file, since stb_image reads zeros past its end,
// and the rest that it takes to read them as PIL does. Reference: PIL GifImagePlugin.py,
// PpmImagePlugin.py, TgaImagePlugin.py.
#pragma once
#include <algorithm>
#include <cctype>
#include <string>

#include "../pixels.hpp"
#include "format.hpp"

namespace t5gemma2::image_files {

// ---- GIF ----

/// The end of the blocks from `at` on, each of which begins with its length; the last has length 0.
inline std::size_t after_blocks(Bytes file, std::size_t at, const std::string& where) {
  while (true) {
    const auto length = number_at(file, at, 1, ByteOrder::little);
    if (!length) fail_truncated(where, Format::gif);
    at += 1 + *length;
    if (*length == 0) return at;
  }
}

/// Throws Error unless the whole first frame is there.
inline void check_gif(Bytes file, const std::string& where) {
  const auto palette_size = [&](std::size_t flags_at) -> std::size_t {
    const std::uint32_t flags = little(file, flags_at, 1);
    return (flags & 0x80) != 0 ? 3 * (std::size_t{2} << (flags & 7)) : 0;
  };
  std::size_t at = 13 + palette_size(10);
  while (at < file.size()) {
    switch (little(file, at, 1)) {
      case 0x21:  // an extension
        at = after_blocks(file, at + 2, where);
        break;
      case 0x2C:  // a frame
        after_blocks(file, at + 11 + palette_size(at + 9), where);
        return;
      case 0x3B:
        fail_damaged(where, Format::gif, "no image in it");
      default:
        fail_damaged(where, Format::gif, "an unknown block");
    }
  }
  fail_truncated(where, Format::gif);
}

/// The same file without a background colour, which stb_image would put behind transparent pixels; viewers
/// ignore it and show the page behind the image.
inline std::string gif_without_background(Bytes file) {
  std::string copy(as_text(file));
  copy[11] = 0;
  return copy;
}

// ---- PNM ----

/// P5 (grey) and P6 (RGB), with any greatest value: "P6 width height greatest" and one white space, then the
/// values, in one byte each or, above 255, in two. stb_image takes every greatest value for 255 or 65535.
struct PnmHeader {
  Index width = 0, height = 0, greatest = 0, channels = 1;
  std::size_t size = 0;  // of the header

  Index bytes_per_value() const { return greatest > 255 ? 2 : 1; }
};

inline PnmHeader pnm_header(Bytes file, const std::string& where) {
  const std::string_view text = as_text(file);
  std::size_t at = 2;
  const auto number = [&] {
    while (at < text.size() && (std::isspace(static_cast<unsigned char>(text[at])) || text[at] == '#')) {
      if (text[at] == '#') at = std::min(text.find('\n', at), text.size() - 1);
      ++at;
    }
    Index value = 0;
    const std::size_t start = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9' && at < start + 10; ++at)
      value = 10 * value + (text[at] - '0');
    if (at == start) fail_damaged(where, Format::pnm, "a number is missing in its header");
    if (at < text.size() && !std::isspace(static_cast<unsigned char>(text[at])))
      fail_damaged(where, Format::pnm, "a number in its header is too long or does not end");
    return value;
  };
  PnmHeader header;
  header.width = number();
  header.height = number();
  header.greatest = number();
  header.channels = text[1] == '6' ? 3 : 1;
  header.size = at + 1;
  if (header.greatest < 1 || header.greatest > 65535)
    fail_damaged(where, Format::pnm, "its greatest value is not within 1 to 65535");
  return header;
}

inline Image read_pnm(Bytes file, const PnmHeader& header, const std::string& where) {
  const auto step = static_cast<std::size_t>(header.bytes_per_value());
  const auto channels = static_cast<std::size_t>(header.channels);
  const auto pixels = static_cast<std::size_t>(header.width * header.height);
  if (header.size > file.size() || pixels * channels * step > file.size() - header.size)
    fail_truncated(where, Format::pnm);
  const auto greatest = static_cast<std::uint32_t>(header.greatest);
  Image image(header.width, header.height);
  for (std::size_t i = 0; i < image.rgb.size(); ++i) {
    const std::size_t value_index = channels == 3 ? i : i / 3;
    const std::uint32_t value = number_or_zero(file, header.size + step * value_index, step, ByteOrder::big);
    image.rgb[i] = static_cast<std::uint8_t>((std::min(value, greatest) * 255 + greatest / 2) / greatest);
  }
  return image;
}

// ---- TGA ----

/// Bytes of the packets that hold `pixels` pixels; a packet is a length, then one pixel to repeat or that
/// many pixels. When a packet is cut off: more bytes than there are.
inline std::uint64_t tga_packets_size(Bytes packets, std::uint64_t pixels, std::uint64_t bytes_per_pixel) {
  std::uint64_t at = 0;
  for (std::uint64_t done = 0; done < pixels;) {
    if (at >= packets.size()) return packets.size() + 1;
    const std::uint64_t head = little(packets, at, 1), count = (head & 127) + 1;
    at += 1 + ((head & 128) != 0 ? 1 : count) * bytes_per_pixel;
    done += count;
  }
  return at;
}

inline void check_tga(Bytes file, Index width, Index height, const std::string& where) {
  const std::uint64_t palette =
      little(file, 1, 1) == 0 ? 0 : little(file, 5, 2) * ((little(file, 7, 1) + 7) / 8);
  const std::uint64_t start = 18 + little(file, 0, 1) + palette;
  if (start > file.size()) fail_truncated(where, Format::tga);
  const std::uint64_t pixels = static_cast<std::uint64_t>(width) * static_cast<std::uint64_t>(height);
  const std::uint64_t bytes_per_pixel = (little(file, 16, 1) + 7) / 8;
  const bool packed = little(file, 2, 1) >= 9;
  const std::uint64_t size =
      packed ? tga_packets_size(file.subspan(start), pixels, bytes_per_pixel) : pixels * bytes_per_pixel;
  if (size > file.size() - start) fail_truncated(where, Format::tga);
}

}  // namespace t5gemma2::image_files
