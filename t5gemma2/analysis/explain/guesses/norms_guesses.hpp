// Guesses about RMSNorm and QK-norm.
#pragma once
#include <sstream>
#include <string>
#include <vector>

#include "../../../model.hpp"
#include "../guess.hpp"

namespace t5gemma2::guess_detail {

inline void add_norms(Guesses& all, const Model& model) {
  all.push_back({"norm weights are used without 1 +", [](Variant& v) { v.norm_offset = 0; }});
  all.push_back({"norm weights get 1 + twice", [](Variant& v) { v.norm_offset = 2; }});
  all.push_back({"the norm subtracts the mean, as LayerNorm does", [](Variant& v) { v.centres = true; }});
  all.push_back({"eps is added outside of the square root", [](Variant& v) { v.eps_outside = true; }});
  for (const float eps : {0.0f, 1e-8f, 1e-6f, 1e-5f, 1e-3f, model.encoder.config.rms_norm_eps,
                          model.decoder.config.rms_norm_eps}) {
    const std::string text = std::to_string(eps);
    std::ostringstream line;
    line << "rms_norm_eps is " << eps;
    all.push_back({line.str(), [eps](Variant& v) { v.eps = eps; }});
  }
  for (const std::string name :
       {"q_norm", "k_norm", "k_norm[1]", "pre_self_attn_layernorm", "post_self_attn_layernorm",
        "pre_feedforward_layernorm", "post_feedforward_layernorm", "norm"})
    all.push_back(
        {name + (name == "k_norm[1]" ? " (k_norm of the encoder output) is left out" : " is left out"),
         [name](Variant& v) { v.left_out.insert(name); }});
  all.push_back({"QK-norm is left out", [](Variant& v) {
                   v.left_out.insert({"q_norm", "k_norm", "k_norm[1]"});
                 }});
  all.push_back({"the norms behind attention and feed-forward are left out", [](Variant& v) {
                   v.left_out.insert({"post_self_attn_layernorm", "post_feedforward_layernorm"});
                 }});
  all.push_back({"QK-norm is taken over all heads at once", [](Variant& v) { v.norms_whole_rows = true; }});
  all.push_back({"QK-norm comes after RoPE", [](Variant& v) { v.norms_after_rope = true; }});
  const auto exchanged = [&](const std::string& a, const std::string& b) {
    all.push_back({"weights of " + a + " and " + b + " are exchanged", [a, b](Variant& v) {
                     v.weight_of = [a, b](const std::string& name) {
                       return name == a ? b : name == b ? a : name;
                     };
                   }});
    all.push_back({b + " is used with the weight of " + a, [a, b](Variant& v) {
                     v.weight_of = [a, b](const std::string& name) { return name == b ? a : name; };
                   }});
    all.push_back({a + " is used with the weight of " + b, [a, b](Variant& v) {
                     v.weight_of = [a, b](const std::string& name) { return name == a ? b : name; };
                   }});
  };
  exchanged("q_norm", "k_norm");
  const std::vector<std::string> layer{"pre_self_attn_layernorm", "post_self_attn_layernorm",
                                       "pre_feedforward_layernorm", "post_feedforward_layernorm"};
  for (std::size_t i = 0; i < layer.size(); ++i)
    for (std::size_t j = i + 1; j < layer.size(); ++j) exchanged(layer[i], layer[j]);
}

}  // namespace t5gemma2::guess_detail
