// Where in the model a guess holds: everywhere, on one side, in layers of one type, in some modules.
#pragma once
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "guess.hpp"
#include "variant.hpp"

namespace t5gemma2 {

/// Where a guess holds.
struct Scope {
  std::string text;
  std::function<bool(const Step&)> holds;
};

inline Scope everywhere() {
  return {"", [](const Step&) { return true; }};
}

/// Guesses that have been accepted, each in its scope.
class Accepted {
 public:
  void add(const Guess& guess, const Scope& scope) {
    parts_.push_back({guess, scope});
    made_.clear();
  }
  void pop() {
    parts_.pop_back();
    made_.clear();
  }
  bool empty() const { return parts_.empty(); }

  const Variant& at(const Step& step) {
    std::vector<bool> holds;
    for (const auto& [guess, scope] : parts_) holds.push_back(scope.holds(step));
    const auto [entry, is_new] = made_.try_emplace(holds);
    if (is_new)
      for (std::size_t i = 0; i < parts_.size(); ++i)
        if (holds[i]) parts_[i].first.apply(entry->second);
    return entry->second;
  }

 private:
  std::vector<std::pair<Guess, Scope>> parts_;
  std::map<std::vector<bool>, Variant> made_;
};

/// A tensor's name in parts: "model.decoder.layers.3.self_attn.k_norm[1]" is step "k_norm[1]" of the decoder's layer 3.
/// Outside of layers the number is -1 for the embedding, and more than any layer's for what follows them.
struct TensorName {
  bool decoder = false, in_layer = false;
  Index layer = -1;
  std::string step;
};

inline TensorName parse_name(const std::string& name) {
  TensorName parsed;
  parsed.decoder = !name.starts_with("model.encoder.");
  parsed.step = name.substr(name.rfind('.') + 1);
  const std::string layers = ".layers.";
  if (const std::size_t at = name.find(layers); at != std::string::npos) {
    parsed.in_layer = true;
    parsed.layer = std::stol(name.substr(at + layers.size()));
    if (name.find('.', at + layers.size()) == std::string::npos)
      parsed.step.clear();  // the layer's own output
  } else {
    parsed.layer = parsed.step == "embed_tokens" ? -1 : std::numeric_limits<Index>::max() / 2;
  }
  return parsed;
}

/// Steps that are done alike, where one of them may be done otherwise.
inline const std::map<std::string, std::set<std::string>> step_groups{
    {"q_norm and k_norm", {"q_norm", "k_norm"}},
    {"the norms of layers",
     {"pre_self_attn_layernorm", "post_self_attn_layernorm", "pre_feedforward_layernorm",
      "post_feedforward_layernorm"}},
    {"the norms before sub-layers", {"pre_self_attn_layernorm", "pre_feedforward_layernorm"}},
    {"the norms behind sub-layers", {"post_self_attn_layernorm", "post_feedforward_layernorm"}},
    {"products", {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}}};

/// Where a guess may hold, from the widest to the narrowest, for a tensor at `at`.
inline std::vector<Scope> scopes(const TensorName& at) {
  using Holds = std::function<bool(const Step&)>;
  const auto typed = [](LayerType type) {
    return [type](const Step& step) { return step.layer && step.layer->layer.type == type; };
  };
  const std::vector<std::pair<std::string, Holds>> sides{
      {"of the encoder", [](const Step& s) { return !s.decoder; }},
      {"of the decoder", [](const Step& s) { return s.decoder; }}};
  std::vector<Scope> all{
      everywhere(), {"in the encoder", sides[0].second}, {"in the decoder", sides[1].second}};
  const auto add = [&](const std::string& text, const std::string& end, const Holds& holds) {
    all.push_back({text + end, holds});
    for (const auto& [side, of_side] : sides) {
      std::string both = text;
      both.append(" ").append(side).append(end);
      all.push_back(
          {std::move(both), [=, of_side = of_side](const Step& s) { return holds(s) && of_side(s); }});
    }
  };
  add("in global layers", "", typed(LayerType::full_attention));
  add("in local layers", "", typed(LayerType::sliding_attention));
  for (const auto& [text, steps] : step_groups)
    add("in " + text, " alone",
        [&steps = steps](const Step& step) { return steps.contains(module_of(step.name)); });
  if (!at.step.empty())
    add("in " + at.step, " alone", [at](const Step& step) { return step.name == at.step; });
  if (at.in_layer)
    all.push_back(
        {"in layer " + std::to_string(at.layer) + (at.decoder ? " of the decoder" : " of the encoder") +
             " alone",
         [at](const Step& s) { return s.decoder == at.decoder && s.layer && s.layer->number == at.layer; }});
  return all;
}

}  // namespace t5gemma2
