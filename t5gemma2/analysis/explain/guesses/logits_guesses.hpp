// Guesses about what follows lm_head.
#pragma once
#include <cmath>
#include <string>

#include "../guess.hpp"

namespace t5gemma2::guess_detail {

inline void add_logits(Guesses& all) {
  const auto finish = [&](const std::string& text, auto of) {
    all.push_back({text, [of](Variant& v) { v.finish = of; }});
  };
  const auto capped = [](const Matrix& x, float cap) -> Matrix { return cap * (x.array() / cap).tanh(); };
  const auto own = Variant{}.finish;
  finish("logits have no softcap", [](const TextConfig&, const Matrix& x) { return x; });
  for (const float cap : {30.0f, 50.0f})
    finish("logits have a softcap of " + std::to_string(static_cast<int>(cap)),
           [=](const TextConfig&, const Matrix& x) { return capped(x, cap); });
  finish("logits have their softcap twice",
         [=](const TextConfig& c, const Matrix& x) { return own(c, own(c, x)); });
  finish("logits have a softcap, but are not multiplied by it again",
         [](const TextConfig& c, const Matrix& x) -> Matrix {
           return (x.array() / c.final_logit_softcapping.value_or(1)).tanh();
         });
  finish("logits are divided by sqrt(d)", [=](const TextConfig& c, const Matrix& x) {
    return own(c, x / std::sqrt(static_cast<float>(c.hidden_size)));
  });
  finish("logits are multiplied by sqrt(d)", [=](const TextConfig& c, const Matrix& x) {
    return own(c, x * std::sqrt(static_cast<float>(c.hidden_size)));
  });
  const auto log_softmax = [](const Matrix& x) {
    Matrix y = x;
    for (Index row = 0; row < y.rows(); ++row) {
      const float max = y.row(row).maxCoeff();
      y.row(row).array() -= max + std::log((y.row(row).array() - max).exp().sum());
    }
    return y;
  };
  finish("logits are log-probabilities (log_softmax)",
         [=](const TextConfig& c, const Matrix& x) { return log_softmax(own(c, x)); });
  finish("logits are probabilities (softmax)", [=](const TextConfig& c, const Matrix& x) -> Matrix {
    return log_softmax(own(c, x)).array().exp();
  });
}

}  // namespace t5gemma2::guess_detail
