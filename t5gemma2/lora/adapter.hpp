// A LoRA adapter (Hu et al. 2021), as PEFT saves it: small changes of a model that was fine-tuned with its own weights left as
// they are.
//
//   y = x W^T + s (x A^T) B^T        W [out, in], A [r, in], B [out, r]       (linear.hpp)
//
//   adapter_config.json          which scale s (adapter_config.hpp)
//   adapter_model.safetensors    by module path, base_model.model. in front:
//     MODULE.lora_A.weight [r, in], MODULE.lora_B.weight [out, r]
//     MODULE.lora_embedding_A [r, vocab], MODULE.lora_embedding_B [d, r]     of an embedding E: E + s (B A)^T
//     MODULE.weight                                                          whole, in place of the base's (modules_to_save)
//     MODULE.base_layer.weight, and whole weights of other modules           the base's own, as it was trained upon
//
// Reference: peft tuners/lora/layer.py Linear, Embedding; utils/save_and_load.py get_peft_model_state_dict
#pragma once
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "../checkpoint/safetensors.hpp"
#include "../checkpoint/stored_tensor.hpp"
#include "../checkpoint/tensor_names.hpp"
#include "../error.hpp"
#include "../io/mapped_file.hpp"
#include "../io/readable.hpp"
#include "../tensor.hpp"
#include "adapter_config.hpp"

namespace t5gemma2 {

/// Tensors are found by the names that a checkpoint has for what they change (checkpoint/tensor_names.hpp).
struct Adapter {
  std::filesystem::path folder;
  std::shared_ptr<const SafetensorsFile> file;                    // owns the whole tensors
  std::map<std::string, std::shared_ptr<const LowRank>> changes;  // of matrices
  std::map<std::string, StoredTensor> whole, base_layers;         // in place of a tensor

