// config.json -> Config: every spelling in which transformers reads it, and nothing else.
//
//   rope_parameters.{full,sliding}_attention.{rope_type, rope_theta, factor}      as published
//   rope_theta, rope_local_base_freq, rope_scaling, sliding_window_pattern        older, on either side
//
// A size that is not there is an error, never a guess. The upper limits lie far above every published model;
// they keep arithmetic on sizes from overflowing. Reference: transformers T5Gemma2Config,
// convert_rope_params_to_dict, RotaryEmbeddingConfigMixin.
#pragma once
#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../config.hpp"
#include "../io/json_fields.hpp"
#include "../io/mapped_file.hpp"
#include "folder_contents.hpp"

namespace t5gemma2 {

namespace config_detail {

using Notes = std::vector<std::string>;

constexpr Index most_layers = 1024, most_heads = 4096, most_features = 1 << 20, most_ids = 1 << 22;
constexpr Index longest_context = Index{1} << 31;

inline void require_gelu_tanh(const JsonField& activation) {
  const std::string only = "gelu_pytorch_tanh";
  if (activation.given() && activation.text() != only) activation.refuse('"' + only + '"');
}

inline LayerType read_layer_type(const JsonField& field) {
  if (field.text() == "sliding_attention") return LayerType::sliding_attention;
  if (field.text() == "full_attention") return LayerType::full_attention;
  field.refuse("\"sliding_attention\" or \"full_attention\"");
}

/// layer_types, or what sliding_window_pattern p stands for: every p-th layer is global.
inline std::vector<LayerType> read_layer_types(const JsonField& side, Index layers) {
  const JsonField listed = side["layer_types"], pattern = side["sliding_window_pattern"];
  std::vector<LayerType> types;
  if (!listed.given() && pattern.given()) {
    const Index period = pattern.integer(1, most_layers);
    for (Index i = 1; i <= layers; ++i) {
      types.push_back(i % period == 0 ? LayerType::full_attention : LayerType::sliding_attention);
    }
    return types;
  }
  const std::string expected =
      "a list of " + std::to_string(layers) + ", one for each layer (num_hidden_layers)";
  if (!listed.is_array()) listed.refuse(expected);
  for (const JsonField& type : listed.items()) types.push_back(read_layer_type(type));
  if (types.size() != static_cast<std::size_t>(layers)) listed.refuse(expected);
  return types;
}

/// RoPE of one layer type. Each key is looked up in `scaling` (the old rope_scaling), then in `parameters`
/// (rope_parameters.full_attention, ...); `old_theta` is the side's own key for the base.
inline RopeConfig read_rope(const JsonField& parameters, const JsonField& scaling, const JsonField& old_theta,
                            Notes& notes) {
  const auto find = [&](std::string_view key) {
    return scaling[key].given() ? scaling[key] : parameters[key];
  };
  const JsonField rope_type = find("rope_type"), old_type = find("type"), factor = find("factor");
  const JsonField& type = rope_type.given() ? rope_type : old_type;
  const std::string kind = type.given() ? type.text() : "default";
  if (kind != "default" && kind != "linear") type.refuse("\"default\" or \"linear\"");

  const JsonField theta = find("rope_theta"), partial = find("partial_rotary_factor");
  RopeConfig rope{.factor = 1};
  rope.theta = (old_theta.given() && !theta.given() ? old_theta : theta).number(1, 1e12);
  if (partial.given() && partial.number(0, 1) != 1) partial.refuse("1: RoPE turns whole heads");
  if (kind == "linear") {
    rope.factor = factor.number(0.01, 1e6);
    // transformers 5.23 fills in rope_type "default" first when there are no rope_parameters, and `type` is
    // lost.
    if (!rope_type.given() && !parameters.given())
      notes.push_back(scaling.path() +
                      ": read as rope_type \"linear\", as `type` says; transformers 5.23 ignores it");
  } else if (factor.given()) {
    notes.push_back((scaling.given() ? scaling : parameters).path() +
                    ": read as rope_type \"default\", as transformers does: factor has no effect");
  }
  return rope;
}

inline void read_both_ropes(const JsonField& side, TextConfig& text, Notes& notes) {
  const JsonField parameters = side["rope_parameters"];
  const JsonField full = parameters["full_attention"], sliding = parameters["sliding_attention"];
  if (parameters.given() && !parameters.keys().empty() && !full.given() && !sliding.given()) {
    notes.push_back(parameters.path() + ": ignored, as transformers does: it names no layer type");
  }
  text.full_attention = read_rope(full, side["rope_scaling"], side["rope_theta"], notes);
  text.sliding_attention = read_rope(sliding, JsonField::missing(), side["rope_local_base_freq"], notes);
}

inline void read_attention(const JsonField& side, TextConfig& text) {
  text.num_attention_heads = side["num_attention_heads"].integer(1, most_heads);
  text.num_key_value_heads = side["num_key_value_heads"].integer(1, most_heads);
  if (text.num_attention_heads % text.num_key_value_heads != 0) {
    side["num_key_value_heads"].refuse("a divisor of num_attention_heads " +
                                       std::to_string(text.num_attention_heads));
  }
  text.head_dim = side["head_dim"].integer(2, most_features);
  if (text.head_dim % 2 != 0) side["head_dim"].refuse("an even number: RoPE turns pairs");
  text.query_pre_attn_scalar = static_cast<float>(side["query_pre_attn_scalar"].number(1e-3, 1e9));
  text.sliding_window = side["sliding_window"].integer(1, longest_context);
  if (side["attention_bias"].given() && side["attention_bias"].boolean()) {
    side["attention_bias"].refuse("false: T5Gemma 2 has no biases");
  }
}

/// encoder.text_config or decoder.
inline TextConfig read_text_config(const JsonField& side, Notes& notes) {
  if (!side.given()) side.refuse("an object");
  TextConfig text;
  text.vocab_size = side["vocab_size"].integer(1, most_ids);
  text.hidden_size = side["hidden_size"].integer(1, most_features);
  text.num_hidden_layers = side["num_hidden_layers"].integer(1, most_layers);
  text.intermediate_size = side["intermediate_size"].integer(1, most_features);
  text.max_position_embeddings = side["max_position_embeddings"].integer(1, longest_context);
  text.rms_norm_eps = static_cast<float>(side["rms_norm_eps"].number(0, 1));
  require_gelu_tanh(side["hidden_activation"]);
  read_attention(side, text);
  text.layer_types = read_layer_types(side, text.num_hidden_layers);
  read_both_ropes(side, text, notes);

  const JsonField softcap = side["final_logit_softcapping"],
                  attention_softcap = side["attn_logit_softcapping"];
  if (softcap.given()) text.final_logit_softcapping = static_cast<float>(softcap.number(1e-6, 1e9));
  if (attention_softcap.given()) {
    notes.push_back(attention_softcap.path() + ": ignored, as transformers does: it is never applied");
  }
  return text;
}

/// encoder.vision_config. The published files leave out what is the same in every SigLIP: 3 channels, eps
/// 1e-6.
inline VisionConfig read_vision_config(const JsonField& field) {
  const JsonField channels = field["num_channels"], eps = field["layer_norm_eps"];
  VisionConfig vision;
  vision.hidden_size = field["hidden_size"].integer(1, most_features);
  vision.num_hidden_layers = field["num_hidden_layers"].integer(1, most_layers);
  vision.num_attention_heads = field["num_attention_heads"].integer(1, most_heads);
  vision.intermediate_size = field["intermediate_size"].integer(1, most_features);
  vision.image_size = field["image_size"].integer(1, 1 << 16);
  vision.patch_size = field["patch_size"].integer(1, 1 << 16);
  vision.num_channels = channels.given() ? channels.integer(1, most_features) : 3;
  vision.layer_norm_eps = eps.given() ? static_cast<float>(eps.number(0, 1)) : 1e-6f;
  require_gelu_tanh(field["hidden_act"]);
  return vision;
}

inline Index read_id(const JsonField& field, Index vocab_size) {
  return field.integer(0, vocab_size - 1, "a token id");
}

inline std::optional<Index> read_optional_id(const JsonField& field, Index vocab_size) {
  return field.given() ? std::optional(read_id(field, vocab_size)) : std::nullopt;
}

/// Ids of special tokens: the top level goes before the decoder, as in transformers.
inline void read_special_ids(const JsonField& root, Config& config) {
  const Index vocab_size = config.decoder.vocab_size;
  const auto find = [&](std::string_view key) {
    return root[key].given() ? root[key] : root["decoder"][key];
  };
  config.pad_token_id = read_optional_id(find("pad_token_id"), vocab_size);
  config.bos_token_id = read_id(find("bos_token_id"), vocab_size);
  const JsonField eos = find("eos_token_id");
  const std::vector<JsonField> several = eos.is_array() ? eos.items() : std::vector{eos};
  for (const JsonField& id : several) config.eos_token_id.push_back(read_id(id, vocab_size));
  if (several.empty()) eos.refuse("one token id or more");
}

/// Ids around images: the top level wins for the image token, the encoder for the end of an image.
inline void read_image_ids(const JsonField& root, Config& config) {
  const Index vocab_size = config.encoder.vocab_size;
  const auto either = [](const JsonField& parent, std::string_view key, std::string_view alias) {
    return parent[key].written() || !parent[alias].written() ? parent[key] : parent[alias];
  };
  const JsonField encoder = root["encoder"];
  config.boi_token_index = read_optional_id(either(encoder, "boi_token_index", "boi_token_id"), vocab_size);

  const JsonField eoi = either(encoder, "eoi_token_index", "eoi_token_id");
  const JsonField top_eoi = either(root, "eoi_token_index", "eoi_token_id");
  config.eoi_token_index = read_optional_id(eoi.written() ? eoi : top_eoi, vocab_size);
  if (!config.eoi_token_index)
    config.notes.push_back(eoi.path() + ": not given: no token gets the eoi_embedding");

  const JsonField image = either(encoder, "image_token_index", "image_token_id");
  const JsonField top_image = either(root, "image_token_index", "image_token_id");
  config.image_token_index = read_optional_id(top_image.given() ? top_image : image, vocab_size);
}

inline void require_equal_sides(const JsonField& decoder, const Config& config) {
  const TextConfig &ours = config.decoder, &theirs = config.encoder;
  if (ours.hidden_size != theirs.hidden_size)
    decoder["hidden_size"].refuse("the encoder's, " + std::to_string(theirs.hidden_size));
  if (ours.vocab_size != theirs.vocab_size)
    decoder["vocab_size"].refuse("the encoder's, " + std::to_string(theirs.vocab_size),
                                 std::to_string(ours.vocab_size) +
                                     " (resize_token_embeddings changes the decoder's alone: set "
                                     "encoder.text_config.vocab_size, too)");
}

inline void require_model_type(const JsonField& model_type) {
  const std::string &found = model_type.text(), whole = "t5gemma2";
  if (found == whole) return;
  if (found.starts_with(whole + "_"))
    model_type.refuse('"' + whole + '"', in_quotes(found) + ", a part of a model: save the whole");
  model_type.refuse('"' + whole + '"');
}

}  // namespace config_detail

/// The model's sizes out of the text of a config.json. Throws Error naming `where` and the field that is
/// wrong.
inline Config parse_config(std::string_view text, const std::string& where) {
  using namespace config_detail;
  const nlohmann::json json = parse_json(text, where);
  const JsonField root(json, where), encoder = root["encoder"], decoder = root["decoder"];
  require_model_type(root["model_type"]);

  Config config;
  config.encoder = read_text_config(encoder["text_config"], config.notes);
  config.decoder = read_text_config(decoder, config.notes);
  require_equal_sides(decoder, config);
  // The top level's decides, as in transformers; that of the parts has no effect.
  if (const JsonField tie = root["tie_word_embeddings"]; tie.written())
    config.tie_word_embeddings = tie.boolean();
  if (encoder["vision_config"].given()) {
    config.vision = read_vision_config(encoder["vision_config"]);
    config.mm_tokens_per_image = encoder["mm_tokens_per_image"].integer(1, most_ids);
  }
  read_special_ids(root, config);
  read_image_ids(root, config);
  return config;
}

/// Reads config.json of a model folder. Throws Error when it is missing or anything in it is wrong.
inline Config load_config(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  if (const std::string found = is_there(file) ? "" : found_instead(folder); !found.empty())
    fail_file(folder.string(), "a model's folder with config.json", found);
  return parse_config(read_text(file, "the model's config.json"), file.string());
}

}  // namespace t5gemma2
