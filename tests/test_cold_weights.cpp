#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "fixture.hpp"
#include "scratch.hpp"
#include "t5gemma2/analysis/cold_weights.hpp"
#include "t5gemma2/io/mapped_file.hpp"
#include "t5gemma2/vision/vision_weights.hpp"

using namespace t5gemma2;

namespace test_cold_weights {

namespace {

/// Bytes of the stored matrices whose names begin so.
std::size_t stored(const Model& model, std::string_view place) {
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : model.checkpoint->tensors())
    if (tensor.shape.size() > 1 && canonical_name(name).starts_with(place)) bytes += tensor.bytes;
  return bytes;
}

template <class Part>
std::vector<Bytes> bytes_of_part(const Part& part) {
  WeightBytes weights;
  weights.add(part);
  return weights.in_order();
}

}  // namespace

TEST_CASE("cold_weights: an encoder is its layers, a decoder its layers and the head, vision all of it") {
  const Model& model = fixture_model("images");
  const Vision vision = load_vision(model.config, *model.checkpoint);
  CHECK(total_size(bytes_of_part(model.encoder)) == stored(model, "model.encoder.text_model.layers."));
  CHECK(total_size(bytes_of_part(model.decoder)) ==
        stored(model, "model.decoder.layers.") + stored(model, "model.encoder.text_model.embed_tokens."));
  CHECK(total_size(bytes_of_part(vision)) ==
        stored(model, "model.encoder.vision_tower.") + stored(model, "model.encoder.multi_modal_projector."));
}

TEST_CASE("cold_weights: in the order of the file") {
  const Model& model = fixture_model("images");
  WeightBytes weights;
  weights.add(model.decoder);
  weights.add(model.encoder);
  const std::vector<Bytes> bytes = weights.in_order();
  CHECK(std::ranges::is_sorted(bytes, std::less(), [](const Bytes& one) { return one.data(); }));
}

TEST_CASE("cold_weights: few are left to the run, and so is what memory does not hold") {
  const ScratchFolder folder;
  constexpr Index rows = 1024, cols = 5 * 1024;  // 20 MB
  const auto path = folder.write("file", std::string(rows * cols * 4, 'x'));
  drop_from_memory(path);
  const MappedFile map(path, "a file");
  if (cold_pages(map.bytes()).empty()) {
    MESSAGE("nothing can be dropped from memory: nothing is tested");
    return;
  }
  const auto cold = [&](Index kept, double available) {
    WeightBytes weights;
    weights.add(Decoder{.config = {},
                        .embed_tokens = {},
                        .layers = {},
                        .norm = {},
                        .lm_head = {map.bytes().data(), StorageType::float32, kept, cols}});
    return total_size(pages_to_read(weights, available));
  };
  CHECK(cold(rows, 1e9) == rows * cols * 4);
  CHECK(cold(rows, 2e7) == 0);
  CHECK(cold(rows / 2, 1e9) == 0);
}

}  // namespace test_cold_weights
