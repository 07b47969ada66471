// Weights come from the disk before they are used, where a person sees for how long.
#pragma once
#include <string>
#include <vector>

#include "t5gemma2/analysis/cold_weights.hpp"
#include "t5gemma2/model.hpp"
#include "terminal.hpp"

namespace cli {

using namespace t5gemma2;

/// Of the parts that run: `vision` where there are pictures.
inline WeightBytes weights_of(const Model& model, const Vision* vision, bool encodes, bool decodes = true) {
  WeightBytes weights;
  if (vision) weights.add(*vision);
  if (encodes) weights.add(model.encoder);
  if (decodes) weights.add(model.decoder);
  return weights;
}

/// Reads what of the weights is not in memory; `watch` is told, too, and may throw to stop.
inline void load_weights(const WeightBytes& weights, bool quiet, const Progress& watch = {}) {
  constexpr Index megabyte = 1000000;
  const std::vector<Bytes> cold = cold_pages(weights);
  if (cold.empty()) return;
  ProgressBar bar("loading " + std::to_string(total_size(cold) / megabyte) + " MB", !quiet);
  read_pages(cold, [&](Index done, Index all) {
    bar.update(done / megabyte, all / megabyte);
    if (watch) watch(done, all);
  });
}

}  // namespace cli
