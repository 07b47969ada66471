// Reads weights from the disk before they are used, with a bar that shows how far it is.
#pragma once
#include <string>
#include <vector>

#include "progress_bar.hpp"
#include "t5gemma2/analysis/cold_weights.hpp"
#include "t5gemma2/model.hpp"

namespace cli {

using namespace t5gemma2;

/// The weights of the parts that run; `vision` is null without images.
inline WeightBytes weights_of(const Model& model, const Vision* vision, bool encodes, bool decodes = true) {
  WeightBytes weights;
  if (vision) weights.add(*vision);
  if (encodes) weights.add(model.encoder);
  if (decodes) weights.add(model.decoder);
  return weights;
}

/// Reads the weights that are not in memory. `watch` is told the progress, too, and may throw to stop.
inline void load_weights(const WeightBytes& weights, bool quiet, const Progress& watch = {}) {
  constexpr Index megabyte = 1000000;
  const std::vector<Bytes> cold = pages_to_read(weights);
  if (cold.empty()) return;
  ProgressBar bar("loading " + std::to_string(total_size(cold) / megabyte) + " MB", !quiet);
  read_pages(cold, [&](Index done, Index all) {
    bar.update(done / megabyte, all / megabyte);
    if (watch) watch(done, all);
  });
}

}  // namespace cli
