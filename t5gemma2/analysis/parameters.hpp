// Parameters by part, and the paper's baseline (§2, Table 1: parameters saved by tying the embeddings and by
// merging self-attention and cross-attention):
//
//   baseline         = encoder + decoder + 2 * embedding + cross_attention
//   cross_attention  = decoder layers * (q, o: 2 * query heads*dh*d   +   k, v: 2 * kv heads*dh*d)
//
// Of the baseline, the tied embedding saves one embedding and merged attention saves cross_attention. With
// Gemma 2 2B's sizes on both sides: 10.5 % and 6.6 % (the paper: 10.5 % and 6.5 %).
#pragma once
#include <string>
#include <utility>

#include "../model.hpp"

namespace t5gemma2 {

/// Numbers of parameters, by part.
struct ParameterCount {
  Index embedding = 0;        // vocab*d and eoi_embedding, once
  Index encoder = 0;          // layers and last norm
  Index decoder = 0;          // layers and last norm
  Index untied = 0;           // the decoder's own embedding or head
  Index vision = 0;           // vision encoder and projector
  Index cross_attention = 0;  // of the baseline's decoder; T5Gemma 2 has none

  Index text() const { return embedding + encoder + decoder + untied; }
  Index all() const { return text() + vision; }
  Index baseline() const { return encoder + decoder + 2 * embedding + cross_attention; }
};

/// One side's layers and last norm. Throws std::invalid_argument where a size is not set.
inline Index count_layers(const TextConfig& c) {
  check(c.heads());
  for (const auto& [name, size] :
       {std::pair("hidden_size", c.hidden_size), std::pair("intermediate_size", c.intermediate_size),
        std::pair("num_hidden_layers", c.num_hidden_layers), std::pair("vocab_size", c.vocab_size)})
    check_argument(size > 0, name, "1 or more", size);
  const Index d = c.hidden_size, q = c.num_attention_heads * c.head_dim,
              kv = c.num_key_value_heads * c.head_dim;
  const Index attention = 2 * q * d + 2 * kv * d + 2 * c.head_dim, mlp = 3 * d * c.intermediate_size,
              norms = 4 * d;
  return c.num_hidden_layers * (attention + mlp + norms) + d;
}

/// SigLIP and the projector to text of width d. Throws std::invalid_argument where a size is not set.
inline Index count_vision(const VisionConfig& c, Index d) {
  for (const auto& [name, size] : {std::pair("vision_config.hidden_size", c.hidden_size),
                                   std::pair("vision_config.patch_size", c.patch_size)})
    check_argument(size > 0, name, "1 or more", size);
  const Index v = c.hidden_size, side = c.image_size / c.patch_size, norm = 2 * v;
  const Index patches = v * c.num_channels * c.patch_size * c.patch_size + v + side * side * v;
  const Index attention = 4 * (v * v + v), mlp = 2 * v * c.intermediate_size + c.intermediate_size + v;
  const Index projector = v + v * d;  // mm_soft_emb_norm, mm_input_projection_weight
  return patches + c.num_hidden_layers * (attention + mlp + 2 * norm) + norm + projector;
}

/// From the sizes alone: what a checkpoint with this config.json stores. Throws std::invalid_argument where a
/// size is not set.
inline ParameterCount count_parameters(const Config& config) {
  const TextConfig& d = config.decoder;
  const Index q = d.num_attention_heads * d.head_dim, kv = d.num_key_value_heads * d.head_dim;
  const Index table = d.vocab_size * d.hidden_size, embedding = table + d.hidden_size;
  return {.embedding = embedding,
          .encoder = count_layers(config.encoder),
          .decoder = count_layers(d),
          .untied = config.tie_word_embeddings ? 0 : embedding + table,  // the decoder's, and the head
          .vision = config.vision ? count_vision(*config.vision, d.hidden_size) : 0,
          .cross_attention = d.num_hidden_layers * (2 * q + 2 * kv) * d.hidden_size};
}

/// Of a loaded checkpoint, with its untied embeddings and vision half where it stores them. Throws
/// std::invalid_argument unless the model is loaded.
inline ParameterCount count_parameters(const Model& model) {
  check(model);
  ParameterCount count = count_parameters(model.config);
  count.untied = -count.embedding;  // one of the stored embeddings and heads is the tied one
  count.vision = 0;
  for (const auto& [name, tensor] : model.checkpoint->tensors()) {
    const std::string part = canonical_name(name);
    const auto size = static_cast<Index>(tensor.bytes * 8 / bits_of(tensor.dtype));
    if (part.starts_with("model.encoder.text_model.embed_tokens.") ||
        part.starts_with("model.decoder.embed_tokens.") || part.starts_with("lm_head."))
      count.untied += size;
    if (is_vision(part)) count.vision += size;
  }
  return count;
}

}  // namespace t5gemma2
