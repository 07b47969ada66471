// A checkpoint's tensors by transformers' module path (tensor_names.hpp), and which of them have been read.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "../error.hpp"
#include "../io/readable.hpp"
#include "../tensor.hpp"
#include "safetensors.hpp"
#include "stored_tensor.hpp"
#include "tensor_names.hpp"

namespace t5gemma2 {

/// Finds tensors by module path. The checkpoint must outlive the reader.
class WeightReader {
 public:
  /// Throws Error when two spellings of one name are stored, or weights that belong to a LoRA adapter.
  explicit WeightReader(const Checkpoint& checkpoint) : folder_(checkpoint.folder().string()) {
    for (const auto& [name, tensor] : checkpoint.tensors()) {
      if (name.find(".lora_") != name.npos)
        fail(tensor.file, readable(name), "the weights of a model alone",
             "a LoRA adapter among them: save merge_and_unload() of the PeftModel");
      if (const auto [at, is_new] = tensors_.emplace(canonical_name(name), &tensor); !is_new)
        fail(tensor.file, readable(name), "one spelling of each name", "also " + readable(at->second->name));
    }
  }

  bool has(const std::string& name) const { return tensors_.contains(name); }

  /// W [rows, cols], a view of the file. `sizes` names the fields of config.json that give its shape. This
  /// and the functions below throw Error when the tensor is missing or of another shape or dtype.
  Weight matrix(const std::string& name, Index rows, Index cols, const std::string& sizes) {
    return as_weight(tensor(name, {rows, cols}, sizes), rows, cols, sizes);
  }

  /// A vector [size], copied into float32.
  Vector vector(const std::string& name, Index size, const std::string& sizes) {
    return to_vector(tensor(name, {size}, sizes), size, sizes);
  }

  /// The tensor as it is stored, whatever its shape; `shape` is for the message when it is missing.
  const StoredTensor& tensor(const std::string& name, const std::vector<Index>& shape,
                             const std::string& sizes) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      std::string extents;
      for (const Index extent : shape) extents += (extents.empty() ? "" : ", ") + std::to_string(extent);
      fail(folder_, saved_name(name), "a tensor [" + extents + "] (" + sizes + ")", "none");
    }
    used_.insert(name);
    return *found->second;
  }

  /// Tensors that have not been read and are not part of vision: their names in the files, sorted by
  /// module path.
  std::vector<std::string> unknown() const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_)
      if (!used_.contains(name) && !is_vision(name)) names.push_back(tensor->name);
    return names;
  }

 private:
  std::string folder_;
  std::map<std::string, const StoredTensor*, std::less<>> tensors_;  // by module path
  std::set<std::string, std::less<>> used_;                          // module paths
};

}  // namespace t5gemma2
