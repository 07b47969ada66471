// The plain form of softmax (the engine's is in simd/softmax.inl), and cos and sin of RoPE, by the minimax
// polynomials of SLEEF (Shibata and Petrogalli 2019), which torch uses: largest error 1 unit in the last place.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "../tensor.hpp"

namespace t5gemma2 {

/// scores[size] -> exp(scores - max) / sum, in place; -infinity becomes 0. One NaN makes all NaN.
inline void softmax(float* scores, Index size) {
  Eigen::Map<Eigen::ArrayXf> x(scores, size);
  const float max = x.maxCoeff<Eigen::PropagateNaN>();
  x = x.unaryExpr([max](float score) { return std::exp(score - max); });  // Eigen's exp(-infinity) is not 0
  x /= x.sum();
}

/// sin(turns * pi/2 + r) for an even number of quarter turns, |r| <= pi/2: a polynomial in r with the sign
/// that the turns give.
inline float sine_of_reduced(double r, std::int64_t turns) {
  const double s = r * r;
  double p = 2.6083159809786593541503e-06f;
  for (const float c :
       {-0.0001981069071916863322258f, 0.00833307858556509017944336f, -0.166666597127914428710938f})
    p = p * s + double{c};
  const double sine = r * (1.0 + p * s);
  return static_cast<float>((turns & 2) != 0 ? -sine : sine);
}

/// cos(angle) and sin(angle), angle in radians, |angle| < 2^31.
inline std::pair<float, float> cos_sin(float angle) {
  constexpr double half_pi = 1.57079632679489661923;
  const double x{angle};
  const double odd = std::rint(x / (2 * half_pi) - 0.5) * 2 + 1, even = std::rint(x / (2 * half_pi)) * 2;
  return {sine_of_reduced(x - odd * half_pi, static_cast<std::int64_t>(odd) + 1),
          sine_of_reduced(x - even * half_pi, static_cast<std::int64_t>(even))};
}

}  // namespace t5gemma2
