// The precision of products with weights, chosen when a model is loaded (--dtype). The paper leaves it out.
//
//   float32    y = x W^T                   W as it is stored
//   bfloat16   y = round(x) round(W)^T     to bfloat16; sums are float32
//   int8       y = x round(W)^T            to blocks of 32 8-bit numbers with a scale (kernels/blocks.hpp)
//
// It is that of the matrices which linear multiplies by: those of all layers, the head, SigLIP. What else is
// stored stays as it is: norms, the embedding as input, positions of patches, the projector, adapters (lora/adapter.hpp). Scores and values
// of attention are float32 products.
#pragma once
#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "error.hpp"
#include "kernels/blocks.hpp"
#include "kernels/parallel.hpp"
#include "model.hpp"
#include "progress.hpp"
#include "vision/vision.hpp"

namespace t5gemma2 {

enum class Precision { float32, bfloat16, int8 };

inline constexpr std::array<std::string_view, 3> precision_names{"float32", "bfloat16", "int8"};

inline std::string_view name_of(Precision precision) {
  return precision_names[static_cast<std::size_t>(precision)];
}

/// The precision that `name` stands for. Throws Error where it stands for none.
inline Precision precision_named(std::string_view name) {
  const auto at = std::ranges::find(precision_names, name);
  if (at == precision_names.end())
    throw Error("precision: expected float32, bfloat16 or int8, found " + std::string(name));
  return static_cast<Precision>(at - precision_names.begin());
}

/// Calls use(W) for each matrix that a part multiplies by: Layer, Encoder, Decoder (the head is its last),
/// SiglipLayer or Vision, or one that is const.
template <class Part, class Use>
void for_each_matrix(Part& part, const Use& use) {
  using Kind = std::remove_const_t<Part>;
  if constexpr (std::same_as<Kind, Layer>) {
    auto& a = part.self_attn;
    auto& f = part.mlp;
    for (auto* W : {&a.q_proj, &a.k_proj, &a.v_proj, &a.o_proj, &f.gate_proj, &f.up_proj, &f.down_proj})
      use(*W);
  } else if constexpr (std::same_as<Kind, SiglipLayer>) {
    for (auto* linear : {&part.q_proj, &part.k_proj, &part.v_proj, &part.out_proj, &part.fc1, &part.fc2})
      use(linear->weight);
  } else if constexpr (std::same_as<Kind, Vision>) {
    use(part.vision_tower.patch_embedding.weight);
    for (auto& layer : part.vision_tower.layers) for_each_matrix(layer, use);
  } else {
    for (auto& layer : part.layers) for_each_matrix(layer, use);
    if constexpr (std::same_as<Kind, Decoder>) use(part.lm_head);
  }
}

/// Numbers in the matrices of a part.
template <class Part>
Index matrix_sizes(const Part& part) {
  Index size = 0;
  for_each_matrix(part, [&](const Weight& W) { size += W.rows * W.cols; });
  return size;
}

/// W's numbers as bfloat16 or in blocks, in memory of their own. After each few rows release() is called. Throws
/// std::invalid_argument where W is not set.
template <class Release>
Weight converted_to(StorageType type, const Weight& W, const Release& release) {
  check(W, "converted_to W");
  Weight to{.data = {}, .type = type, .rows = W.rows, .cols = W.cols};
  const std::shared_ptr<std::byte[]> memory(new std::byte[static_cast<std::size_t>(to.bytes())]);
  const Index few = std::max<Index>(1, (Index{1} << 23) / std::max<Index>(1, W.cols));  // 16 MB of bfloat16
  with_stored_numbers(W.data, W.type, [&](const auto* stored) {
    const auto convert = [&](Index row) {
      const auto* from = stored + row * W.cols;
      std::byte* const at = memory.get() + row * row_bytes(type, W.cols);
      if (type == StorageType::int8_blocks)
        to_int8_blocks(from, W.cols, reinterpret_cast<Int8Block*>(at));
      else
        std::transform(from, from + W.cols, reinterpret_cast<BFloat16*>(at),
                       [](auto number) { return BFloat16(to_float(number)); });
    };
    for (Index first = 0; first < W.rows; first += few) {
      parallel_rows(std::min(few, W.rows - first), 64, [&](Index row) { convert(first + row); });
      release();
    }
  });
  to.changes = W.changes;
  to.data = memory.get();
  to.owner = memory;
  return to;
}

/// Rounds the matrices of a part, which must be as stored, to `precision`. release() gives back the pages of a
/// mapped file that were read. Progress counts numbers.
template <class Part, class Release>
void set_precision(Part& part, Precision precision, const Progress& progress, const Release& release) {
  if (precision == Precision::float32) return;
  const auto type = precision == Precision::int8 ? StorageType::int8_blocks : StorageType::bfloat16;
  const Index all = matrix_sizes(part);
  Index done = 0;
  for_each_matrix(part, [&](Weight& W) {
    if (W.type != type) W = converted_to(type, W, release);
    W.rounds_x = precision == Precision::bfloat16;
    done += W.rows * W.cols;
    if (progress) progress(done, all);
  });
}

/// The same for the parts of a model, whose file gives its memory back.
inline void set_precision(Model& model, Precision precision, const Progress& progress = {}) {
  const auto release = [&] { model.checkpoint->release_pages(); };
  const Index encoder = matrix_sizes(model.encoder), all = encoder + matrix_sizes(model.decoder);
  const auto from = [&](Index before) -> Progress {
    if (!progress) return {};
    return [&progress, before, all](Index done, Index) { progress(before + done, all); };
  };
  set_precision(model.encoder, precision, from(0), release);
  set_precision(model.decoder, precision, from(encoder), release);
}

/// The same for the vision half of the model that `checkpoint` holds.
inline void set_precision(Vision& vision, const Checkpoint& checkpoint, Precision precision,
                          const Progress& progress = {}) {
  set_precision(vision, precision, progress, [&] { checkpoint.release_pages(); });
}

}  // namespace t5gemma2
