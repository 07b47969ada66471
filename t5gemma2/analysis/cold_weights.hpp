// The weights that a part of the model reads completely when it runs, and those of their pages that are still
// on the disk. The embedding is counted with the decoder, whose head reads all of it; as input only the rows
// of the ids are read.
#pragma once
#include <algorithm>
#include <functional>
#include <vector>

#include "../decoder.hpp"
#include "../encoder.hpp"
#include "../io/cold_pages.hpp"
#include "../vision/vision.hpp"
#include "memory.hpp"

namespace t5gemma2 {

/// All matrices of a layer.
inline std::vector<Weight> matrices_of(const Layer& layer) {
  const Attention& a = layer.self_attn;
  const FeedForward& f = layer.mlp;
  return {a.q_proj, a.k_proj, a.v_proj, a.o_proj, f.gate_proj, f.up_proj, f.down_proj};
}
inline std::vector<Weight> matrices_of(const SiglipLayer& w) {
  return {w.q_proj.weight, w.k_proj.weight, w.v_proj.weight, w.out_proj.weight, w.fc1.weight, w.fc2.weight};
}

/// The bytes of weights in memory.
class WeightBytes {
 public:
  void add(const Encoder& w) { add(w.layers); }

  void add(const Decoder& w) {
    add(w.layers);
    add({w.lm_head});
  }

  void add(const Vision& w) {
    const Siglip& tower = w.vision_tower;
    add({tower.patch_embedding.weight, tower.position_embedding,
         w.multi_modal_projector.mm_input_projection_weight});
    for (const SiglipLayer& layer : tower.layers) add(matrices_of(layer));
  }

  /// One span per weight, by address.
  std::vector<Bytes> in_order() const {
    std::vector<Bytes> sorted = bytes_;
    std::ranges::sort(sorted, std::less(), [](const Bytes& one) { return one.data(); });
    return sorted;
  }

 private:
  void add(const std::vector<Layer>& layers) {
    for (const Layer& layer : layers) add(matrices_of(layer));
  }

  void add(const std::vector<Weight>& weights) {
    for (const Weight& w : weights)
      bytes_.emplace_back(w.data, static_cast<std::size_t>(w.rows * w.cols * bytes_of(w.type)));
  }

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
