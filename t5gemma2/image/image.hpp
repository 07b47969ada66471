// An image file to pixels as the model sees them (paper §2: a frozen SigLIP encoder, 896 x 896 pixels).
//
//   file --decode--> upright --transparency on white--> RGB --resize--> 8 bits v --> (v - 127.5) / 127.5
//
// JPEG is decoded by libjpeg-turbo, BMP and PNM by the code in files/, and PNG, GIF and TGA by stb_image,
// after checks that refuse what it would misread. stb_image is linked as the system's library: were its
// static implementation included here, every translation unit would have its own copy, and inline functions
// that call different copies break the one-definition rule.
//
// PNG, JPEG and BMP give the reference's pixels to the last bit, except where PIL is at fault: 16-bit grey is
// v >> 8, a transparent colour is compared at the depth of the file, and see bmp.hpp. Versions of libjpeg
// smooth a progressive JPEG that lacks its last scans differently. The orientation is EXIF's, never XMP's.
//
// The reference gets the image that PIL's ImageOps.exif_transpose(Image.open(file)) gives.
//
// Reference: transformers models/gemma3/image_processing_pil_gemma3.py Gemma3ImageProcessorPil
#pragma once
#include <stb_image.h>
#include <stb_image_write.h>

#include <climits>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../io/atomic_file.hpp"
#include "../io/mapped_file.hpp"
#include "files/bmp.hpp"
#include "files/jpeg.hpp"
#include "files/png.hpp"
#include "files/simple.hpp"
#include "pan_and_scan.hpp"
#include "pixels.hpp"
#include "resize.hpp"

namespace t5gemma2 {

inline constexpr Index default_max_pixels = 100'000'000;

namespace image_files {

inline void check_size(Index width, Index height, Index max_pixels, const std::string& where) {
  const std::string found = std::to_string(width) + " x " + std::to_string(height) + " pixels";
  if (width <= 0 || height <= 0) fail_file(where, "an image of at least one pixel", found);
  if (width > max_pixels / height)
    fail_file(where, "an image of at most " + std::to_string(max_pixels) + " pixels", found);
}

/// The image in bytes that passed the checks, decoded by stb_image, on white.
inline Image decode_checked(std::string_view bytes, Format format, const std::string& where) {
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()), static_cast<int>(bytes.size()),
                            &width, &height, &channels, STBI_rgb_alpha),
      &stbi_image_free);
  if (!pixels) fail_damaged(where, format, stbi_failure_reason());
  Image image(width, height);
  for (std::size_t i = 0; i < image.rgb.size(); ++i) {
    const stbi_uc* rgba = pixels.get() + 4 * (i / 3);
    image.rgb[i] = on_white(rgba[i % 3], rgba[3]);
  }
  return image;
}

/// Width and height by the header; no pixel is decoded. Throws Error for more than `max_pixels` pixels.
inline std::pair<Index, Index> announced_size(Bytes bytes, Format format, Index max_pixels,
                                              const std::string& where) {
  int width = 0, height = 0, channels = 0;
  const int known = stbi_info_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()),
                                          static_cast<int>(bytes.size()), &width, &height, &channels);
  if (known == 0) fail_damaged(where, format, stbi_failure_reason());
  check_size(width, height, max_pixels, where);
  return {width, height};
}

inline Image decode_jpeg(Bytes bytes, const std::string& where, Index max_pixels) {
  JpegDecoder decoder(bytes, where);
  check_size(decoder.width(), decoder.height(), max_pixels, where);
  return upright(decoder.pixels(), decoder.orientation());
}

inline Image decode_png(Bytes bytes, const std::string& where, Index max_pixels) {
  const std::vector<PngChunk> chunks = png_chunks(bytes, where);
  const PngHeader header = png_header(chunks, where);
  check_size(header.width, header.height, max_pixels, where);
  return upright(decode_checked(plain_png(bytes, chunks, where), Format::png, where),
                 png_orientation(chunks));
}

