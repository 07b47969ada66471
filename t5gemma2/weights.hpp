// From the checkpoint's names to the structs of the modules. Weights stay where they lie in the mapped files;
// only the small vectors (norms, eoi_embedding) are read into float32.
//
// Spellings differ between versions of the library, and wrappers of a model leave their own names in front.
// One name stands here for each tensor, the hub's without `model.`:
//
//   hub                model.encoder.layers.0...               model.encoder.vision_tower.vision_model....
//   others             model.encoder.text_model.layers.0...    model.encoder.vision_tower....
//   DistributedDataParallel, torch.compile, PEFT               module.*  _orig_mod.*  base_model.model.*
//
// The embedding has three names and its eoi_embedding two; any of them may be the one that is stored.
//
// Reference: transformers T5Gemma2ForConditionalGeneration's state dict.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/safetensors.hpp"
#include "config.hpp"
#include "decoder.hpp"
#include "encoder.hpp"

namespace t5gemma2 {

/// The one name for all spellings of a tensor's name.
inline std::string canonical_name(std::string_view stored) {
  using namespace std::literals;
  constexpr std::array wrappers{"model."sv, "module."sv, "_orig_mod."sv, "base_model."sv};
  const auto outermost = [&] {
    return std::ranges::find_if(wrappers,
                                [&](std::string_view wrapper) { return stored.starts_with(wrapper); });
  };
  for (auto at = outermost(); at != wrappers.end(); at = outermost()) stored.remove_prefix(at->size());
  constexpr std::string_view compiled = "._orig_mod.";  // torch.compile of single layers
  std::string name;
  for (auto at = stored.find(compiled); at != stored.npos; at = stored.find(compiled)) {
    name += stored.substr(0, at);
    stored.remove_prefix(at + compiled.size() - 1);  // its last dot may begin another
  }
  name += stored;
  const auto drop = [&](std::string_view head, std::string_view part) {
    if (name.starts_with(std::string(head) + std::string(part))) name.erase(head.size(), part.size());
  };
  drop("encoder.", "text_model.");
  drop("encoder.vision_tower.", "vision_model.");
  return name;
}

/// A checkpoint's tensors under their canonical names. The checkpoint must live longer.
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

  /// W [rows, cols] where it lies; `sizes` names the fields of config.json that say so.
  Weight matrix(const std::string& name, Index rows, Index cols, const std::string& sizes) {
    return as_weight(tensor(name, {rows, cols}, sizes), rows, cols, sizes);
  }
  Vector vector(const std::string& name, Index size, const std::string& sizes) {
    return to_vector(tensor(name, {size}, sizes), size, sizes);
  }

  /// Stored names that nobody asked for and that are no part of the vision half, sorted.
  std::vector<std::string> unknown() const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_)
      if (!used_.contains(name) && !name.starts_with("encoder.vision_tower.") &&
          !name.starts_with("encoder.multi_modal_projector."))
        names.push_back(tensor->name);
    return names;
  }

  /// The tensor as it is stored; `shape` is for the message when it is missing.
  const StoredTensor& tensor(const std::string& name, const std::vector<Index>& shape,
                             const std::string& sizes) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      std::string extents;
      for (const Index extent : shape) extents += (extents.empty() ? "" : ", ") + std::to_string(extent);
      fail(folder_, (name.starts_with("lm_head.") ? "" : "model.") + name,
           "a tensor [" + extents + "] (" + sizes + ")", "none");
    }
    used_.insert(name);
    return *found->second;
  }

 private:
  std::string folder_;
  std::map<std::string, const StoredTensor*, std::less<>> tensors_;
  std::set<std::string, std::less<>> used_;
};

/// `place` is "encoder." or "decoder.", `section` the part of config.json that gives the sizes.
inline Layer read_layer(WeightReader& read, const TextConfig& c, Index number, const std::string& place,
                        const std::string& section) {
  const std::string at = place + "layers." + std::to_string(number) + ".";
  const Index q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
  const auto matrix = [&](const char* name, Index rows, Index cols, const char* sizes) {
    return read.matrix(at + name + ".weight", rows, cols, section + ": " + sizes);
  };
  const auto vector = [&](const char* name, Index size, const char* sizes) {
    return read.vector(at + name + ".weight", size, section + ": " + sizes);
  };
  Layer layer;
  layer.type = c.layer_types[static_cast<std::size_t>(number)];
  layer.eps = c.rms_norm_eps;
  layer.self_attn = {
      .q_proj = matrix("self_attn.q_proj", q, c.hidden_size, "num_attention_heads*head_dim, hidden_size"),
      .k_proj = matrix("self_attn.k_proj", kv, c.hidden_size, "num_key_value_heads*head_dim, hidden_size"),
      .v_proj = matrix("self_attn.v_proj", kv, c.hidden_size, "num_key_value_heads*head_dim, hidden_size"),
      .o_proj = matrix("self_attn.o_proj", c.hidden_size, q, "hidden_size, num_attention_heads*head_dim"),
      .q_norm = vector("self_attn.q_norm", c.head_dim, "head_dim"),
      .k_norm = vector("self_attn.k_norm", c.head_dim, "head_dim"),
      .heads = {c.num_attention_heads, c.num_key_value_heads, c.head_dim},
      .eps = c.rms_norm_eps,
      .scale = 1.0f / std::sqrt(c.query_pre_attn_scalar),
      .window = window_of(c, layer.type)};
  layer.mlp = {
      .gate_proj =
          matrix("mlp.gate_proj", c.intermediate_size, c.hidden_size, "intermediate_size, hidden_size"),
      .up_proj = matrix("mlp.up_proj", c.intermediate_size, c.hidden_size, "intermediate_size, hidden_size"),
      .down_proj =
          matrix("mlp.down_proj", c.hidden_size, c.intermediate_size, "hidden_size, intermediate_size")};
  layer.pre_self_attn_layernorm = vector("pre_self_attn_layernorm", c.hidden_size, "hidden_size");
  layer.post_self_attn_layernorm = vector("post_self_attn_layernorm", c.hidden_size, "hidden_size");
  layer.pre_feedforward_layernorm = vector("pre_feedforward_layernorm", c.hidden_size, "hidden_size");
  layer.post_feedforward_layernorm = vector("post_feedforward_layernorm", c.hidden_size, "hidden_size");
  return layer;
}

