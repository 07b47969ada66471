// A model with its tokenizer and its eyes, as Python uses it.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "calls.hpp"
#include "t5gemma2/embedding/sentence_transformers.hpp"
#include "t5gemma2/lora/apply_adapter.hpp"
#include "t5gemma2/model.hpp"
#include "t5gemma2/precision.hpp"
#include "t5gemma2/prompt.hpp"
#include "t5gemma2/tokenizer/tokenizer.hpp"

namespace t5gemma2::python {

/// What the encoder gets.
struct Source {
  std::vector<TokenId> ids;
  std::vector<Matrix> features;  // of the images
};

class LoadedModel {
 public:
  /// A model's folder; threads 0: as many as OpenMP would take. Throws Error where it cannot be loaded.
  LoadedModel(std::filesystem::path folder, const std::string& dtype, int threads,
              const std::vector<std::pair<std::filesystem::path, float>>& adapters);

  const Model& model() const { return model_; }
  const Vision& vision();
  int threads() const { return threads_; }

  std::vector<TokenId> tokenize(nb::handle text, const nb::list& images) const;
  std::string detokenize(nb::handle ids, bool show_special) const;
  nb::object encode_py(nb::handle prompt, const nb::list& images);
  nb::object decode_py(nb::handle H, nb::handle ids);
  std::string generate_py(nb::handle prompt, const nb::list& images, nb::handle decoder_prompt,
                          const std::string& settings, bool sample, std::uint64_t seed, nb::handle stream);
  nb::object embed_py(const nb::list& texts, const std::optional<std::string>& pooling,
                      const std::optional<std::string>& prompt_name, std::optional<Index> layer,
                      std::optional<Index> dimensions, bool normalize);
  nb::list score_py(nb::handle prompt, const nb::list& images, const nb::list& targets,
                    nb::handle decoder_prompt, bool eos);
  nb::dict trace_py(nb::handle prompt, const nb::list& images, nb::handle decoder_prompt,
                    const std::function<bool(const std::string&)>& wanted);
  nb::object weight_py(const std::string& name) const;
  std::vector<std::string> weight_names() const;

 private:
  template <class Run>
  auto call(Run run) const {
    return without_gil(threads_, run);
  }

  const Tokenizer& tokenizer() const;
  void load(const std::vector<std::pair<std::filesystem::path, float>>& adapters);
  void read_known_settings();
  EmbedInput embed_input_of(nb::handle text, const std::string& front) const;
  GenerateOptions generate_options(const std::string& settings, bool sample, std::uint64_t seed) const;
  Source source_of(nb::handle prompt, const nb::list& images, const Trace* trace = nullptr);
  Matrix encode_source(const Source& source, const Trace* trace);
  std::vector<TokenId> decoder_ids(nb::handle prompt) const;
  std::vector<TokenId> target_ids(nb::handle target, bool eos) const;

  std::filesystem::path folder_;
  int threads_;
  Precision precision_ = Precision::float32;
  nlohmann::json known_settings_;  // of generation, in the checkpoint's files
  SentenceTransformer how_;
  Model model_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<Vision> vision_;
};

}  // namespace t5gemma2::python
