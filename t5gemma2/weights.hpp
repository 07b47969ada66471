// From the tensors of a checkpoint to the structs of the modules, by transformers' module path
// (checkpoint/tensor_names.hpp). Matrices are views of the mapped files; vectors (norms, eoi_embedding) are
// copied into float32.
//
// The embedding has three names and its eoi_embedding two; a checkpoint that ties them may store it under any
// one of them (transformers lists them in _tied_weights_keys).
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2Model,
// T5Gemma2ForConditionalGeneration
#pragma once
#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

#include "checkpoint/weight_reader.hpp"
#include "config.hpp"
#include "decoder.hpp"
#include "encoder.hpp"

namespace t5gemma2 {

/// Reads the tensors of one module. Shapes come from a section of config.json.
struct ModuleReader {
  WeightReader& read;
  std::string path;     // of the module, with a dot at its end
  std::string section;  // "decoder"

  Weight matrix(const char* name, Index rows, Index cols, const char* sizes) const {
    return read.matrix(path + name + ".weight", rows, cols, section + ": " + sizes);
  }
  Vector vector(const char* name, Index size, const char* sizes) const {
    return read.vector(path + name + ".weight", size, section + ": " + sizes);
  }
};

/// self_attn of a layer.
inline Attention read_attention(const ModuleReader& layer, const TextConfig& c, LayerType type) {
  const Index q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim,
              d = c.hidden_size;
  const char *q_in = "num_attention_heads*head_dim, hidden_size",
             *kv_in = "num_key_value_heads*head_dim, hidden_size",
             *out_q = "hidden_size, num_attention_heads*head_dim";
  return {.q_proj = layer.matrix("self_attn.q_proj", q, d, q_in),
          .k_proj = layer.matrix("self_attn.k_proj", kv, d, kv_in),
          .v_proj = layer.matrix("self_attn.v_proj", kv, d, kv_in),
          .o_proj = layer.matrix("self_attn.o_proj", d, q, out_q),
          .q_norm = layer.vector("self_attn.q_norm", c.head_dim, "head_dim"),
          .k_norm = layer.vector("self_attn.k_norm", c.head_dim, "head_dim"),
          .heads = c.heads(),
          .eps = c.rms_norm_eps,
          .scale = 1.0f / std::sqrt(c.query_pre_attn_scalar),
          .window = window_of(c, type)};
}

/// mlp of a layer.
inline FeedForward read_feed_forward(const ModuleReader& layer, const TextConfig& c) {
  const Index d = c.hidden_size, inside = c.intermediate_size;
  return {.gate_proj = layer.matrix("mlp.gate_proj", inside, d, "intermediate_size, hidden_size"),
          .up_proj = layer.matrix("mlp.up_proj", inside, d, "intermediate_size, hidden_size"),
          .down_proj = layer.matrix("mlp.down_proj", d, inside, "hidden_size, intermediate_size")};
}

/// All layers of the side whose module is `side`. Throws std::invalid_argument unless each layer has a type.
inline std::vector<Layer> read_layers(const ModuleReader& side, const TextConfig& c) {
  check_argument(std::ssize(c.layer_types) == c.num_hidden_layers, "layer_types",
                 "one for each of num_hidden_layers", c.layer_types.size());
  std::vector<Layer> layers;
  for (const LayerType type : c.layer_types) {
    const ModuleReader layer{side.read, side.path + "layers." + std::to_string(layers.size()) + ".",
                             side.section};
    const auto norm = [&](const char* name) { return layer.vector(name, c.hidden_size, "hidden_size"); };
    layers.push_back({.type = type,
                      .self_attn = read_attention(layer, c, type),
                      .mlp = read_feed_forward(layer, c),
                      .pre_self_attn_layernorm = norm("pre_self_attn_layernorm"),
                      .post_self_attn_layernorm = norm("post_self_attn_layernorm"),
                      .pre_feedforward_layernorm = norm("pre_feedforward_layernorm"),
                      .post_feedforward_layernorm = norm("post_feedforward_layernorm"),
                      .eps = c.rms_norm_eps});
  }
  return layers;
}

/// For messages about a tensor of the embedding: the fields of config.json that ask for it.
inline std::string embedding_sizes(const Config& config, const std::string& sizes) {
  return sizes + (config.tie_word_embeddings ? "" : "; tie_word_embeddings is false");
}

/// Throws Error when the embedding has been resized without a change of vocab_size in config.json.
inline void check_vocabulary_size(const StoredTensor& embedding, const TextConfig& c) {
  if (embedding.shape.size() != 2 || embedding.shape[1] != c.hidden_size ||
      embedding.shape[0] == c.vocab_size)
    return;
  const std::string rows = std::to_string(embedding.shape[0]);
  fail(embedding.file, readable(embedding.name),
       std::to_string(c.vocab_size) + " rows (encoder.text_config: vocab_size)",
       rows + "; if they are right, set vocab_size to " + rows +
           " in encoder.text_config and decoder of config.json");
}

/// The encoder's embedding. Where embeddings and head are tied it may be stored under another name only: the
/// first of three, in transformers' order, that is stored. A model without an end-of-image token may lack its vector.
inline Embedding read_embedding(WeightReader& read, const Config& config) {
  const TextConfig& c = config.encoder;
  const auto stored = [&](std::initializer_list<const char*> names) -> std::string {
    const auto first = std::ranges::find_if(names, [&](const char* name) { return read.has(name); });
    return config.tie_word_embeddings && first != names.end() ? *first : *names.begin();
  };
  const std::string weight = stored({"model.encoder.text_model.embed_tokens.weight",
                                     "lm_head.out_proj.weight", "model.decoder.embed_tokens.weight"});
  const std::string eoi = stored(
      {"model.encoder.text_model.embed_tokens.eoi_embedding", "model.decoder.embed_tokens.eoi_embedding"});
  const std::string at = "encoder.text_config: ",
                    sizes = embedding_sizes(config, at + "vocab_size, hidden_size");
  check_vocabulary_size(read.tensor(weight, {c.vocab_size, c.hidden_size}, sizes), c);
  const bool has_eoi = config.eoi_token_index || read.has(eoi);
  return {.weight = read.matrix(weight, c.vocab_size, c.hidden_size, sizes),
          .eoi_embedding = has_eoi
                               ? read.vector(eoi, c.hidden_size, embedding_sizes(config, at + "hidden_size"))
                               : Vector::Zero(c.hidden_size),
          .eoi_token_index = config.eoi_token_index};
}

/// The encoder. Throws Error when a tensor is missing or of another shape or dtype; so do the others.
inline Encoder read_encoder(WeightReader& read, const Config& config) {
  const TextConfig& c = config.encoder;
  const ModuleReader encoder{read, "model.encoder.text_model.", "encoder.text_config"};
  return {.config = c,
          .embed_tokens = read_embedding(read, config),
          .layers = read_layers(encoder, c),
          .norm = encoder.vector("norm", c.hidden_size, "hidden_size")};
}

/// The decoder. Its embedding and its head are the encoder's embedding (`tied`) unless the checkpoint stores
/// others, which it must where config.json unties them.
inline Decoder read_decoder(WeightReader& read, const Config& config, const Embedding& tied) {
  const TextConfig& c = config.decoder;
  const ModuleReader decoder{read, "model.decoder.", "decoder"};
  Decoder w{.config = c, .embed_tokens = tied, .layers = {}, .norm = {}, .lm_head = tied.weight};
  const auto own = [&](const std::string& name) { return !config.tie_word_embeddings || read.has(name); };
  const auto read_own = [&](const std::string& name, Weight& weight) {
    if (own(name))
      weight = read.matrix(name, c.vocab_size, c.hidden_size,
                           embedding_sizes(config, "decoder: vocab_size, hidden_size"));
  };
  read_own("model.decoder.embed_tokens.weight", w.embed_tokens.weight);
  read_own("lm_head.out_proj.weight", w.lm_head);
  if (const std::string name = "model.decoder.embed_tokens.eoi_embedding"; own(name))
    w.embed_tokens.eoi_embedding =
        read.vector(name, c.hidden_size, embedding_sizes(config, "decoder: hidden_size"));
  w.layers = read_layers(decoder, c);
  w.norm = decoder.vector("norm", c.hidden_size, "hidden_size");
  return w;
}

}  // namespace t5gemma2
