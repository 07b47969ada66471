// One side's section of config.json, encoder.text_config or decoder -> TextConfig. RoPE and the pattern of
// layers are read in every spelling that transformers reads:
//
//   rope_parameters.{full,sliding}_attention.{rope_type, rope_theta, factor}, layer_types     as published
//   rope_theta, rope_local_base_freq, rope_scaling, sliding_window_pattern                    older
//
// Reference: transformers models/t5gemma2/configuration_t5gemma2.py T5Gemma2TextConfig,
// T5Gemma2DecoderConfig; modeling_rope_utils.py RotaryEmbeddingConfigMixin.convert_rope_params_to_dict
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "../config.hpp"
#include "../io/json_fields.hpp"

namespace t5gemma2 {

namespace config_detail {

using Notes = std::vector<std::string>;

// Upper limits, far above every published model, so that arithmetic on sizes cannot overflow.
constexpr Index most_layers = 1024, most_heads = 4096, most_features = 1 << 20, most_ids = 1 << 22;
constexpr Index most_in_head = 1 << 14, most_channels = 16;
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

/// layer_types, or those that sliding_window_pattern p stands for: every p-th layer is global.
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

/// RoPE of one layer type. Each key is looked up in `scaling` (rope_scaling, older), then in `parameters`
/// (rope_parameters.full_attention, ...); `old_theta` is the older key of the base, on the side itself.
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
  if (partial.given() && partial.number(0, 1) != 1) partial.refuse("1: RoPE rotates whole heads");
  if (kind == "linear") {
    rope.factor = factor.number(0.01, 1e6);
    // Without rope_parameters transformers 5.23 sets rope_type "default" before it looks at `type`.
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
  text.head_dim = side["head_dim"].integer(2, most_in_head);
  if (text.head_dim % 2 != 0) side["head_dim"].refuse("an even number: RoPE rotates pairs");
  text.query_pre_attn_scalar = static_cast<float>(side["query_pre_attn_scalar"].number(1e-3, 1e9));
  text.sliding_window = side["sliding_window"].integer(1, longest_context);
  if (side["attention_bias"].given() && side["attention_bias"].boolean()) {
    side["attention_bias"].refuse("false: T5Gemma 2 has no biases");
  }
}

/// Throws Error naming the field that is missing or wrong; fields read in an unusual way are added
/// to `notes`.
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

}  // namespace config_detail

}  // namespace t5gemma2
