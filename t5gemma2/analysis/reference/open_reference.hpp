// A reference file: the inputs and the tensors of another implementation.
//
//   inputs.input_ids            I64 [1, n]; n may be 0: a decoder without encoder input
//   inputs.decoder_input_ids    I64 [1, m]
//   inputs.pixel_values         F32 [images, channels, size, size]
//   inputs.generate_from        I64 [1, p], the decoder prompt of `generated`; bos where the file has none
//   generated                   I64 [1, k], the decoder prompt, then greedy tokens
//   all others                  tensors under transformers' module paths: `NAME[1]` at the second call of a
//                               module, `NAME[-N:]` only the last N rows of the second-last axis
//   truth.NAME                  the tensor NAME as float64 arithmetic gives it (truth.hpp)
//
// t5gemma2-trace and weights_tool record write such files, in safetensors; any other implementation may write one, too.
// Also read: transformers' debug tree (debug_tree.hpp), and a cache of TransformerLens in safetensors
// (transformer_lens.hpp).
#pragma once
#include <filesystem>
#include <utility>

#include "../../checkpoint/safetensors.hpp"
#include "debug_tree.hpp"
#include "reference_file.hpp"
#include "transformer_lens.hpp"

namespace t5gemma2 {

/// The file at `path`; a debug tree is told by its name, which ends with .json. Throws Error where it is missing or wrong.
inline ReferenceFile open_reference(const std::filesystem::path& path) {
  if (path.extension() == ".json") return read_debug_tree(path);
  ReferenceFile file{.path = path};
  file.tensors = file.keep(SafetensorsFile::open(path)).tensors();
  return is_cache_of_hooks(file) ? with_taps_names(std::move(file)) : file;
}

}  // namespace t5gemma2
