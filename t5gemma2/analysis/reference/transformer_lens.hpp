// A cache of TransformerLens 4 (run_with_cache of a TransformerBridge) in a safetensors file: hooks become taps, as
// docs/names.md puts them side by side.
//
//   encoder_blocks.3.attn.hook_q     [1, n, heads, dh]   model.encoder.text_model.layers.3.self_attn.q_proj [1, n, heads*dh]
//   decoder_blocks.0.hook_resid_post [1, m, d]           model.decoder.layers.0
//
// The decoder calls the hooks of keys and values twice, for X and for H; a cache holds the last: those of H. A cache
// without batch axes (remove_batch_dim) gets them back. Heads are split by the decoder's head size, on both sides: where
// the encoder's is another, its hooks have no axis for them.
#pragma once
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "reference_file.hpp"

namespace t5gemma2 {

namespace transformer_lens_detail {

/// A hook, the tap that it stands for, and the axes of its tensor; with `heads_last`, the last two are one of the tap's.
struct Hook {
  std::string_view hook, tap;
  std::size_t axes = 3;
  bool heads_last = false;
};

inline constexpr std::array<Hook, 8> around{{
    {"encoder_embed.hook_in", "inputs.input_ids", 2},
    {"encoder_embed.hook_out", "model.encoder.text_model.embed_tokens"},
    {"encoder_ln_final.hook_out", "model.encoder.text_model.norm"},
    {"decoder_embed.hook_in", "inputs.decoder_input_ids", 2},
    {"decoder_embed.hook_out", "model.decoder.embed_tokens"},
    {"decoder_ln_final.hook_out", "model.decoder.norm"},
    {"unembed.hook_out", "lm_head"},
    {"hook_unembed", "lm_head"},
}};

/// Below a block; attn is called self_attn in the decoder.
inline constexpr std::array<Hook, 24> in_block{{
    {"ln1.hook_out", "pre_self_attn_layernorm"},
    {"attn.hook_q", "self_attn.q_proj", 4, true},
    {"attn.q.hook_out", "self_attn.q_proj", 4, true},
    {"attn.q_norm.hook_out", "self_attn.q_norm", 4},
    {"attn.hook_k", "self_attn.k_proj", 4, true},
    {"attn.k.hook_out", "self_attn.k_proj", 4, true},
    {"attn.k_norm.hook_out", "self_attn.k_norm", 4},
    {"attn.hook_v", "self_attn.v_proj", 4, true},
    {"attn.v.hook_out", "self_attn.v_proj", 4, true},
    {"attn.hook_pattern", "self_attn.weights", 4},
    {"attn.hook_cross_pattern", "self_attn.cross_weights", 4},
    {"attn.o.hook_out", "self_attn.o_proj"},
    {"attn.hook_out", "self_attn"},
    {"ln1_post.hook_out", "post_self_attn_layernorm"},
    {"ln2.hook_out", "pre_feedforward_layernorm"},
    {"mlp.hook_pre", "mlp.gate_proj"},
    {"mlp.gate.hook_out", "mlp.gate_proj"},
    {"mlp.hook_pre_linear", "mlp.up_proj"},
    {"mlp.in.hook_out", "mlp.up_proj"},
    {"mlp.out.hook_out", "mlp.down_proj"},
    {"mlp.hook_out", "mlp"},
    {"ln2_post.hook_out", "post_feedforward_layernorm"},
    {"hook_resid_post", ""},
    {"hook_out", ""},
}};

template <std::size_t size>
const Hook* find(const std::array<Hook, size>& hooks, std::string_view name) {
  const auto found = std::ranges::find(hooks, name, &Hook::hook);
  return found == hooks.end() ? nullptr : &*found;
}

/// "decoder_blocks.0.self_attn.hook_k" -> the hook, "model.decoder.layers.0.self_attn.k_proj[1]"
inline std::optional<std::pair<Hook, std::string>> tap_of(std::string_view name) {
  if (const Hook* hook = find(around, name)) return std::pair(*hook, std::string(hook->tap));
  const bool decoder = name.starts_with("decoder_blocks.");
  if (!decoder && !name.starts_with("encoder_blocks.")) return {};
  name.remove_prefix(std::string_view("decoder_blocks.").size());
  const std::size_t dot = std::min(name.find('.'), name.size());
  const std::string number(name.substr(0, dot));
  std::string below(name.substr(std::min(dot + 1, name.size())));
  if (decoder && below.starts_with("self_attn.")) below.erase(0, std::string_view("self_").size());
  const Hook* hook = find(in_block, below);
  if (!hook) return {};
  std::string tap = (decoder ? "model.decoder.layers." : "model.encoder.text_model.layers.") + number;
  if (!hook->tap.empty()) tap += "." + std::string(hook->tap);
  const bool of_H = decoder && (hook->tap.ends_with("k_proj") || hook->tap.ends_with("k_norm") ||
                                hook->tap.ends_with("v_proj"));
  return std::pair(*hook, of_H ? tap + "[1]" : tap);
}

/// Whether batch axes are missing: by a hook whose axes are always the same.
inline bool has_batch_axes(const StoredTensors& cache) {
  return std::ranges::none_of(cache, [](const auto& entry) {
    const auto known = tap_of(entry.first);
    return known && !known->first.heads_last && entry.second.shape.size() + 1 == known->first.axes;
  });
}

/// Tensors of a cache that are no hooks: names of a reference file, which someone put beside them.
inline bool is_no_hook(const std::string& name) { return name == "logits" || !is_activation(name); }

}  // namespace transformer_lens_detail

/// Whether a file's names are hooks.
inline bool is_cache_of_hooks(const ReferenceFile& file) {
  return std::ranges::any_of(file.tensors, [](const auto& entry) {
    const std::string& name = entry.first;
    return name.starts_with("encoder_blocks.") || name.starts_with("decoder_blocks.") ||
           transformer_lens_detail::tap_of(name);
  });
}

/// The file with taps in place of hooks; what other hooks hold is without counterpart.
inline ReferenceFile with_taps_names(ReferenceFile file) {
  using namespace transformer_lens_detail;
  StoredTensors taps;
  const bool batched = has_batch_axes(file.tensors);
  for (auto& [name, tensor] : file.tensors) {
    const auto known = tap_of(name);
    if (!known && is_no_hook(name)) taps[name] = tensor;
    if (!known && !is_no_hook(name)) file.without_counterpart.push_back(name);
    if (!known) continue;
    const auto& [hook, tap] = *known;
    if (!batched) tensor.shape.insert(tensor.shape.begin(), 1);
    if (hook.heads_last && tensor.shape.size() == 4) {
      tensor.shape[2] *= tensor.shape[3];
      tensor.shape.pop_back();
    }
    taps.emplace(tap, tensor);
  }
  file.tensors = std::move(taps);
  return file;
}

}  // namespace t5gemma2
