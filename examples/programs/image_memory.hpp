// The features of the last images, so that the vision encoder runs once for an image that comes again. An
// image is known by its pixels: the file of that name may change between two requests.
#pragma once
#include <xxhash.h>

#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

#include "t5gemma2/image/pixels.hpp"

namespace cli {

class ImageMemory {
 public:
  using Features = std::vector<t5gemma2::Matrix>;

  /// The features of an image and its crops, by compute() when they are not known. Valid until the next call.
  template <class Compute>
  const Features& features_of(const t5gemma2::Image& image, const Compute& compute) {
    const Key key{XXH3_128bits(image.rgb.data(), image.rgb.size()), image.width};
    for (const auto& [known, features] : known_)
      if (XXH128_isEqual(known.pixels, key.pixels) != 0 && known.width == key.width) return features;
    if (known_.size() == most) known_.pop_front();
    known_.emplace_back(key, compute());
    return known_.back().second;
  }

 private:
  static constexpr std::size_t most = 64;  // images of 896 pixels a side: 42 MB at 270M
  struct Key {
    XXH128_hash_t pixels;
    t5gemma2::Index width;
  };

  std::deque<std::pair<Key, Features>> known_;
};

}  // namespace cli
