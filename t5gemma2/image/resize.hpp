// Any size to the size of the vision tower: bilinear with antialiasing, bit for bit as PIL does it.
//
// Pixel i covers [i, i+1). An output pixel is a weighted mean of the input pixels around its centre; the
// weights form a triangle that is two input pixels wide, or wider by the factor by which the image shrinks:
//
//   scale  = in / out,   reach = max(scale, 1),   centre = (x + 1/2) scale
//   w_i    = max(0, 1 - |i + 1/2 - centre| / reach),   divided by their sum (at edges the triangle is cut)
//
// Rows first, then columns, with 8 bits between the two; columns first when the height shrinks much more than
// the width. Weights are integers, in units of 2^-22, so that every compiler and every machine gives the same
// image. The aspect ratio is not kept: the model was trained so.
//
// Reference: Pillow 13 src/libImaging/Resample.c (Pillow up to 12 always resized rows first, which differs by
// at most one level); transformers image_processing_backends.py PilBackend.resize.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../kernels/parallel.hpp"
#include "pixels.hpp"

namespace t5gemma2 {

namespace resize_detail {

inline constexpr int weight_bits = 22;  // 255 * 2^22 is a 30-bit number

/// One output pixel as a weighted mean of its line.
struct Mean {
  Index first = 0;                    // the first input
  std::vector<std::int32_t> weights;  // of the inputs first, first + 1, ...; their sum is about 2^22
};

/// One mean for each of `out` pixels from a line of `in`.
inline std::vector<Mean> triangle_means(Index in, Index out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), reach = std::max(scale, 1.0);
  std::vector<Mean> means(static_cast<std::size_t>(out));
  std::vector<double> exact;
  for (Index x = 0; x < out; ++x) {
    const double centre = (static_cast<double>(x) + 0.5) * scale;
    const Index first = std::max<Index>(0, static_cast<Index>(centre - reach + 0.5));
    const Index end = std::min(in, static_cast<Index>(centre + reach + 0.5));
    exact.clear();
    double sum = 0;
    for (Index i = first; i < end; ++i) {
      const double distance = std::abs((static_cast<double>(i) - centre + 0.5) * (1.0 / reach));
      exact.push_back(std::max(0.0, 1.0 - distance));
      sum += exact.back();
    }
    Mean& mean = means[static_cast<std::size_t>(x)];
    mean.first = first;
    for (const double weight : exact)
      mean.weights.push_back(static_cast<std::int32_t>(0.5 + weight / sum * (1 << weight_bits)));
  }
  return means;
}

/// One half plus a sum of byte * weight, as a byte.
inline std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> weight_bits, 0, 255));
}

inline constexpr std::int32_t half = 1 << (weight_bits - 1);

/// [height, in, 3] -> [height, out, 3]
inline Image resize_rows(const Image& image, Index out) {
  const std::vector<Mean> means = triangle_means(image.width, out);
  Image resized(out, image.height);
  parallel_rows(image.height, 64, [&](Index y) {
    for (Index x = 0; x < out; ++x) {
      const Mean& mean = means[static_cast<std::size_t>(x)];
      const std::uint8_t* from = image.pixel(mean.first, y);
      std::int32_t red = half, green = half, blue = half;
      for (const std::int32_t weight : mean.weights) {
        red += weight * from[0];
        green += weight * from[1];
        blue += weight * from[2];
        from += 3;
      }
      std::uint8_t* to = resized.pixel(x, y);
      to[0] = to_byte(red), to[1] = to_byte(green), to[2] = to_byte(blue);
    }
  });
  return resized;
}

/// [in, width, 3] -> [out, width, 3]
inline Image resize_columns(const Image& image, Index out) {
  const std::vector<Mean> means = triangle_means(image.height, out);
  const Index line = 3 * image.width;
  Image resized(image.width, out);
  parallel_rows(out, 16, [&](Index y) {
    const Mean& mean = means[static_cast<std::size_t>(y)];
    std::vector<std::int32_t> sum(static_cast<std::size_t>(line), half);
    const std::uint8_t* from = image.pixel(0, mean.first);
    for (const std::int32_t weight : mean.weights) {
      for (Index i = 0; i < line; ++i) sum[static_cast<std::size_t>(i)] += weight * from[i];
      from += line;
    }
    std::transform(sum.begin(), sum.end(), resized.pixel(0, y), to_byte);
  });
  return resized;
}

}  // namespace resize_detail

/// `image` brought to width x height pixels. Throws std::invalid_argument where it, or the result, has none.
inline Image resize(const Image& image, Index width, Index height) {
  check(image);
  check_argument(width > 0, "resize width", "1 or more", width);
  check_argument(height > 0, "resize height", "1 or more", height);
  const bool columns_first = image.height > height && image.height - height > 2 * (image.width - width);
  return columns_first ? resize_detail::resize_rows(resize_detail::resize_columns(image, height), width)
                       : resize_detail::resize_columns(resize_detail::resize_rows(image, width), height);
}

}  // namespace t5gemma2
