// Guesses about the embedding, and what the decoder begins with.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "../../../config.hpp"
#include "../guess.hpp"

namespace t5gemma2::guess_detail {

inline void add_embedding(Guesses& all) {
  all.push_back({"the embedding is not scaled by sqrt(d)", [](Variant& v) { v.embedding_power = 0; }});
  all.push_back({"the embedding is scaled by d, not by sqrt(d)", [](Variant& v) { v.embedding_power = 1; }});
  all.push_back({"the embedding is divided by sqrt(d)", [](Variant& v) { v.embedding_power = -0.5; }});
  all.push_back(
      {"the embedding's scale is rounded to bfloat16", [](Variant& v) { v.rounds_embedding_scale = true; }});
  all.push_back({"the end-of-image token has its row of the embedding, not eoi_embedding",
                 [](Variant& v) { v.replaces_eoi = false; }});
  all.push_back({"eoi_embedding is scaled by sqrt(d), too", [](Variant& v) { v.scales_eoi = true; }});
}

inline void add_first_ids(Guesses& all, const Config& config) {
  std::vector<Index> ids{0, 1, 2, config.bos_token_id};
  if (config.pad_token_id) ids.push_back(*config.pad_token_id);
  ids.insert(ids.end(), config.eos_token_id.begin(), config.eos_token_id.end());
  for (const Index id : std::set<Index>(ids.begin(), ids.end()))
    if (id < config.decoder.vocab_size)
      all.push_back(
          {"the decoder begins with token " + std::to_string(id) + ", another prefix than the inputs say",
           [id](Variant& v) { v.first_decoder_id = static_cast<TokenId>(id); }});
}

}  // namespace t5gemma2::guess_detail
