// config.json of a folder of which the encoder alone is wanted -> Config, whose decoder stays empty:
//
//   t5gemma2           a whole model
//   t5gemma2_encoder   an encoder as T5Gemma2Encoder.save_pretrained writes it: what a whole model has in `encoder`
//   gemma3_text        EmbeddingGemma: layers of Gemma 3 with bidirectional attention, no images
//
// EmbeddingGemma's window w lets a query see w/2 tokens to each side, |q - k| < w/2 + 1. That is our mask
// (../mask.hpp) with a window of 2 (w/2) + 1.
//
// transformers before August 2026 stored w/2 + 1 in place of w on every save, which is odd for every w that is a multiple of 4
// (512, 257, 129, 65, ..., 3, then 2 for ever). What such a window was cannot be known, so it is refused.
//
// Reference: transformers models/t5gemma2/configuration_t5gemma2.py T5Gemma2EncoderConfig;
// models/gemma3/configuration_gemma3.py Gemma3TextConfig; models/gemma3/modeling_gemma3.py Gemma3TextModel
#pragma once
#include <string>

#include "config_json.hpp"

namespace t5gemma2 {

namespace config_detail {

/// The end-of-image token of an encoder alone, whatever its config.json says.
constexpr Index transformers_eoi = 256000;

/// The window w of EmbeddingGemma as a window of ours.
inline Index both_sides_window(const JsonField& window) {
  const Index w = window.integer(1, longest_context);
  if (w % 2 != 0 || w == 2)
    window.refuse(
        "an even number above 2",
        std::to_string(w) +
            ", which older versions of transformers left there in place of about twice as much when they "
            "saved the model; write the window that it was trained with (512 in the published one)");
  return w + 1;
}

inline Config read_embedding_gemma_config(const JsonField& root) {
  const JsonField bidirectional = root["use_bidirectional_attention"];
  if (!bidirectional.given() || !bidirectional.boolean())
    bidirectional.refuse("true, as EmbeddingGemma has it: a Gemma 3 without it is no encoder");
  Config config;
  config.encoder = read_text_config(root, config.notes);
  config.encoder.sliding_window = both_sides_window(root["sliding_window"]);
  return config;
}

}  // namespace config_detail

/// Throws Error naming the file and the field that is wrong.
inline Config read_encoder_config(const JsonField& root) {
  using namespace config_detail;
  const JsonField type = root["model_type"];
  if (type.is("t5gemma2")) return read_config(root);
  if (type.is("gemma3_text")) return read_embedding_gemma_config(root);
  if (!type.is("t5gemma2_encoder"))
    type.refuse(R"("t5gemma2", "t5gemma2_encoder" or "gemma3_text", a model with an encoder)");
  Config config;
  read_encoder_section(root, config);
  read_image_ids(root, root, config);
  if (config.eoi_token_index && config.eoi_token_index != transformers_eoi)
    config.notes.push_back(
        "eoi_token_index: read as it is written; transformers takes 256000 for an encoder alone");
  return config;
}

}  // namespace t5gemma2
