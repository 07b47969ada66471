// The decoder's first ids: the start id of the checkpoint, and the text that the decoder is to continue.
//
// Reference: transformers generation/utils.py GenerationMixin._prepare_decoder_input_ids_for_generation
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "../model.hpp"
#include "../tokenizer/tokenizer.hpp"

namespace t5gemma2 {

/// The start id where the checkpoint's files name one: decoder_start_token_id, or else bos_token_id.
inline std::optional<TokenId> decoder_start(const Model& model) {
  const GenerationConfig& c = model.generation_config;
  return c.decoder_start_token_id ? c.decoder_start_token_id : c.bos_token_id;
}

/// The start id, or else the tokenizer's bos, then the ids of `text` where there is one. These begin with
/// bos, which is not repeated where it is the start id.
inline std::vector<TokenId> decoder_prompt(const Model& model, const Tokenizer& tokenizer,
                                           const std::optional<std::string>& text = {}) {
  const TokenId start = decoder_start(model).value_or(tokenizer.bos_id());
  if (!text) return {start};
  std::vector<TokenId> ids = tokenizer.encode_start(*text);
  if (ids[0] != start) ids.insert(ids.begin(), start);
  return ids;
}

}  // namespace t5gemma2
