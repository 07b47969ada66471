// Guesses about matrices, what they are multiplied with, and number formats.
#pragma once
#include <bit>
#include <cstdint>
#include <string>
#include <utility>

#include "../guess.hpp"

namespace t5gemma2::guess_detail {

inline float to_tf32(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return std::bit_cast<float>((bits + 0x0FFFu + (bits >> 13 & 1u)) & 0xFFFFE000u);
}

inline void add_matrices(Guesses& all) {
  const auto exchanged = [&](const std::string& a, const std::string& b) {
    all.push_back({a + " and " + b + " are exchanged", [a, b](Variant& v) {
                     v.matrix_of = [a, b](const std::string& name) {
                       return name == a ? b : name == b ? a : name;
                     };
                   }});
  };
  exchanged("gate_proj", "up_proj");
  exchanged("k_proj", "v_proj");
  exchanged("q_proj", "k_proj");
  all.push_back({"the matrix is transposed", [](Variant& v) { v.transposes_matrices = true; }});
  const auto from = [&](const std::string& text, EncoderOutput form) {
    all.push_back({text, [form](Variant& v) { v.encoder_output = form; }});
  };
  from("the decoder gets the encoder's last layer without its norm", EncoderOutput::before_its_norm);
  from("the encoder output is normalised by pre_self_attn_layernorm before k_proj and v_proj",
       EncoderOutput::normalised_by_the_layer);
  from("the encoder output is in the opposite order", EncoderOutput::backwards);
}

inline void add_casts(Guesses& all) {
  const auto bf16 = [](float x) { return static_cast<float>(Eigen::bfloat16(x)); };
  const auto f16 = [](float x) { return static_cast<float>(Eigen::half(x)); };
  for (const auto& [name, round] :
       {std::pair<std::string, Variant::Number>{"bfloat16", bf16}, {"float16", f16}, {"TF32", to_tf32}}) {
    all.push_back(
        {"weights are rounded to " + name, [round = round](Variant& v) { v.round_weight = round; }});
    all.push_back({"inputs of products are rounded to " + name,
                   [round = round](Variant& v) { v.round_input = round; }});
    all.push_back({"weights and inputs of products are rounded to " + name,
                   [round = round](Variant& v) { v.round_weight = v.round_input = round; }});
    all.push_back(
        {"results are rounded to " + name, [round = round](Variant& v) { v.round_output = round; }});
    all.push_back({"products and norms are computed in " + name,
                   [round = round](Variant& v) { v.round_weight = v.round_input = v.round_output = round; }});
  }
}

}  // namespace t5gemma2::guess_detail
