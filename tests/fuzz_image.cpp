// libFuzzer: whatever an image file holds, it becomes pixels or an Error. stb_image is compiled into this
// program, in the place of the library's, so that the sanitizers see into it; libjpeg-turbo, which its
// authors fuzz, is the library.
#include <cstdint>
#include <cstdlib>

#pragma clang attribute push(__attribute__((no_sanitize("shift", "signed-integer-overflow"))), \
                             apply_to = function)
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>
#undef STB_IMAGE_IMPLEMENTATION
#pragma clang attribute pop

#include "t5gemma2/image/image.hpp"

namespace {

using namespace t5gemma2;

/// The bytes with the right checksum in every PNG chunk: no mutation would get past a wrong one.
std::string with_checksums(std::string file) {
  using namespace image_files;
  const auto bytes = [&] { return std::as_bytes(std::span(file)); };
  if (!holds(bytes(), 0, "\x89PNG\r\n\x1a\n")) return file;
  for (std::size_t at = 8; at + 12 <= file.size();) {
    const std::size_t length = number_or_zero(bytes(), at, 4, ByteOrder::big);
    if (length > file.size() - at - 12) break;
    const std::uint32_t sum = crc32(bytes().subspan(at + 4, 4 + length));
    for (std::size_t i = 0; i < 4; ++i) file[at + 8 + length + i] = static_cast<char>(sum >> (24 - 8 * i));
    at += 12 + length;
  }
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string file = with_checksums(std::string(reinterpret_cast<const char*>(data), size));
  try {
    const Image image = decode_image(std::as_bytes(std::span(file)), "fuzz", 100'000);
    if (image.width * image.height > 100'000 || std::ssize(image.rgb) != 3 * image.width * image.height)
      std::abort();
    if (!(pixel_values(image, 8).cwiseAbs().maxCoeff() <= 1)) std::abort();
    pan_and_scan(image);
  } catch (const Error& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
