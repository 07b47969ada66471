// Guesses about the feed-forward and the residual stream.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>

#include "../guess.hpp"

namespace t5gemma2::guess_detail {

inline Matrix erf_gelu(const Matrix& x) {
  return x.unaryExpr([](float v) { return v / 2 * (1 + std::erf(v / std::sqrt(2.0f))); });
}

inline void add_feed_forward(Guesses& all) {
  const auto act = [&](const std::string& text, auto of) {
    all.push_back(
        {text, [of](Variant& v) { v.act = [of](const Matrix& x) -> Matrix { return x.unaryExpr(of); }; }});
  };
  all.push_back({"gelu is the exact one (erf), not the tanh form", [](Variant& v) { v.act = erf_gelu; }});
  act("gelu is x * sigmoid(1.702 x)", [](float x) { return x / (1 + std::exp(-1.702f * x)); });
  act("the activation is silu, not gelu", [](float x) { return x / (1 + std::exp(-x)); });
  act("the activation is relu, not gelu", [](float x) { return std::max(0.0f, x); });
  act("the activation is left out", [](float x) { return x; });
  all.push_back({"gelu is applied to up_proj, not to gate_proj", [](Variant& v) { v.swaps_gate = true; }});
  all.push_back({"gate and up are added, not multiplied", [](Variant& v) { v.adds_gate = true; }});
  all.push_back({"up_proj is not used", [](Variant& v) { v.leaves_up_out = true; }});
}

inline void add_residuals(Guesses& all) {
  const auto residual = [&](const std::string& text, Residual form) {
    all.push_back({text, [form](Variant& v) { v.residual = form; }});
  };
  residual("the residual connection is left out", Residual::left_out);
  residual("the residual connection starts behind the first norm", Residual::to_the_normalised);
  residual("the norm behind a sub-layer is taken of the sum", Residual::normalised_with_x);
  all.push_back({"attention and feed-forward are given the same input (parallel)",
                 [](Variant& v) { v.parallel = true; }});
}

}  // namespace t5gemma2::guess_detail
