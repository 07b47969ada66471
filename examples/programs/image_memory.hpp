// The vision encoder's answers to the last images, so that none is looked at twice. An image is known by its
// pixels: the file behind a name may change between two requests.
#pragma once
#include <xxhash.h>

#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

#include "t5gemma2/image_prompt.hpp"

namespace cli {

class ImageMemory {
 public:
  /// The tokens of an image and its crops; look() makes them when they are not known.
  template <class Look>
  const std::vector<t5gemma2::Matrix>& tokens_of(const t5gemma2::Image& image, const Look& look) {
    const Key key{XXH3_128bits(image.rgb.data(), image.rgb.size()), image.width};
    for (const auto& [known, tokens] : seen_)
      if (XXH128_isEqual(known.pixels, key.pixels) != 0 && known.width == key.width) return tokens;
    if (seen_.size() == most) seen_.pop_front();
    seen_.emplace_back(key, look());
    return seen_.back().second;
  }

 private:
  static constexpr std::size_t most = 64;  // of 896 pixels: 42 MB at 270M
  struct Key {
    XXH128_hash_t pixels;
    t5gemma2::Index width;
  };

  std::deque<std::pair<Key, std::vector<t5gemma2::Matrix>>> seen_;
};

}  // namespace cli
