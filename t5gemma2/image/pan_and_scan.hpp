// Pan and scan: a wide or tall picture is also shown in pieces, so that its details survive the square.
//
//   longer / shorter side < 1.2: no pieces. Else as many pieces along the longer side as the ratio, rounded,
//   says, from 2 to 4, none shorter than 256 pixels unless two halves would be; no pieces at all when one
//   would be narrower than 256 pixels.
//
// Off by default, as in the reference. Reference: transformers Gemma3ImageProcessor.pan_and_scan, with the
// numbers of Gemma 3's processor.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "pixels.hpp"

namespace t5gemma2 {

/// The pieces of the picture in reading order, without the picture itself; none when it is nearly square or
/// small.
inline std::vector<Image> pan_and_scan(const Image& image) {
  constexpr Index min_side = 256, max_pieces = 4;
  constexpr double min_ratio = 1.2;
  const bool wide = image.width >= image.height;
  const Index longer = wide ? image.width : image.height, shorter = wide ? image.height : image.width;
  if (shorter <= 0) return {};
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
