// The flags -m, --model; --dtype; -t, --threads; -q, --quiet. The default model is pocket, which comes with the
// programs.
#pragma once
#include <omp.h>

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "app.hpp"
#include "checks.hpp"
#include "t5gemma2/checkpoint/hub.hpp"
#include "t5gemma2/precision.hpp"
#include "terminal.hpp"

namespace cli {

using ModelName = std::optional<std::string>;

/// Adds -m, --model and, with `positional`, MODEL without a flag. `what` describes the values.
inline Option* add_model(App& app, ModelName& model, bool positional = false,
                         const std::string& what = "folder, or hub id in the local Hugging Face cache") {
  app.group("Input");
  Option* flag =
      app.add_option("-m,--model", model, what + "; default: pocket, which comes with the programs")
          ->value("MODEL");
  if (positional) app.add_option("MODEL", model, "the model, without -m")->excludes(flag);
  return flag;
}

/// Adds --dtype, a name of a Precision.
inline void add_dtype(App& app, std::string& dtype) {
  using t5gemma2::precision_names;
  app.group("Input");
  app.add_option(
         "--dtype", dtype,
         "precision of products: float32 with weights as stored, rounded to bfloat16, or with 8-bit weights")
      ->value("float32|bfloat16|int8")
      ->check(one_of({precision_names.begin(), precision_names.end()}));
}

/// Adds -t, --threads; sets `threads` to its default.
inline void add_threads(App& app, int& threads) {
  threads = omp_get_max_threads();
  app.group("General");
  app.add_option("-t,--threads", threads, "number of threads; default: as many as cores")
      ->check(integer_in(1, 1024));
}

inline void add_quiet(App& app, bool& quiet) {
  app.group("General");
  app.add_flag("-q,--quiet", quiet, "print no progress, notes or timings");
}

/// The folder of the model that was named, or else of pocket, and then a note says so. Throws Error where
/// there is no such folder.
inline std::filesystem::path model_folder(const ModelName& model, bool quiet) {
  if (model) return t5gemma2::find_model(*model);
  std::filesystem::path folder = t5gemma2::pocket_model();
  note(
      "no model was named, so this is pocket, a small T5Gemma 2 that knows dates, numbers, sorting, "
      "a made-up language, codes in long texts and images of coloured shapes",
      quiet);
  return folder;
}

/// The name for readers: the last part of a folder's path, or a hub id as it is.
inline std::string shown_name(const ModelName& model) {
  if (!model) return "pocket";
  std::error_code none;
  const bool is_folder = std::filesystem::is_directory(*model, none);
  return is_folder ? std::filesystem::canonical(*model).filename().string() : *model;
}

}  // namespace cli
