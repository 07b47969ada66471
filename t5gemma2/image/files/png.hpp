// The chunks of a PNG file, checked before stb_image reads them. Without these checks it would allocate any
// amount of memory for data that claims to be one pixel, read palette entries that are not there, and ignore
// checksums. Reference: PNG specification (third edition) §5, §9-11; RFC 1950.
#pragma once
#include <stb_image.h>

#include <array>
#include <climits>
#include <string>
#include <vector>

#include "../../tensor.hpp"
#include "exif.hpp"
#include "format.hpp"

namespace t5gemma2::image_files {

struct PngChunk {
  std::string_view type;  // four letters
  Bytes content;
};

/// CRC-32 as PNG and zlib compute it.
inline std::uint32_t crc32(Bytes bytes) {
  static constexpr auto table = [] {
    std::array<std::uint32_t, 256> remainders{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      remainders[i] = i;
      for (int bit = 0; bit < 8; ++bit)
        remainders[i] = remainders[i] >> 1 ^ (remainders[i] % 2 == 1 ? 0xEDB88320u : 0u);
    }
    return remainders;
  }();
  std::uint32_t crc = 0xFFFFFFFF;
  for (const std::byte byte : bytes)
    crc = crc >> 8 ^ table[(crc ^ std::to_integer<std::uint32_t>(byte)) & 255];
  return ~crc;
}

/// All chunks from IHDR to IEND. Throws Error when one is cut off or its checksum is wrong.
inline std::vector<PngChunk> png_chunks(Bytes file, const std::string& where) {
  std::vector<PngChunk> chunks;
  std::size_t at = 8;
  do {
    const auto length = number_at(file, at, 4, ByteOrder::big);
    if (!length || file.size() - at < 12 || *length > file.size() - at - 12)
      fail_truncated(where, Format::png);
    const std::uint32_t sum = number_or_zero(file, at + 8 + *length, 4, ByteOrder::big);
    if (crc32(file.subspan(at + 4, 4 + *length)) != sum) fail_damaged(where, Format::png, "a wrong checksum");
    chunks.push_back({as_text(file.subspan(at + 4, 4)), file.subspan(at + 8, *length)});
    at += 12 + *length;
  } while (chunks.back().type != "IEND");
  return chunks;
}

/// The orientation in the eXIf chunk, before or after the pixels; 1 without one.
inline int png_orientation(const std::vector<PngChunk>& chunks) {
  int orientation = 1;
  for (const PngChunk& chunk : chunks)
    if (chunk.type == "eXIf") orientation = orientation_of(chunk.content);
  return orientation;
}

struct PngHeader {
  Index width = 0, height = 0;
  int depth = 0, colour = 0;  // colour: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
  bool interlaced = false;

  Index channels() const { return colour == 2 ? 3 : colour == 4 ? 2 : colour == 6 ? 4 : 1; }
};

inline PngHeader png_header(const std::vector<PngChunk>& chunks, const std::string& where) {
  const Bytes content = chunks.front().content;
  if (chunks.front().type != "IHDR" || content.size() != 13) fail_damaged(where, Format::png, "no header");
  const auto field = [&](std::size_t at, std::size_t size) {
    return number_or_zero(content, at, size, ByteOrder::big);
  };
  const PngHeader header{.width = field(0, 4),
                         .height = field(4, 4),
                         .depth = static_cast<int>(field(8, 1)),
                         .colour = static_cast<int>(field(9, 1)),
                         .interlaced = field(12, 1) != 0};
  if (header.depth > 16) fail_damaged(where, Format::png, "more than 16 bits a channel");
  return header;
}

/// Bytes of the unpacked pixels, each line after the number of its filter. For an interlaced file, which
/// holds seven small images, an upper bound.
inline Index unpacked_size(const PngHeader& header) {
  const Index line_bits = header.width * header.depth * header.channels();
  const Index size = header.height * (1 + (line_bits + 7) / 8);
  return header.interlaced ? size + 4 * (header.width + header.height) + 64 : size;
}

/// Throws Error unless the compressed pixels unpack to no more than the header announces.
inline void check_unpacked_size(const std::string& compressed, const PngHeader& header,
                                const std::string& where) {
  if (unpacked_size(header) >= INT_MAX) fail_file(where, "a PNG image below 2 GB of pixels", "more");
  std::vector<char> unpacked(static_cast<std::size_t>(unpacked_size(header)) + 1);
  const int size = stbi_zlib_decode_buffer(unpacked.data(), static_cast<int>(unpacked.size()),
                                           compressed.data(), static_cast<int>(compressed.size()));
  if (size < 0) fail_damaged(where, Format::png, "its pixels cannot be unpacked");
}

inline void append_chunk(std::string& file, std::string_view type, std::string_view content) {
  for (const int shift : {24, 16, 8, 0}) file += static_cast<char>(content.size() >> shift & 255);
  file += type;
  file += content;
  file.append(4, '\0');  // the checksum, which stb_image ignores
}

/// 256 entries: an index outside the file's palette is black, as in PIL.
inline std::string full_palette(std::string_view colours) {
  std::string palette(colours.substr(0, 768));
  palette.resize(768, '\0');
  return palette;
}

/// The image with only the chunks that decoding needs, safe to give to stb_image. Throws Error for damage.
inline std::string plain_png(Bytes file, const std::vector<PngChunk>& chunks, const std::string& where) {
  const PngHeader header = png_header(chunks, where);
  std::string palette, transparency, pixels;
  for (const auto& [type, content] : chunks) {
    if (type == "PLTE" && header.colour == 3) palette = full_palette(as_text(content));
    if (type == "tRNS") transparency = as_text(content);
    if (type == "IDAT") pixels += as_text(content);
    if (type == "CgBI")
      fail_file(where, "a PNG image", "Apple's variant of it, which is not read; convert it first");
  }
  check_unpacked_size(pixels, header, where);
  std::string plain(as_text(file.first(8)));
  append_chunk(plain, "IHDR", as_text(chunks.front().content));
  if (!palette.empty()) append_chunk(plain, "PLTE", palette);
  const bool has_alpha = header.colour >= 4;
  if (!transparency.empty() && !has_alpha) append_chunk(plain, "tRNS", transparency);
  append_chunk(plain, "IDAT", pixels);
  append_chunk(plain, "IEND", "");
  return plain;
}

}  // namespace t5gemma2::image_files
