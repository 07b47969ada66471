// The configuration of a model, from config.json: sizes of both sides (paper Table 2; what the paper does not
// give is Gemma 3's).
//
//   encoder.text_config, decoder   one TextConfig each: depth, heads, MLP, window and eps may differ;
//                                  hidden size and vocabulary must agree
//   encoder.vision_config          SigLIP
//
// transformers' class defaults are not used: they describe no published model.
//
// Reference: transformers models/t5gemma2/configuration_t5gemma2.py T5Gemma2Config, T5Gemma2TextConfig,
// T5Gemma2DecoderConfig; models/siglip/configuration_siglip.py SiglipVisionConfig
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "error.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// Named as in config.json; the paper says local (sliding_attention) and global (full_attention).
enum class LayerType { sliding_attention = 1, full_attention };  // 0: not set

/// RoPE of one layer type. Positions are divided by the factor.
struct RopeConfig {
  double theta = 0;   // the base of the frequencies
  double factor = 0;  // 1 for rope_type "default", the value in the file for "linear"
};

/// Numbers of attention heads: each key/value head serves a group of query heads.
struct Heads {
  Index query = 0;  // a multiple of kv
  Index kv = 0;     // key/value heads
  Index dim = 0;    // dh, numbers in each head

  Index group() const { return query / kv; }
};

/// Throws std::invalid_argument naming the field unless all are positive and query is a multiple of kv.
inline void check(const Heads& heads) {
  check_argument(heads.kv > 0, "heads.kv", "1 or more", heads.kv);
  check_argument(heads.query > 0 && heads.query % heads.kv == 0, "heads.query", "a multiple of heads.kv",
                 heads.query);
  check_argument(heads.dim > 0, "heads.dim", "1 or more", heads.dim);
}

/// Text layers of one side; members are named as in config.json.
struct TextConfig {
  Index hidden_size = 0;  // d
  Index num_hidden_layers = 0;
  Index num_attention_heads = 0;
  Index num_key_value_heads = 0;
  Index head_dim = 0;  // dh, even
  Index intermediate_size = 0;
  Index vocab_size = 0;
  Index sliding_window = 0;
  Index max_position_embeddings = 0;
  float rms_norm_eps = unset;
  float query_pre_attn_scalar = 0;  // attention scores are scaled by 1 / sqrt of it
  std::optional<float> final_logit_softcapping;
  std::vector<LayerType> layer_types;  // [num_hidden_layers]
  RopeConfig full_attention, sliding_attention;

  Heads heads() const { return {num_attention_heads, num_key_value_heads, head_dim}; }
  const RopeConfig& rope(LayerType type) const {
    return type == LayerType::full_attention ? full_attention : sliding_attention;
  }
};

/// SigLIP; members are named as in config.json.
struct VisionConfig {
  Index hidden_size = 0, num_hidden_layers = 0, num_attention_heads = 0, intermediate_size = 0;
  Index image_size = 0, patch_size = 0, num_channels = 0;
  float layer_norm_eps = unset;
};

struct Config {
  TextConfig encoder, decoder;
  bool tie_word_embeddings = true;  // embeddings and head share one matrix, unless stored apart
  std::optional<VisionConfig> vision;
  Index mm_tokens_per_image = 0;  // 0 without vision
  std::optional<Index> pad_token_id;
  Index bos_token_id = 0;
  std::vector<Index> eos_token_id;  // one or more
  std::optional<Index> boi_token_index, eoi_token_index, image_token_index;
  std::vector<std::string> notes;  // fields that were read in an unusual way, one line each
};

}  // namespace t5gemma2
