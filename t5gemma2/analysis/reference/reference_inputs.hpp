// The inputs of a reference file: what the engine is run on.
#pragma once
#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "../../checkpoint/safetensors.hpp"
#include "../../config.hpp"
#include "../../error.hpp"
#include "../../tensor.hpp"
#include "reference_file.hpp"

namespace t5gemma2 {

/// The ids of an integer tensor [1, k]; an empty list where the file has none. Throws Error for an id outside
/// the vocabulary.
inline std::vector<TokenId> ids_of(const StoredTensors& file, const std::string& name, Index vocab) {
  const auto found = file.find(name);
  if (found == file.end()) return {};
  const StoredTensor& tensor = found->second;
  if (tensor.shape.size() != 2 || tensor.shape[0] != 1)
    fail(tensor.file, name, "token ids [1, any]", text_of(tensor.dtype, tensor.shape));
  std::vector<TokenId> ids;
  for (const Index id : to_integers(tensor)) {
    if (id < 0 || id >= vocab)
      fail(tensor.file, name, "token ids from 0 to " + std::to_string(vocab - 1), std::to_string(id));
    ids.push_back(static_cast<TokenId>(id));
  }
  return ids;
}

/// The ids of a reference file.
struct ReferenceInputs {
  std::vector<TokenId> input_ids, decoder_input_ids;
  std::vector<TokenId> generate_from, generated;  // `generated` begins with generate_from; may be empty
};

/// Throws Error when inputs are missing, unknown, or do not fit this model.
inline ReferenceInputs read_inputs(const ReferenceFile& file, const Config& config) {
  const StoredTensors& tensors = file.tensors;
  const std::string where = file.path.string();
  const std::set<std::string_view> known{"inputs.input_ids", "inputs.decoder_input_ids",
                                         "inputs.pixel_values", "inputs.generate_from"};
  for (const auto& [name, tensor] : tensors)
    if (name.starts_with("inputs.") && !known.contains(name))
      fail(where, name, "input_ids, decoder_input_ids, pixel_values or generate_from", "another input");
  if (!tensors.contains("inputs.input_ids"))
    fail(where, "inputs.input_ids", "I64 [1, n], as t5gemma2-trace and weights_tool record write it",
         "nothing");
  const auto ids = [&](const char* name) { return ids_of(tensors, name, config.decoder.vocab_size); };
  ReferenceInputs inputs{ids("inputs.input_ids"), ids("inputs.decoder_input_ids"),
                         ids("inputs.generate_from"), ids("generated")};
  if (inputs.generated.empty()) return inputs;
  if (inputs.generate_from.empty()) inputs.generate_from = {static_cast<TokenId>(config.bos_token_id)};
  const bool continues =
      inputs.generated.size() > inputs.generate_from.size() &&
      std::equal(inputs.generate_from.begin(), inputs.generate_from.end(), inputs.generated.begin());
  if (!continues)
    fail(where, "generated", "ids that begin with inputs.generate_from, or bos without it", "others");
  return inputs;
}

}  // namespace t5gemma2
