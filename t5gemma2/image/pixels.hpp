// An image in memory: its pixels, transparency on white, and the eight orientations of a camera.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "../tensor.hpp"

namespace t5gemma2 {

/// 8-bit RGB, rows from top to bottom, 3 bytes a pixel.
struct Image {
  Index width = 0, height = 0;
  std::vector<std::uint8_t> rgb;  // [height, width, 3]

  Image() = default;
  Image(Index width_, Index height_)
      : width(width_), height(height_), rgb(static_cast<std::size_t>(3 * width_ * height_)) {}

  std::uint8_t* pixel(Index x, Index y) { return rgb.data() + 3 * (y * width + x); }
  const std::uint8_t* pixel(Index x, Index y) const { return rgb.data() + 3 * (y * width + x); }
};

/// Throws std::invalid_argument naming the field unless the image has a pixel or more, and the bytes of all.
inline void check(const Image& image) {
  check_argument(image.width > 0, "image width", "1 or more", image.width);
  check_argument(image.height > 0, "image height", "1 or more", image.height);
  constexpr Index most = std::numeric_limits<Index>::max() / 3;
  check_argument(image.width <= most / image.height, "image width", "one that memory can hold", image.width);
  const std::string bytes = std::to_string(3 * image.width * image.height) + " bytes (3 * width * height)";
  check_argument(std::ssize(image.rgb) == 3 * image.width * image.height, "image rgb", bytes.c_str(),
                 image.rgb.size());
}

/// A colour's value (0 to 255) with the opacity `alpha` (0 to 255) on a white ground, rounded.
inline std::uint8_t on_white(int value, int alpha) {
  return static_cast<std::uint8_t>((value * alpha + 255 * (255 - alpha) + 127) / 255);
}

/// The rectangle of `width` x `height` pixels whose upper left corner is (left, top), cut off at the edges.
/// Throws std::invalid_argument where none of its pixels is in the image.
inline Image crop(const Image& image, Index left, Index top, Index width, Index height) {
  check(image);
  check_argument(left >= 0 && left < image.width, "crop left", "a column of the image", left);
  check_argument(top >= 0 && top < image.height, "crop top", "a row of the image", top);
  check_argument(width > 0, "crop width", "1 or more", width);
  check_argument(height > 0, "crop height", "1 or more", height);
  Image part(std::min(width, image.width - left), std::min(height, image.height - top));
  for (Index y = 0; y < part.height; ++y)
    std::copy_n(image.pixel(left, top + y), 3 * part.width, part.pixel(0, y));
  return part;
}

/// Undoes the camera's rotation. `orientation` is EXIF's: 1 upright, 2 mirrored, 3 upside down, 4 both, 5-8
/// the same with rows and columns exchanged. Any other number changes nothing. Throws std::invalid_argument
/// for an image without pixels. Reference: EXIF 2.3, tag 0x0112; PIL ImageOps.exif_transpose.
inline Image upright(Image image, int orientation) {
  check(image);
  if (orientation < 2 || orientation > 8) return image;
  const bool exchanged = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image turned(exchanged ? image.height : image.width, exchanged ? image.width : image.height);
  for (Index y = 0; y < turned.height; ++y)
    for (Index x = 0; x < turned.width; ++x) {
      const Index column = exchanged ? y : x, row = exchanged ? x : y;
      const Index from_x = from_right ? image.width - 1 - column : column;
      const Index from_y = from_below ? image.height - 1 - row : row;
      std::copy_n(image.pixel(from_x, from_y), 3, turned.pixel(x, y));
    }
  return turned;
}

}  // namespace t5gemma2
