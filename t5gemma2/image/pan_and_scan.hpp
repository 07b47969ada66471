// Pan and scan: a wide or tall image is also given in pieces, so that its details survive in a square.
//
//   longer / shorter side below 1.2: no pieces. Otherwise as many pieces along the longer side as that
//   ratio, rounded, from 2 to 4, but so few that none is shorter than 256 pixels (2 at least). No pieces at
//   all where one would have a side below 256 pixels.
//
// Off by default, as in the reference. The numbers are those of Gemma 3's processor.
//
// Reference: transformers models/gemma3/image_processing_pil_gemma3.py Gemma3ImageProcessorPil.pan_and_scan
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "pixels.hpp"

namespace t5gemma2 {

/// The pieces of the image in reading order, without the image itself; none when it is nearly square or
/// small. Throws std::invalid_argument for an image without pixels.
inline std::vector<Image> pan_and_scan(const Image& image) {
  check(image);
  constexpr Index min_side = 256, max_pieces = 4;
  constexpr double min_ratio = 1.2;
  const bool wide = image.width >= image.height;
  const Index longer = wide ? image.width : image.height, shorter = wide ? image.height : image.width;
  const double ratio = static_cast<double>(longer) / static_cast<double>(shorter);
  if (ratio < min_ratio) return {};

  const auto rounded = static_cast<Index>(std::floor(ratio + 0.5));
  const Index pieces = std::clamp(std::min(longer / min_side, rounded), Index{2}, max_pieces);
  const Index side = (longer + pieces - 1) / pieces;
  if (std::min(side, shorter) < min_side) return {};

  std::vector<Image> crops;
  for (Index start = 0; start < longer; start += side)
    crops.push_back(wide ? crop(image, start, 0, side, shorter) : crop(image, 0, start, shorter, side));
  return crops;
}

}  // namespace t5gemma2
