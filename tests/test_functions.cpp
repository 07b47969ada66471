// Sums and functions over arrays, against the same in double.
#include "t5gemma2/kernels/functions.hpp"

#include <array>

#include "fixture.hpp"

namespace test_functions {

using namespace t5gemma2;

namespace {

/// |found - exact| in units in the last place of the float next to `exact`.
double units_off(float found, double exact) {
  const auto nearest = static_cast<float>(exact);
  const double unit = double{std::nextafter(std::abs(nearest), HUGE_VALF)} - double{std::abs(nearest)};
  return std::abs(double{found} - exact) / unit;
}

float gelu(float x) {
  Eigen::Array<float, 1, 1> one(x);
  gelu_tanh_in_place(one);
  return one(0);
}

}  // namespace

TEST_CASE("functions: sums take every number once, whatever the size") {
  for (Index size = 0; size <= 100; ++size) {
    const Matrix x = whole_numbers(1, size, static_cast<unsigned>(size));
    CAPTURE(size);
    CHECK(sum_of_squares(x.data(), size) == x.squaredNorm());
    CHECK(sum_in_lanes(x.data(), size) == x.sum());
  }
}

TEST_CASE("functions: a NaN anywhere makes a sum NaN") {
  for (const Index size : {1, 5, 8, 16, 31, 32, 33, 50})
    for (Index at = 0; at < size; ++at) {
      const Matrix x = with_nan(random_matrix(1, size, 1), 0, at);
      CHECK(std::isnan(sum_of_squares(x.data(), size)));
      CHECK(std::isnan(sum_in_lanes(x.data(), size)));
    }
}

TEST_CASE("functions: softmax_exp is e^x to one unit in the last place") {
  CHECK(softmax_exp(0.0f) == 1.0f);
  double worst = 0;
  for (float x = -80.0f; x < 0; x += 0.00037f)
    worst = std::max(worst, units_off(softmax_exp(x), std::exp(double{x})));
  CHECK(worst <= 1.0);
}

TEST_CASE("functions: softmax_exp is 0 far below 0 and NaN for NaN") {
  CHECK(softmax_exp(-80.1f) == 0.0f);
  CHECK(softmax_exp(-1e30f) == 0.0f);
  CHECK(softmax_exp(-std::numeric_limits<float>::infinity()) == 0.0f);
  for (const std::uint32_t bits : {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0x7fffffffu, 0x7fc000c2u})
    CHECK(std::isnan(softmax_exp(std::bit_cast<float>(bits))));
}

TEST_CASE("functions: cos and sin are right to one unit in the last place, at angles of long texts too") {
  double worst_cos = 0, worst_sin = 0;
  for (double angle = -10; angle < 200000; angle += angle < 100 ? 0.001 : 0.7) {
    const auto x = static_cast<float>(angle);
    const auto [cos, sin] = cos_sin(x);
    // Near a zero only the absolute error counts; a unit of 2^-24 is that of numbers below 1.
    worst_cos = std::max(worst_cos, std::abs(double{cos} - std::cos(double{x})) / 0x1p-24);
    worst_sin = std::max(worst_sin, std::abs(double{sin} - std::sin(double{x})) / 0x1p-24);
  }
  CHECK(worst_cos <= 1.0);
  CHECK(worst_sin <= 1.0);
  CHECK(cos_sin(0.0f) == std::pair(1.0f, 0.0f));
}

TEST_CASE("functions: gelu is the tanh form, not the one with erf") {
  CHECK(gelu(1.0f) == doctest::Approx(0.8411919906).epsilon(1e-7));    // erf: 0.8413447461
  CHECK(gelu(-2.0f) == doctest::Approx(-0.0454023059).epsilon(1e-6));  // erf: -0.0455002639
  double worst = 0;
  for (double x = -12; x <= 12; x += 0.001) {
    const double v{static_cast<float>(x)};
    const double exact = v / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    worst =
        std::max(worst, std::abs(double{gelu(static_cast<float>(x))} - exact) / std::max(1.0, std::abs(v)));
  }
  CHECK(worst <= 2e-7);
}

TEST_CASE("functions: gelu far from 0, and of NaN") {
  CHECK(gelu(1000.0f) == 1000.0f);
  CHECK(gelu(-1000.0f) == 0.0f);
  CHECK(gelu(0.0f) == 0.0f);
  CHECK(std::isnan(gelu(nan_value)));
}

TEST_CASE("functions: fused rounds once where the machine can, and is a * b + c") {
  CHECK(fused(3.0f, 4.0f, 5.0f) == 17.0f);
#ifdef FP_FAST_FMAF
  CHECK(fused(1 + 0x1p-12f, 1 + 0x1p-12f, -1.0f) == 0x1p-11f + 0x1p-24f);
#endif
}

}  // namespace test_functions