inline Image decode_pnm(Bytes bytes, const std::string& where, Index max_pixels) {
  const PnmHeader header = pnm_header(bytes, where);
  check_size(header.width, header.height, max_pixels, where);
  return read_pnm(bytes, header, where);
}

inline Image decode_bmp(Bytes bytes, const std::string& where, Index max_pixels) {
  const BmpHeader header = bmp_header(bytes, where);
  check_size(header.width, header.height, max_pixels, where);
  return read_bmp(bytes, header, where);
}

inline Image decode_gif(Bytes bytes, const std::string& where, Index max_pixels) {
  announced_size(bytes, Format::gif, max_pixels, where);
  check_gif(bytes, where);
  return decode_checked(gif_without_background(bytes), Format::gif, where);
}

inline Image decode_tga(Bytes bytes, const std::string& where, Index max_pixels) {
  const auto [width, height] = announced_size(bytes, Format::tga, max_pixels, where);
  check_tga(bytes, width, height, where);
  return decode_checked(as_text(bytes), Format::tga, where);
}

}  // namespace image_files

/// The image in the bytes of a file, upright, transparent parts on white; of an animation the first frame.
/// `where` names the file in messages. Throws Error when it is not an image, of an unsupported kind,
/// truncated, damaged, or of more than `max_pixels` pixels, which is checked before memory is allocated.
inline Image decode_image(std::span<const std::byte> bytes, const std::string& where,
                          Index max_pixels = default_max_pixels) {
  using namespace image_files;
  const Format format = format_of(bytes, where);
  if (bytes.size() > INT_MAX)
    fail_file(where, "an image file below 2 GB", std::to_string(bytes.size()) + " bytes");
  switch (format) {
    case Format::jpeg:
      return decode_jpeg(bytes, where, max_pixels);
    case Format::png:
      return decode_png(bytes, where, max_pixels);
    case Format::pnm:
      return decode_pnm(bytes, where, max_pixels);
    case Format::bmp:
      return decode_bmp(bytes, where, max_pixels);
    case Format::gif:
      return decode_gif(bytes, where, max_pixels);
    default:
      return decode_tga(bytes, where, max_pixels);
  }
}

/// The image in a file; see decode_image. Throws Error also when the file is missing, empty or a folder.
inline Image load_image(const std::filesystem::path& file, Index max_pixels = default_max_pixels) {
  const MappedFile mapped(file, image_files::expected_image);
  return decode_image(mapped.bytes(), file.string(), max_pixels);
}

/// Pixels for the vision tower: [3, size*size], row c is channel c (red, green, blue) line by line, from -1
/// to 1; in memory the reference's pixel_values [3, size, size]. Throws std::invalid_argument for no pixels.
inline Matrix pixel_values(const Image& image, Index size) {
  check_argument(size > 0, "pixel_values size", "1 or more", size);
  const Image resized = resize(image, size, size);
  Matrix x(3, size * size);
  for (Index pixel = 0; pixel < x.cols(); ++pixel)
    for (Index channel = 0; channel < 3; ++channel) {
      const auto value = static_cast<float>(resized.rgb[static_cast<std::size_t>(3 * pixel + channel)]);
      x(channel, pixel) = (value - 127.5f) / 127.5f;
    }
  return x;
}

/// Writes a PNG file; on failure throws Error and leaves what was there before.
inline void write_png(const std::filesystem::path& path, const Image& image) {
  check(image);
  const auto append = [](void* to, void* data, int size) {
    static_cast<std::ostream*>(to)->write(static_cast<const char*>(data), size);
  };
  write_atomically(path, [&](std::ostream& out) {
    const int done = stbi_write_png_to_func(append, &out, static_cast<int>(image.width),
                                            static_cast<int>(image.height), 3, image.rgb.data(), 0);
    if (done == 0) out.setstate(std::ios::failbit);
  });
}

}  // namespace t5gemma2
