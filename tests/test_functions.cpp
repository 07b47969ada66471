// cos and sin, and the elementwise kernels with every instruction set, against the same in double.
#include "t5gemma2/kernels/functions.hpp"

#include "fixture.hpp"
#include "simd_fixture.hpp"

namespace test_functions {

using namespace t5gemma2;

namespace {

/// gelu of numbers, by a kernel; nothing beyond them is written.
Vector gelu(const SimdKernels& kernels, const Vector& x) {
  Vector numbers = Vector::Constant(x.size() + 16, 99);
  numbers.head(x.size()) = x;
  kernels.gelu_tanh(x.size(), numbers.data());
  CHECK((numbers.tail(16).array() == 99).all());
  return numbers.head(x.size());
}

double exact_gelu(double x) {
  return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

}  // namespace

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
  with_each_instruction_set([](const SimdKernels& kernels) {
    const Vector y = gelu(kernels, Vector{{1, -2}});
    CHECK(y[0] == doctest::Approx(0.8411919906).epsilon(1e-7));   // erf: 0.8413447461
    CHECK(y[1] == doctest::Approx(-0.0454023059).epsilon(1e-6));  // erf: -0.0455002639
    const Vector x = Vector::LinSpaced(24001, -12, 12), found = gelu(kernels, x);
    double worst = 0;
    for (Index i = 0; i < x.size(); ++i)
      worst = std::max(worst, std::abs(double{found[i]} - exact_gelu(double{x[i]})) /
                                  std::max(1.0, std::abs(double{x[i]})));
    CHECK(worst <= 1.2e-7);
  });
}

TEST_CASE("functions: gelu of a number is the same wherever it stands") {
  const Vector x = random_vector(70, 1) * 4;
  with_each_instruction_set([&](const SimdKernels& kernels) {
    const Vector y = gelu(kernels, x);
    for (Index size = 0; size <= 40; ++size) CHECK(same_bits(gelu(kernels, x.tail(size)), y.tail(size)));
  });
}

TEST_CASE("functions: gelu far from 0, and of NaN") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    const Vector y = gelu(kernels, Vector{{1000, -1000, 0, nan_value, 1e30f, -30}});
    CHECK(y[0] == 1000);
    CHECK(std::abs(y[1]) <= 1e-30f);
    CHECK(y[2] == 0);
    CHECK(std::isnan(y[3]));
    CHECK(y[4] == 1e30f);
    CHECK(std::abs(y[5]) <= 1e-30f);
    for (Index at = 0; at < 37; ++at) {
      const Matrix x = with_nan(random_matrix(1, 37, 1), 0, at);
      CHECK(rows_with_nan(gelu(kernels, x.transpose())) == range(at, at));
    }
  });
}

TEST_CASE("functions: pairs are rotated, in any number, and nothing beyond them") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    for (const Index size : {1, 2, 5, 7, 8, 9, 16, 17, 31, 33, 64, 70}) {
      const Vector a = random_vector(size + 1, 1), b = random_vector(size + 1, 2),
                   cos = random_vector(size, 3), sin = random_vector(size, 4);
      Vector x = a, y = b;
      kernels.rotate(size, x.data(), y.data(), cos.data(), sin.data());
      CAPTURE(size);
      CHECK(x[size] == a[size]);
      CHECK(y[size] == b[size]);
      for (Index i = 0; i < size; ++i) {
        const double c{cos[i]}, s{sin[i]}, p{a[i]}, q{b[i]};
        CHECK(std::abs(double{x[i]} - (p * c - q * s)) <= 1.2e-7);
        CHECK(std::abs(double{y[i]} - (q * c + p * s)) <= 1.2e-7);
      }
    }
  });
}

TEST_CASE("functions: a NaN of a pair, or of its angle, makes both NaN and no other pair") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    for (Index at = 0; at < 19; ++at)
      for (const int which : {0, 1, 2, 3}) {
        Matrix rows = random_matrix(4, 19, 1);
        rows(which, at) = nan_value;
        kernels.rotate(19, &rows(0, 0), &rows(1, 0), &rows(2, 0), &rows(3, 0));
        CHECK(rows_with_nan(rows.row(0).transpose()) == range(at, at));
        CHECK(rows_with_nan(rows.row(1).transpose()) == range(at, at));
      }
  });
}

}  // namespace test_functions
