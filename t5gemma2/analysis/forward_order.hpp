// Names of tensors in the order in which a pass makes them, where there is no pass to tell it.
#pragma once
#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>

#include "../tensor.hpp"

namespace t5gemma2 {

namespace forward_order_detail {

template <std::size_t size>
Index place_in(const std::array<std::string_view, size>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) - list.begin();
}

/// Inputs, the parts of the model, results; what is no name of ours lies between encoder and decoder.
inline Index part_of(std::string_view name) {
  using namespace std::literals;
  constexpr std::array heads{"inputs."sv,
                             "model.encoder.vision_tower"sv,
                             "model.encoder.multi_modal_projector"sv,
                             "model.encoder."sv,
                             ""sv,
                             "model.decoder."sv,
                             "lm_head"sv,
                             "logits"sv,
                             "generated"sv};
  Index part = 4;
  for (std::size_t i = heads.size(); i-- > 0;)
    if (!heads[i].empty() && name.starts_with(heads[i])) part = static_cast<Index>(i);
  return part;
}

/// The step of a layer that a name ends with; a layer itself comes last.
inline Index step_of(std::string_view step) {
  using namespace std::literals;
  constexpr std::array steps{"pre_self_attn_layernorm"sv,
                             "layer_norm1"sv,
                             "self_attn.q_proj"sv,
                             "self_attn.q_norm"sv,
                             "self_attn.k_proj"sv,
                             "self_attn.k_norm"sv,
                             "self_attn.v_proj"sv,
                             "self_attn.k_proj[1]"sv,
                             "self_attn.k_norm[1]"sv,
                             "self_attn.v_proj[1]"sv,
                             "self_attn.weights"sv,
                             "self_attn.cross_weights"sv,
                             "self_attn.o_proj"sv,
                             "self_attn.out_proj"sv,
                             "self_attn"sv,
                             "post_self_attn_layernorm"sv,
                             "pre_feedforward_layernorm"sv,
                             "layer_norm2"sv,
                             "mlp.gate_proj"sv,
                             "mlp.fc1"sv,
                             "mlp.act_fn"sv,
                             "mlp.activation_fn"sv,
                             "mlp.up_proj"sv,
                             "mlp.fc2"sv,
                             "mlp.down_proj"sv,
                             "mlp"sv,
                             "post_feedforward_layernorm"sv};
  return step.empty() ? std::ssize(steps) + 1 : place_in(steps, step);
}

/// Digits count as one number: layers.9 before layers.10.
inline bool natural_less(std::string_view a, std::string_view b) {
  const auto digits = [](std::string_view& text) {
    const auto end = std::find_if(text.begin(), text.end(), [](unsigned char c) { return !std::isdigit(c); });
    std::string_view number = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    text.remove_prefix(number.size());
    number.remove_prefix(std::min(number.size(), number.find_first_not_of('0')));
    return number;
  };
  while (!a.empty() && !b.empty()) {
    const auto x = digits(a), y = digits(b);
    if (x != y) return std::tuple(x.size(), x) < std::tuple(y.size(), y);
    if (a.empty() || b.empty()) break;
    if (a[0] != b[0]) return a[0] < b[0];
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return a.empty() && !b.empty();
}

/// The layer's number and the step in it; -1 before the layers, the largest number behind them.
inline std::tuple<Index, Index> place_in_layers(std::string_view name) {
  const auto at = name.find("layers.");
  if (at == name.npos) {
    const bool behind = name.ends_with(".norm") || name.ends_with("post_layernorm");
    return {behind ? std::numeric_limits<Index>::max() : -1, 0};
  }
  std::string_view rest = name.substr(at + 7);
  const auto dot = std::min(rest.find('.'), rest.size());
  const std::string number(rest.substr(0, dot));
  const bool is_number =
      !number.empty() && number.size() < 10 && number.find_first_not_of("0123456789") == number.npos;
  return {is_number ? std::stol(number) : -1, step_of(rest.substr(std::min(dot + 1, rest.size())))};
}

}  // namespace forward_order_detail

/// Whether a pass makes `a` before `b`, both names of tensors; names that are not the engine's are in the order of their
/// text and its numbers.
inline bool comes_before(const std::string& a, const std::string& b) {
  using namespace forward_order_detail;
  const auto key = [](const std::string& name) {
    return std::tuple_cat(std::tuple(part_of(name)), place_in_layers(name));
  };
  if (part_of(a) == 4 && part_of(b) == 4) return natural_less(a, b);
  return key(a) != key(b) ? key(a) < key(b) : natural_less(a, b);
}

}  // namespace t5gemma2
