// Sums and functions over arrays, rounded as the reference rounds them.
//
// Deep networks with random weights amplify one unit in the last place a thousandfold. Therefore sums are
// taken in the order of torch's vectorised CPU kernels, and exp, sin and cos use the minimax polynomials of
// the vector library beneath torch (SLEEF, Shibata and Petrogalli 2019). Largest errors against exact values:
// exp 1.0, sin and cos 1.0, tanh 0.5 units in the last place.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "../tensor.hpp"

namespace t5gemma2 {

/// a * b + c, rounded once where the machine can.
inline float fused(float a, float b, float c) {
#ifdef FP_FAST_FMAF
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}

/// Sum of x[i]^2, squares rounded first: 4 x 8 lanes over whole groups of 32, then groups of 8, then one
/// by one.
inline float sum_of_squares(const float* x, Index size) {
  constexpr std::size_t lanes = 8, groups = 4;
  std::array<float, lanes * groups> sums{};
  const auto add = [&](Index first, std::size_t count) {
    for (std::size_t lane = 0; lane < count; ++lane) {
      const float value = x[first + static_cast<Index>(lane)];
      sums[lane] += value * value;
    }
  };
  Index i = 0;
  for (; i + Index{lanes * groups} <= size; i += Index{lanes * groups}) add(i, lanes * groups);
  for (; i + Index{lanes} <= size; i += Index{lanes}) add(i, lanes);
  float total = 0;
  for (; i < size; ++i) total += x[i] * x[i];
  for (std::size_t lane = 0; lane < lanes; ++lane)
    total += sums[lane] + sums[lane + lanes] + sums[lane + 2 * lanes] + sums[lane + 3 * lanes];
  return total;
}

/// Sum of x[i]: 16 lanes, folded in halves.
inline float sum_in_lanes(const float* x, Index size) {
  constexpr std::size_t lanes = 16;
  std::array<float, lanes> sums{};
  Index i = 0;
  for (; i + Index{lanes} <= size; i += Index{lanes})
    for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += x[i + static_cast<Index>(lane)];
  for (std::size_t lane = 0; i < size; ++i, ++lane) sums[lane] += x[i];
  for (std::size_t half = lanes / 2; half > 0; half /= 2)
    for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  return sums[0];
}

/// e^x for x <= 0, the terms of a softmax. 0 below -80: masked scores (-infinity) have no weight, and no
/// denormal numbers arise. NaN stays NaN.
inline float softmax_exp(float x) {
  constexpr float round_to_integer = 12582912.0f;  // 1.5 * 2^23: adding it leaves the integer in the low bits
  const float shifted = fused(x, 1.44269504f, round_to_integer), exponent = shifted - round_to_integer;
  float s = fused(exponent, -0.693145751953125f, x);  // x - exponent * log 2, in two parts
  s = fused(exponent, -1.42860677e-06f, s);
  float p = 0.000198527617612853646f;
  for (const float c : {0.00139304355252534151f, 0.00833336077630519867f, 0.0416664853692054749f,
                        0.166666671633720398f, 0.5f})
    p = fused(p, s, c);
  const float significand = 1.0f + fused(s * s, p, s);
  const auto power = std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) << 23) + 0x3f800000u);
  return x < -80.0f ? 0.0f : significand * power;
}

/// scores[size] -> exp(scores - max) / sum, in place; -infinity becomes 0. One NaN makes all NaN.
inline void softmax(float* scores, Index size) {
  float max = -std::numeric_limits<float>::infinity();
  for (Index i = 0; i < size; ++i) max = std::max(max, scores[i]);
  for (Index i = 0; i < size; ++i) scores[i] = softmax_exp(scores[i] - max);
  const float one_over_sum = 1.0f / sum_in_lanes(scores, size);
  for (Index i = 0; i < size; ++i) scores[i] *= one_over_sum;
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

/// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), elementwise in place; tanh(u) = 1 - 2 / (e^(2u) + 1) in
/// double precision.
template <class Array>
void gelu_tanh_in_place(Eigen::ArrayBase<Array>& x) {
  constexpr float sqrt_two_over_pi = 0.7978845608028654f;
  const auto inner = [](float v) { return sqrt_two_over_pi * fused(0.044715f, v * v * v, v); };
  const auto e_2u = (2.0 * x.unaryExpr(inner).template cast<double>()).exp();
  x *= 0.5f * (1.0f + (1.0 - 2.0 / (e_2u + 1.0)).template cast<float>());
}

}  // namespace t5gemma2
