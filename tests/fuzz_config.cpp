// libFuzzer: whatever config.json holds, it becomes a Config whose sizes go together, or an Error, also where the encoder
// alone is wanted; whatever generation_config.json holds, a GenerationConfig or an Error; whatever adapter_config.json holds,
// finite scales or an Error; whatever a debug tree holds, tensors with names and shapes or an Error.
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "t5gemma2/analysis/reference/debug_tree.hpp"
#include "t5gemma2/checkpoint/config_json.hpp"
#include "t5gemma2/checkpoint/encoder_config_json.hpp"
#include "t5gemma2/checkpoint/generation_config_json.hpp"
#include "t5gemma2/lora/adapter_config.hpp"

namespace {

void check(const t5gemma2::TextConfig& text) {
  const bool sound = text.hidden_size > 0 && text.num_attention_heads % text.num_key_value_heads == 0 &&
                     text.head_dim % 2 == 0 && text.sliding_window > 0 && text.rms_norm_eps >= 0 &&
                     text.query_pre_attn_scalar > 0 && text.full_attention.factor > 0 &&
                     static_cast<t5gemma2::Index>(text.layer_types.size()) == text.num_hidden_layers;
  if (!sound) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const t5gemma2::GenerationConfig config = t5gemma2::parse_generation_config(text, "fuzz", {});
    check(t5gemma2::GenerateOptions{.config = config}, 1000);
    if (config.num_beams < 1 || config.repetition_penalty <= 0) std::abort();
  } catch (const t5gemma2::Error&) {
  }
  try {
    const t5gemma2::Config config = t5gemma2::parse_config(text, "fuzz");
    check(config.encoder);
    check(config.decoder);
    if (config.eos_token_id.empty()) std::abort();
  } catch (const t5gemma2::Error&) {
  }
  try {
    const nlohmann::json json = t5gemma2::parse_json(text, "fuzz");
    check(t5gemma2::read_encoder_config({json, "fuzz"}).encoder);
  } catch (const t5gemma2::Error&) {
  }
  try {
    const t5gemma2::AdapterConfig adapter = t5gemma2::AdapterConfig::parse(text, "fuzz");
    for (const char* module : {"model.decoder.layers.0.self_attn.q_proj", ""})
      if (!std::isfinite(adapter.scale_of(module)) || adapter.rank_of(module) < 1) std::abort();
  } catch (const t5gemma2::Error&) {
  }
  try {
    for (const auto& [name, tensor] : t5gemma2::parse_debug_tree(text, "fuzz").statistics)
      for (const t5gemma2::Index extent : tensor.shape)
        if (extent < 0) std::abort();
  } catch (const t5gemma2::Error&) {
  }
  return 0;
}
