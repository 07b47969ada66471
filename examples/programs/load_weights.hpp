// Reads weights from the disk before they are used, and rounds them, with bars that show how far it is.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "adapters.hpp"
#include "progress_bar.hpp"
#include "t5gemma2/analysis/cold_weights.hpp"
#include "t5gemma2/model.hpp"
#include "t5gemma2/precision.hpp"
#include "t5gemma2/vision/vision_weights.hpp"

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

/// load_weights of parts that will be rounded: what was read stays in the system's memory, not in this process's.
inline void load_to_round(const WeightBytes& weights, const Checkpoint& checkpoint, bool quiet) {
  load_weights(weights, quiet, [&](Index, Index) { checkpoint.release_pages(); });
}

/// load_model in the precision that `dtype` names, with the adapters that --lora names.
inline Model open_model(const std::filesystem::path& folder, const std::string& dtype,
                        const std::vector<std::string>& lora, bool quiet) {
  const Precision precision = precision_named(dtype);
  Model model = load_model(folder);
  apply_adapters(model, lora);
  if (precision == Precision::float32) return model;
  load_to_round(weights_of(model, nullptr, true), *model.checkpoint, quiet);
  ProgressBar bar("rounding weights", !quiet);
  set_precision(model, precision, bar.watch());
  return model;
}

/// load_encoder in the precision that `dtype` names, with the adapters that --lora names.
inline Model open_encoder(const std::filesystem::path& folder, const std::string& dtype,
                          const std::vector<std::string>& lora, bool quiet) {
  const Precision precision = precision_named(dtype);
  Model model = load_encoder(folder);
  apply_adapters(model, lora);
  if (precision == Precision::float32) return model;
  load_to_round(weights_of(model, nullptr, true, false), *model.checkpoint, quiet);
  ProgressBar bar("rounding weights", !quiet);
  set_precision(model.encoder, precision, bar.watch(), [&] { model.checkpoint->release_pages(); });
  return model;
}

/// load_vision in the precision that `dtype` names.
inline Vision open_vision(const Model& model, const std::string& dtype, bool quiet) {
  const Precision precision = precision_named(dtype);
  Vision vision = load_vision(model);
  if (precision == Precision::float32) return vision;
  load_to_round(weights_of(model, &vision, false, false), *model.checkpoint, quiet);
  ProgressBar bar("rounding weights", !quiet);
  set_precision(vision, *model.checkpoint, precision, bar.watch());
  return vision;
}

}  // namespace cli
