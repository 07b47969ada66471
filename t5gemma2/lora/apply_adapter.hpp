// An adapter on a model: each of its tensors finds what it changes by the name that the checkpoint has for it. Base weights stay
// in their mapped file.
//
//   changes        are added to a matrix, several of several adapters
//   base_layers    replace a tensor, and what is tied to it in the base
//   whole          replace one module's tensor: a head that is tied in the base gets one of its own, the embedding none;
//                  no other adapter may change or replace it, as in PEFT
//
// Reference: peft tuners/lora/model.py LoraModel, utils/save_and_load.py set_peft_model_state_dict
#pragma once
#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "../error.hpp"
#include "../io/readable.hpp"
#include "../model.hpp"
#include "../vision/vision_weights.hpp"
#include "adapter.hpp"

namespace t5gemma2 {

namespace lora_detail {

/// Parameters by the names of a checkpoint.
using Parameters = std::map<std::string, std::variant<Weight*, Vector*>>;

inline void add_parameters(Layer& layer, const std::string& path, Parameters& to) {
  Attention& a = layer.self_attn;
  FeedForward& f = layer.mlp;
  for (const auto& [name, W] :
       {std::pair("self_attn.q_proj", &a.q_proj), std::pair("self_attn.k_proj", &a.k_proj),
        std::pair("self_attn.v_proj", &a.v_proj), std::pair("self_attn.o_proj", &a.o_proj),
        std::pair("mlp.gate_proj", &f.gate_proj), std::pair("mlp.up_proj", &f.up_proj),
        std::pair("mlp.down_proj", &f.down_proj)})
    to[path + name + ".weight"] = W;
  for (const auto& [name, norm] :
       {std::pair("self_attn.q_norm", &a.q_norm), std::pair("self_attn.k_norm", &a.k_norm),
        std::pair("pre_self_attn_layernorm", &layer.pre_self_attn_layernorm),
        std::pair("post_self_attn_layernorm", &layer.post_self_attn_layernorm),
        std::pair("pre_feedforward_layernorm", &layer.pre_feedforward_layernorm),
        std::pair("post_feedforward_layernorm", &layer.post_feedforward_layernorm)})
    to[path + name + ".weight"] = norm;
}

/// Those of an encoder or a decoder.
template <class Side>
void add_side(Side& side, const std::string& path, Parameters& to) {
  to[path + "embed_tokens.weight"] = &side.embed_tokens.weight;
  to[path + "embed_tokens.eoi_embedding"] = &side.embed_tokens.eoi_embedding;
  to[path + "norm.weight"] = &side.norm;
  for (std::size_t i = 0; i < side.layers.size(); ++i)
    add_parameters(side.layers[i], path + "layers." + std::to_string(i) + ".", to);
}

inline Parameters parameters_of(Model& model) {
  Parameters all;
  add_side(model.encoder, "model.encoder.text_model.", all);
  if (model.decoder.layers.empty()) return all;
  add_side(model.decoder, "model.decoder.", all);
  all["lm_head.out_proj.weight"] = &model.decoder.lm_head;
  return all;
}

inline void add_parameters(BiasedLinear& linear, const std::string& path, Parameters& to) {
  to[path + ".weight"] = &linear.weight;
  to[path + ".bias"] = &linear.bias;
}

inline void add_parameters(LayerNorm& norm, const std::string& path, Parameters& to) {
  to[path + ".weight"] = &norm.weight;
  to[path + ".bias"] = &norm.bias;
}

inline Parameters parameters_of(Vision& vision) {
  Parameters all;
  Siglip& siglip = vision.vision_tower;
  const std::string tower = "model.encoder.vision_tower.";
  add_parameters(siglip.patch_embedding, tower + "embeddings.patch_embedding", all);
  all[tower + "embeddings.position_embedding.weight"] = &siglip.position_embedding;
  add_parameters(siglip.post_layernorm, tower + "post_layernorm", all);
  for (std::size_t i = 0; i < siglip.layers.size(); ++i) {
    SiglipLayer& layer = siglip.layers[i];
    const std::string path = tower + "encoder.layers." + std::to_string(i) + ".";
    add_parameters(layer.layer_norm1, path + "layer_norm1", all);
    add_parameters(layer.layer_norm2, path + "layer_norm2", all);
    for (const auto& [name, linear] :
         {std::pair("self_attn.q_proj", &layer.q_proj), std::pair("self_attn.k_proj", &layer.k_proj),
          std::pair("self_attn.v_proj", &layer.v_proj), std::pair("self_attn.out_proj", &layer.out_proj),
          std::pair("mlp.fc1", &layer.fc1), std::pair("mlp.fc2", &layer.fc2)})
      add_parameters(*linear, path + name, all);
  }
  const std::string projector = "model.encoder.multi_modal_projector.";
  all[projector + "mm_soft_emb_norm.weight"] = &vision.multi_modal_projector.mm_soft_emb_norm;
  all[projector + "mm_input_projection_weight"] = &vision.multi_modal_projector.mm_input_projection_weight;
  return all;
}

/// Whether rows of this matrix belong to the ids of the vocabulary, which an adapter may resize.
inline bool has_vocabulary_rows(const std::string& name) {
  return name.ends_with("embed_tokens.weight") || name == "lm_head.out_proj.weight";
}

/// A tensor in place of a parameter; changes of earlier adapters stay.
inline void replace(const std::string& name, const StoredTensor& tensor, const Adapter& adapter,
                    Parameters& to) {
  const std::string base = "the base's";
  if (Vector* const* vector = std::get_if<Vector*>(&to.at(name))) {
    **vector = to_vector(tensor, (*vector)->size(), base);
    return;
  }
  Weight& W = *std::get<Weight*>(to.at(name));
  const bool resized = has_vocabulary_rows(name) && tensor.shape.size() == 2 && tensor.shape[0] > 0;
  StoredTensor matrix = tensor;
  if (const auto& s = tensor.shape; s.size() == 4) matrix.shape = {s[0], s[1] * s[2] * s[3]};  // patches
  Weight whole = as_weight(matrix, resized ? tensor.shape[0] : W.rows, W.cols, base);
  whole.owner = adapter.file;
  whole.changes = W.changes;
  W = whole;
}

/// The names of parameters that are the same memory as this one.
inline std::vector<std::string> tied_to(const std::string& name, const Parameters& parameters) {
  Weight* const* W = std::get_if<Weight*>(&parameters.at(name));
  std::vector<std::string> names{name};
  for (const auto& [other, parameter] : parameters)
    if (Weight* const* V = std::get_if<Weight*>(&parameter);
        W && V && other != name && (*V)->data == (*W)->data)
      names.push_back(other);
  return names;
}

/// Adds a change to the parameter of this name. Throws Error where that is not a matrix of its shape.
inline void add_change(const std::string& name, const std::shared_ptr<const LowRank>& change,
                       const Adapter& adapter, Parameters& to) {
  Weight* const* W = std::get_if<Weight*>(&to.at(name));
  if (W == nullptr)
    fail(adapter.weights(), saved_name(name), "whole weights of what is no matrix", "a change");
  const auto text = [](Index rows, Index cols) {
    return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
  };
  const std::string expected = text((*W)->rows, (*W)->cols), found = text(change->B.rows(), change->A.cols());
  if (found != expected)
    fail(adapter.weights(), saved_name(name),
         "a change of " + expected + ", which the model has there: is it another base model's?", found);
  (*W)->changes.push_back(change);
}

/// Throws Error where two adapters meet at a tensor that one of them holds whole.
inline void refuse_meeting(const Adapter& adapter, const Adapter& earlier) {
  const auto check = [&](const auto& names, const auto& of_other) {
    for (const auto& [name, tensor] : names)
      if (of_other.contains(name))
        fail(adapter.weights(), saved_name(name), "no other adapter there, as one of them holds it whole",
             readable(earlier.folder.string()));
  };
  check(adapter.whole, earlier.whole);
  check(adapter.whole, earlier.changes);
  check(adapter.changes, earlier.whole);
}

/// Applies what names one of the parameters; returns the names that none of them has.
inline std::vector<std::string> apply(const Adapter& adapter, Parameters parameters) {
  std::vector<std::string> unmatched;
  const auto matches = [&](const std::string& name) {
    if (!parameters.contains(name)) unmatched.push_back(name);
    return parameters.contains(name);
  };
  for (const auto& [name, tensor] : adapter.base_layers)
    if (matches(name))
      for (const std::string& tied : tied_to(name, parameters)) replace(tied, tensor, adapter, parameters);
  for (const auto& [name, tensor] : adapter.whole)
    if (matches(name)) replace(name, tensor, adapter, parameters);
  for (const auto& [name, change] : adapter.changes)
    if (matches(name)) add_change(name, change, adapter, parameters);
  return unmatched;
}

/// Applies what an adapter says of SigLIP and the projector.
inline void apply_to(Vision& vision, const Adapter& adapter) {
  for (const std::string& name : apply(adapter, parameters_of(vision)))
    if (is_vision(name))
      fail(adapter.weights(), saved_name(name), "a module of the model's vision half",
           "none of that name: is it another base model's?");
}

/// Whether an adapter says anything of them.
inline bool has_vision(const Adapter& adapter) {
  const auto any = [](const auto& names) {
    return std::ranges::any_of(names, [](const auto& one) { return is_vision(one.first); });
  };
  return any(adapter.changes) || any(adapter.whole) || any(adapter.base_layers);
}

/// The sizes of the vocabulary in config, which an adapter may have changed for all matrices that have it.
inline void follow_vocabulary(const Adapter& adapter, Model& model) {
  const Index rows = model.encoder.embed_tokens.weight.rows;
  if (!model.decoder.layers.empty())
    for (const auto& [name, W] : {std::pair("decoder.embed_tokens", &model.decoder.embed_tokens.weight),
                                  std::pair("lm_head.out_proj", &model.decoder.lm_head)})
      if (W->rows != rows)
        fail(adapter.weights(), name,
             std::to_string(rows) +
                 " rows, as the encoder's embedding has them: train with modules_to_save "
                 "[\"embed_tokens\", \"lm_head\"] where the vocabulary is resized",
             std::to_string(W->rows));
  model.config.encoder.vocab_size = model.encoder.config.vocab_size = rows;
  if (model.decoder.layers.empty()) return;
  model.config.decoder.vocab_size = model.decoder.config.vocab_size = rows;
}

}  // namespace lora_detail

/// Changes the model as the adapter says, and its vision half when load_vision(model) loads that. Comes before set_precision.
/// Throws Error naming the tensor where the adapter is of another model, which then stays as it was.
inline void apply_adapter(Model& model, std::shared_ptr<const Adapter> adapter) {
  check(model);
  const Weight& any = model.encoder.layers.at(0).self_attn.q_proj;
  check_argument(!any.rounds_x && any.type != StorageType::int8_blocks, "apply_adapter model",
                 "one that set_precision has not rounded", "a rounded one");
  for (const auto& earlier : model.adapters) lora_detail::refuse_meeting(*adapter, *earlier);
  Model changed = model;
  const bool encoder_alone = model.decoder.layers.empty();
  for (const std::string& name : lora_detail::apply(*adapter, lora_detail::parameters_of(changed)))
    if (!is_vision(name) && !(encoder_alone && is_decoder(name)))
      fail(adapter->weights(), saved_name(name), "a module of the model",
           "none of that name: is it another base model's?");
  lora_detail::follow_vocabulary(*adapter, changed);
  if (lora_detail::has_vision(*adapter) && has_vision(model.config, *model.checkpoint)) {
    Vision vision = load_vision(model.config, *model.checkpoint);
    lora_detail::apply_to(vision, *adapter);
  }
  changed.adapters.push_back(std::move(adapter));
  model = std::move(changed);
}

/// The vision half of a model, with its adapters. Throws Error as load_vision(config, checkpoint) does.
inline Vision load_vision(const Model& model) {
  Vision vision = load_vision(model.config, *model.checkpoint);
  for (const auto& adapter : model.adapters) lora_detail::apply_to(vision, *adapter);
  return vision;
}

/// The folder whose tokenizer counts: that of the model's last adapter with one, or else the model's own, `folder`.
inline std::filesystem::path tokenizer_folder(std::filesystem::path folder, const Model& model) {
  for (const auto& adapter : model.adapters)
    if (is_there(adapter->folder / "tokenizer.json") || is_there(adapter->folder / "tokenizer.model"))
      folder = adapter->folder;
  return folder;
}

}  // namespace t5gemma2