/// For messages about a tensor of the embedding: what in config.json asks for it.
inline std::string embedding_sizes(const Config& config, const std::string& sizes) {
  return sizes + (config.tie_word_embeddings ? "" : "; tie_word_embeddings is false");
}

/// Throws Error when an embedding has been resized and config.json has not heard of it.
inline void refuse_other_vocabulary(const StoredTensor& embedding, const TextConfig& c) {
  if (embedding.shape.size() != 2 || embedding.shape[1] != c.hidden_size ||
      embedding.shape[0] == c.vocab_size)
    return;
  const std::string rows = std::to_string(embedding.shape[0]);
  fail(embedding.file, readable(embedding.name),
       std::to_string(c.vocab_size) + " rows (encoder.text_config: vocab_size)",
       rows + "; if they are right, set vocab_size to " + rows +
           " in encoder.text_config and decoder of config.json");
}

/// The encoder's embedding. Where all are tied it may be stored under another's name alone: the first of the
/// names, in transformers' order.
inline Embedding read_embedding(WeightReader& read, const Config& config) {
  const TextConfig& c = config.encoder;
  const auto stored = [&](std::initializer_list<const char*> names) -> std::string {
    const auto first = std::ranges::find_if(names, [&](const char* name) { return read.has(name); });
    return config.tie_word_embeddings && first != names.end() ? *first : *names.begin();
  };
  const std::string weight =
      stored({"encoder.embed_tokens.weight", "lm_head.out_proj.weight", "decoder.embed_tokens.weight"});
  const std::string eoi =
      stored({"encoder.embed_tokens.eoi_embedding", "decoder.embed_tokens.eoi_embedding"});
  const std::string at = "encoder.text_config: ",
                    sizes = embedding_sizes(config, at + "vocab_size, hidden_size");
  refuse_other_vocabulary(read.tensor(weight, {c.vocab_size, c.hidden_size}, sizes), c);
  return {.weight = read.matrix(weight, c.vocab_size, c.hidden_size, sizes),
          .eoi_embedding = read.vector(eoi, c.hidden_size, embedding_sizes(config, at + "hidden_size")),
          .eoi_token_index = config.eoi_token_index};
}

inline Encoder read_encoder(WeightReader& read, const Config& config) {
  const TextConfig& c = config.encoder;
  const std::string section = "encoder.text_config";
  Encoder w{.config = c, .embed_tokens = read_embedding(read, config), .layers = {}, .norm = {}};
  for (Index i = 0; i < c.num_hidden_layers; ++i)
    w.layers.push_back(read_layer(read, c, i, "encoder.", section));
  w.norm = read.vector("encoder.norm.weight", c.hidden_size, section + ": hidden_size");
  return w;
}

/// The decoder's embedding and its head are the encoder's embedding unless the checkpoint stores them, which
/// it must where config.json unties them.
inline Decoder read_decoder(WeightReader& read, const Config& config, const Embedding& tied) {
  const TextConfig& c = config.decoder;
  Decoder w{.config = c, .embed_tokens = tied, .layers = {}, .norm = {}, .lm_head = tied.weight};
  const auto own = [&](const std::string& name) { return !config.tie_word_embeddings || read.has(name); };
  const auto read_own = [&](const std::string& name, Weight& weight) {
    if (own(name))
      weight = read.matrix(name, c.vocab_size, c.hidden_size,
                           embedding_sizes(config, "decoder: vocab_size, hidden_size"));
  };
  read_own("decoder.embed_tokens.weight", w.embed_tokens.weight);
  read_own("lm_head.out_proj.weight", w.lm_head);
  if (const std::string name = "decoder.embed_tokens.eoi_embedding"; own(name))
    w.embed_tokens.eoi_embedding =
        read.vector(name, c.hidden_size, embedding_sizes(config, "decoder: hidden_size"));
  for (Index i = 0; i < c.num_hidden_layers; ++i)
    w.layers.push_back(read_layer(read, c, i, "decoder.", "decoder"));
  w.norm = read.vector("decoder.norm.weight", c.hidden_size, "decoder: hidden_size");
  return w;
}

}  // namespace t5gemma2
