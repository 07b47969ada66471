// The norms' kernels with every instruction set, in sizes that fill registers and in others, against double.
#include "fixture.hpp"
#include "simd_fixture.hpp"

namespace test_norms {

using namespace t5gemma2;

namespace {

const std::vector<Index> sizes{1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 256, 641};

/// rms_norm of a row, in double.
Vector exact_rms_norm(const Vector& x, const Vector& weight, float eps) {
  const Eigen::VectorXd v = x.cast<double>();
  const double rms = std::sqrt(v.squaredNorm() / static_cast<double>(v.size()) + double{eps});
  return (v.array() / rms * (1 + weight.cast<double>().array())).cast<float>();
}

/// layer_norm of a row, in double.
Vector exact_layer_norm(const Vector& x, const Vector& weight, const Vector& bias, float eps) {
  Eigen::VectorXd v = x.cast<double>();
  v.array() -= v.mean();
  const double deviation = std::sqrt(v.squaredNorm() / static_cast<double>(v.size()) + double{eps});
  return (v.array() / deviation * weight.cast<double>().array() + bias.cast<double>().array()).cast<float>();
}

constexpr Index rows = 3;

/// The rows of x after normalise(rows, numbers); whatever is written beyond them shows.
template <class Normalise>
Matrix normalised(const Matrix& x, const Normalise& normalise) {
  Vector numbers = Vector::Constant(x.size() + 16, 99);
  normalise(x.rows(), numbers.data());
  CHECK((numbers.tail(16).array() == 99).all());
  return Eigen::Map<const Matrix>(numbers.data(), x.rows(), x.cols());
}

Matrix rms_norm_by(const SimdKernels& kernels, const Matrix& x, const Vector& weight, float eps) {
  return normalised(x, [&](Index count, float* numbers) {
    kernels.rms_norm(count, x.cols(), x.data(), weight.data(), eps, numbers);
  });
}

Matrix layer_norm_by(const SimdKernels& kernels, const Matrix& x, const Vector& weight, const Vector& bias,
                     float eps) {
  return normalised(x, [&](Index count, float* numbers) {
    kernels.layer_norm(count, x.cols(), x.data(), weight.data(), bias.data(), eps, numbers);
  });
}

}  // namespace

TEST_CASE("norms: RMSNorm of every row, in any size") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    for (const Index size : sizes) {
      const Vector weight = random_vector(size, 1);
      const Matrix x = random_matrix(rows, size, 2) * 30, y = rms_norm_by(kernels, x, weight, 0.5f);
      CAPTURE(size);
      for (Index row = 0; row < rows; ++row)
        CHECK(difference(y.row(row).transpose(), exact_rms_norm(x.row(row), weight, 0.5f)) <= 3e-7);
    }
  });
}

TEST_CASE("norms: LayerNorm of every row, in any size, far from zero too") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    for (const Index size : sizes)
      for (const float mean : {0.0f, 100.0f}) {
        const Vector weight = random_vector(size, 1), bias = random_vector(size, 3);
        const Matrix x = random_matrix(rows, size, 2).array() * 30 + mean,
                     y = layer_norm_by(kernels, x, weight, bias, 0.5f);
        CAPTURE(size);
        for (Index row = 0; row < rows; ++row)
          CHECK(difference(y.row(row).transpose(), exact_layer_norm(x.row(row), weight, bias, 0.5f)) <=
                tight);
      }
  });
}

TEST_CASE("norms: a NaN anywhere makes all of its row NaN, and no other") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    for (const Index size : {1, 5, 8, 17, 64, 70})
      for (Index at = 0; at < size; ++at) {
        const Matrix x = with_nan(random_matrix(rows, size, 1), 1, at);
        const Vector weight = random_vector(size, 2);
        for (const Matrix& y :
             {rms_norm_by(kernels, x, weight, 0), layer_norm_by(kernels, x, weight, weight, 1)}) {
          CHECK(rows_with_nan(y) == range(1, 1));
          CHECK(y.row(1).array().isNaN().all());
        }
      }
  });
}

}  // namespace test_norms
