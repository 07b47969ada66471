// The weights that a part of the model reads completely when it runs, and those of their pages that are still
// on the disk. The embedding is counted with the decoder, whose head reads all of it; as input only the rows
// of the ids are read.
#pragma once
#include <algorithm>
#include <concepts>
#include <functional>
#include <vector>

#include "../io/cold_pages.hpp"
#include "../precision.hpp"
#include "memory.hpp"

namespace t5gemma2 {

/// The bytes of weights in memory.
class WeightBytes {
 public:
  /// Those of an encoder, a decoder or vision.
  template <class Part>
  void add(const Part& part) {
    for_each_matrix(part, [&](const Weight& W) { add(W); });
    if constexpr (std::same_as<Part, Vision>) {
      add(part.vision_tower.position_embedding);
      add(part.multi_modal_projector.mm_input_projection_weight);
    }
  }
  void add(const Weight& W) { bytes_.emplace_back(W.data, static_cast<std::size_t>(W.bytes())); }

  /// One span per weight, by address.
  std::vector<Bytes> in_order() const {
    std::vector<Bytes> sorted = bytes_;
    std::ranges::sort(sorted, std::less(), [](const Bytes& one) { return one.data(); });
    return sorted;
  }

 private:
  std::vector<Bytes> bytes_;
};

/// The cold pages (those still on the disk) of these weights, to be read before a run. None below 16 MB,
/// which a run reads quickly, and none where they exceed `available` bytes of memory: the last would evict
/// the first.
inline std::vector<Bytes> pages_to_read(const WeightBytes& weights, double available = available_memory()) {
  constexpr std::size_t few = 16 << 20;
  std::vector<Bytes> cold;
  for (const Bytes& bytes : weights.in_order())
    for (const Bytes& run : cold_pages(bytes)) cold.push_back(run);
  const std::size_t size = total_size(cold);
  if (size < few || static_cast<double>(size) > available) cold.clear();
  return cold;
}

}  // namespace t5gemma2