  std::string weights() const { return (folder / "adapter_model.safetensors").string(); }
};

namespace lora_detail {

/// How the names of the two factors of a change end.
struct FactorNames {
  std::string_view a, b;
  bool embedding;
};
inline constexpr FactorNames of_linear{".lora_A.weight", ".lora_B.weight", false},
    of_embedding{".lora_embedding_A", ".lora_embedding_B", true};

/// [rows, cols] in float32. Throws Error for another shape, and for numbers that are not finite.
inline Matrix factor(const StoredTensor& tensor) {
  if (tensor.shape.size() != 2 || tensor.shape[0] < 1 || tensor.shape[1] < 1)
    fail(tensor.file, readable(tensor.name), "a matrix", text_of(tensor.dtype, tensor.shape));
  const Vector numbers = to_vector(tensor);
  if (!numbers.allFinite()) fail(tensor.file, readable(tensor.name), "finite numbers", "NaN or infinity");
  return Eigen::Map<const Matrix>(numbers.data(), tensor.shape[0], tensor.shape[1]);
}

/// The change that begins with tensor a, whose name without its end is `module`.
inline LowRank read_change(const StoredTensors& tensors, const StoredTensor& a, const std::string& module,
                           const FactorNames& names, const AdapterConfig& config) {
  const auto b = tensors.find(module + std::string(names.b));
  if (b == tensors.end())
    fail(a.file, readable(module + std::string(names.b)), "a tensor beside " + readable(a.name), "none");
  constexpr std::string_view wrapper = "base_model.model.";
  constexpr std::size_t longest = 300;  // patterns take time by its length
  if (module.size() > longest) fail(a.file, readable(module), "a module's name of at most 300 bytes", "more");
  const std::string path = module.starts_with(wrapper) ? module.substr(wrapper.size()) : module;
  LowRank change{.A = factor(a), .B = factor(b->second), .scale = config.scale_of(path)};
  const Index rank = config.rank_of(path);
  if (change.A.rows() != rank || change.B.cols() != rank)
    fail(a.file, readable(module),
         "factors of rank " + std::to_string(rank) + ", as adapter_config.json says",
         text_of(a.dtype, a.shape) + " and " + text_of(b->second.dtype, b->second.shape));
  if (!names.embedding) return change;
  return {.A = change.B.transpose(), .B = change.A.transpose(), .scale = change.scale};
}

/// Adds a change whose first or second factor is this tensor; false where it is neither.
inline bool add_change(const StoredTensor& tensor, const StoredTensors& tensors, const AdapterConfig& config,
                       float scale, Adapter& adapter) {
  const std::string& name = tensor.name;
  for (const FactorNames& names : {of_linear, of_embedding}) {
    if (name.ends_with(names.b)) {
      const std::string a = name.substr(0, name.size() - names.b.size()) + std::string(names.a);
      if (!tensors.contains(a)) fail(tensor.file, readable(a), "a tensor beside " + readable(name), "none");
      return true;
    }
    if (!name.ends_with(names.a)) continue;
    const std::string module = name.substr(0, name.size() - names.a.size());
    LowRank change = read_change(tensors, tensor, module, names, config);
    change.scale *= scale;
    const bool is_first =
        adapter.changes
            .emplace(canonical_name(module + ".weight"), std::make_shared<const LowRank>(std::move(change)))
            .second;
    if (!is_first) fail(tensor.file, readable(module), "one change of each matrix", "two spellings of it");
    return true;
  }
  return false;
}

/// Adds a whole tensor: a module's own, or the base's.
inline void add_whole(const StoredTensor& tensor, const AdapterConfig& config, float scale,
                      Adapter& adapter) {
  std::string name = tensor.name;
  if (name.find(".original_module.") != name.npos) return;  // the base's, beside that of modules_to_save
  for (const std::string_view part : {".base_layer.", ".modules_to_save.default.", ".modules_to_save."})
    if (const auto at = name.find(part); at != name.npos) name.replace(at, part.size(), ".");
  const bool is_own = config.saves(name), is_trained = is_own || name.ends_with(".bias");
  if (is_trained && scale != 1)
    fail(tensor.file, readable(tensor.name), "low-rank changes alone, to be scaled",
         "a whole tensor, which goes in place of the base's");
  const bool is_first =
      (is_own ? adapter.whole : adapter.base_layers).emplace(canonical_name(name), tensor).second;
  if (!is_first) fail(tensor.file, readable(tensor.name), "each tensor once", "two spellings of it");
}

/// Adds what a tensor of the file is. Throws Error where it is of a kind that is not done here.
inline void add_tensor(const StoredTensor& tensor, const StoredTensors& tensors, const AdapterConfig& config,
                       float scale, Adapter& adapter) {
  if (add_change(tensor, tensors, config, scale, adapter)) return;
  for (const char* other : {"lora_", "token_adapter"})
    if (tensor.name.find(other) != tensor.name.npos)
      fail(tensor.file, readable(tensor.name), "lora_A, lora_B or whole weights", "another kind of adapter");
  add_whole(tensor, config, scale, adapter);
}

}  // namespace lora_detail

/// Reads an adapter's folder; its changes are multiplied by `scale`. Throws Error naming the file and the field or tensor
/// that is wrong, or that is of a kind that is not done here.
inline Adapter load_adapter(const std::filesystem::path& folder, float scale = 1) {
  check_argument(std::isfinite(scale), "load_adapter scale", "a number", scale);
  const std::filesystem::path file = folder / "adapter_model.safetensors",
                              config = folder / "adapter_config.json";
  if (!is_there(config))
    fail_file(folder.string(), "a LoRA adapter's folder with adapter_config.json",
              is_there(folder / "config.json") ? "config.json: a model, which -m takes" : "none");
  if (!is_there(file))
    fail_file(folder.string(), "adapter_model.safetensors",
              is_there(folder / "adapter_model.bin")
                  ? "adapter_model.bin: PEFT writes safetensors when it saves it again"
                  : "none");
  const AdapterConfig read =
      AdapterConfig::parse(read_text(config, "a LoRA adapter's adapter_config.json"), config.string());
  Adapter adapter{.folder = folder,
                  .file = std::make_shared<const SafetensorsFile>(SafetensorsFile::open(file)),
                  .changes = {},
                  .whole = {},
                  .base_layers = {}};
  const StoredTensors& tensors = adapter.file->tensors();
  for (const auto& [name, tensor] : tensors) lora_detail::add_tensor(tensor, tensors, read, scale, adapter);
  if (adapter.changes.empty() && adapter.whole.empty())
    fail_file(file.string(), "the weights of an adapter", "none");
  return adapter;
}

}  // namespace t5gemma2
