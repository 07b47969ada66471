// Names of tensors. The engine's name for a tensor begins with its module path in transformers, as the names
// of taps do. Files use the spelling of the version of transformers that wrote them, and wrappers of a model
// add names of their own at the front:
//
//   module path       model.encoder.text_model.layers.0...   model.encoder.vision_tower.encoder...
//   published         model.encoder.layers.0...              model.encoder.vision_tower.vision_model...
//   save_pretrained   model.encoder.layers.0...              model.encoder.vision_tower.encoder...
//   wrappers          module.* (DistributedDataParallel)     _orig_mod.* (torch.compile)
//                     base_model.model.* (PEFT)
//   encoder alone     layers.0... or text_model.layers.0...    vision_tower.encoder...
//   EmbeddingGemma    layers.0.input_layernorm...
//
// The spellings are those of transformers' conversion_mapping.py.
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2ForConditionalGeneration
#pragma once
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace t5gemma2 {

namespace name_detail {

inline constexpr std::string_view encoder_part = "encoder.", text_model = "text_model.",
                                  vision_tower = "encoder.vision_tower.",
                                  projector = "encoder.multi_modal_projector.";

/// `stored` without the names of wrappers, and without the `model.` that may stand among them.
inline std::string without_wrappers(std::string_view stored) {
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
  return name += stored;
}

/// Whether a name, without wrappers, is one of a folder that holds an encoder alone.
inline bool is_of_encoder_alone(std::string_view name) {
  using namespace std::literals;
  constexpr std::array parts{"layers."sv,     "embed_tokens."sv, "norm."sv,
                             "text_model."sv, "vision_tower."sv, "multi_modal_projector."sv};
  return std::ranges::any_of(parts, [&](std::string_view part) { return name.starts_with(part); });
}

/// Gemma 3's two names for norms of a layer become T5Gemma 2's: layers.0.input_layernorm...
inline void rename_norms(std::string& name) {
  using namespace std::literals;
  if (!name.starts_with("layers.")) return;
  for (const auto& [gemma3, ours] :
       {std::pair(".input_layernorm."sv, ".pre_self_attn_layernorm."sv),
        std::pair(".post_attention_layernorm."sv, ".post_self_attn_layernorm."sv)})
    if (const auto at = name.find(gemma3); at != name.npos) name.replace(at, gemma3.size(), ours);
}

}  // namespace name_detail

/// The name, by transformers' module path, of a tensor that a file stores under `stored`. A name that is not
/// of this model only loses its wrappers.
inline std::string canonical_name(std::string_view stored) {
  using namespace name_detail;
  std::string name = without_wrappers(stored);
  if (is_of_encoder_alone(name)) {
    rename_norms(name);
    name.insert(0, encoder_part);
  }
  const auto drop = [&](std::string_view head, std::string_view part) {
    if (name.starts_with(std::string(head) + std::string(part))) name.erase(head.size(), part.size());
  };
  drop(encoder_part, text_model);
  drop(vision_tower, "vision_model.");
  if (name.starts_with(encoder_part) && !name.starts_with(vision_tower) && !name.starts_with(projector))
    name.insert(encoder_part.size(), text_model);
  return (name.starts_with(encoder_part) || name.starts_with("decoder.") ? "model." : "") + name;
}

/// The name under which save_pretrained stores the tensor with this module path, for messages.
inline std::string saved_name(std::string canonical) {
  constexpr std::string_view encoder = "model.encoder.", text_model = "text_model.";
  if (canonical.starts_with("model.encoder.text_model.")) canonical.erase(encoder.size(), text_model.size());
  return canonical;
}

/// Whether a name, by module path, is that of a tensor of the vision encoder or the projector.
inline bool is_vision(std::string_view canonical) {
  return canonical.starts_with("model.encoder.vision_tower.") ||
         canonical.starts_with("model.encoder.multi_modal_projector.");
}

/// Whether a name, by module path, is that of a tensor of the decoder or its head.
inline bool is_decoder(std::string_view canonical) {
  return canonical.starts_with("model.decoder.") || canonical.starts_with("lm_head.");
}

}  // namespace t5gemma2
