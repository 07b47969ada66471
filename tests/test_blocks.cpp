// Numbers in blocks of 32: what is stored, and products of such rows with every instruction set.
#include "t5gemma2/kernels/blocks.hpp"

#include <limits>
#include <vector>

#include "fixture.hpp"
#include "simd_fixture.hpp"

namespace test_blocks {

using namespace t5gemma2;

namespace {

std::vector<Int8Block> blocks(const Matrix& W) {
  std::vector<Int8Block> stored(static_cast<std::size_t>(W.rows() * blocks_of(W.cols())));
  for (Index row = 0; row < W.rows(); ++row)
    to_int8_blocks(W.row(row).data(), W.cols(), stored.data() + row * blocks_of(W.cols()));
  return stored;
}

/// The numbers that blocks stand for.
Matrix numbers(const std::vector<Int8Block>& stored, Index rows, Index cols) {
  Matrix W(rows, cols);
  for (Index row = 0; row < rows; ++row)
    for (Index k = 0; k < cols; ++k)
      W(row, k) = stored[static_cast<std::size_t>(row * blocks_of(cols) + k / block_size)][k % block_size];
  return W;
}

/// x in 16-bit blocks by a kernel.
struct Int16Blocks {
  std::vector<std::int16_t> numbers;
  std::vector<float> scales;

  Int16Blocks(const SimdKernels& kernels, const Matrix& x) {
    const Index width = blocks_of(x.cols());
    numbers.resize(static_cast<std::size_t>(x.rows() * width * block_size), 99);
    scales.resize(static_cast<std::size_t>(x.rows() * width), nan_value);
    for (Index row = 0; row < x.rows(); ++row)
      kernels.to_int16_blocks(x.cols(), x.row(row).data(), numbers.data() + row * width * block_size,
                              scales.data() + row * width);
  }
};

/// x W^T by a kernel, in a frame of which nothing may change.
Matrix product(const SimdKernels& kernels, const Matrix& x, const Matrix& W) {
  const Int16Blocks x_blocks(kernels, x);
  const std::vector<Int8Block> W_blocks = blocks(W);
  Matrix y = Matrix::Constant(x.rows() + 2, W.rows() + 5, 7);
  kernels.multiply_int8(x.rows(), blocks_of(x.cols()), W.rows(), x_blocks.numbers.data(),
                        x_blocks.scales.data(), W_blocks.data(), &y(1, 2), y.cols());
  CHECK((y.row(0).array() == 7).all());
  CHECK((y.bottomRows(1).array() == 7).all());
  CHECK((y.leftCols(2).array() == 7).all());
  CHECK((y.rightCols(3).array() == 7).all());
  return y.block(1, 2, x.rows(), W.rows());
}

}  // namespace

TEST_CASE("blocks: a number is a whole number times the scale, which is the largest over 127, rounded up") {
  Matrix w(1, 34);
  for (Index k = 0; k < 34; ++k) w(0, k) = static_cast<float>(k) - 16;
  const std::vector<Int8Block> stored = blocks(w);
  REQUIRE(stored.size() == 2);
  const float scale = to_float(stored[0].scale);
  CHECK(scale >= 16.0f / 127);
  CHECK(scale <= 16.0f / 127 * (1 + 1.0f / 128));
  CHECK(stored[0].numbers[0] == -std::lround(16 / scale));  // w[0]
  CHECK(stored[0].numbers[1] == 0);                         // w[16]
  CHECK(stored[0].numbers[2] == -std::lround(15 / scale));  // w[1]
  CHECK(stored[0].numbers[31] == std::lround(15 / scale));  // w[31]
  CHECK(to_float(stored[1].scale) >= 17.0f / 127);          // w[32], w[33]
  CHECK(stored[1].numbers[4] == 0);                         // beyond the end
  CHECK((numbers(stored, 1, 34) - w).cwiseAbs().maxCoeff() <= 0.51f * 17 / 127);
}

TEST_CASE("blocks: a product of no depth is 0") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    for (const Index rows : {1, 4, 5, 13})
      CHECK(same_bits(product(kernels, Matrix(rows, 0), Matrix(33, 0)), Matrix::Zero(rows, 33)));
  });
}

TEST_CASE("blocks: zeros, tiny and huge numbers, and numbers that are not finite") {
  const auto stored_as = [](float one, float other) {
    Matrix w = Matrix::Constant(1, 32, one);
    w(0, 5) = other;
    return numbers(blocks(w), 1, 32);
  };
  CHECK(stored_as(0, 0).isZero(0));
  CHECK(stored_as(1e-38f, -1e-38f).isZero(0));
  CHECK(std::abs(stored_as(1e-20f, 1e-29f)(0, 0) / 1e-20f - 1) <= 0.01f);
  CHECK(std::abs(stored_as(3e38f, -3e38f)(0, 5) / -3e38f - 1) <= 0.01f);
  for (const float bad : {nan_value, std::numeric_limits<float>::infinity()})
    CHECK(stored_as(1, bad).array().isNaN().all());
}

TEST_CASE("blocks: x in 16 bits is x within half a step of its block") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    for (const Index cols : {1, 31, 32, 33, 100}) {
      Matrix x = random_matrix(3, cols, 4);
      x.row(1) *= 1e20f;
      x.row(2) *= 1e-20f;
      const Int16Blocks stored(kernels, x);
      const Index width = blocks_of(cols);
      std::string wrong;
      for (Index row = 0; row < 3; ++row)
        for (Index k = 0; k < width * block_size; ++k) {
          const float scale = stored.scales[static_cast<std::size_t>(row * width + k / block_size)];
          const float found = scale * stored.numbers[static_cast<std::size_t>(row * width * block_size + k)];
          const float expected = k < cols ? x(row, k) : 0.0f;
          if (!(std::abs(found - expected) <= 0.51f * scale)) wrong += " " + std::to_string(k);
        }
      CHECK(wrong == "");
    }
  });
}

TEST_CASE("blocks: products of all sizes are those of the stored numbers") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    for (const Index rows : {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 31})
      for (const Index cols : {1, 3, 4, 15, 16, 17, 33, 64, 65, 100})
        for (const Index depth : {1, 16, 32, 33, 96, 640}) {
          if (depth > 96 && rows % 4 != 1) continue;
          CAPTURE(rows);
          CAPTURE(cols);
          CAPTURE(depth);
          const Matrix x = random_matrix(rows, depth, 1), W = random_matrix(cols, depth, 2);
          const Matrix expected = x * numbers(blocks(W), cols, depth).transpose();
          const float tolerance = 5e-5f * std::sqrt(static_cast<float>(depth));
          CHECK((product(kernels, x, W) - expected).cwiseAbs().maxCoeff() <= tolerance);
        }
  });
}

TEST_CASE("blocks: a depth of several groups of panels") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    const Matrix x = random_matrix(7, 1290, 1), W = random_matrix(20, 1290, 2);
    const Matrix expected = x * numbers(blocks(W), 20, 1290).transpose();
    CHECK((product(kernels, x, W) - expected).cwiseAbs().maxCoeff() <= 1e-3f);
  });
}

TEST_CASE("blocks: a number does not depend on the rows beside it") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    const Matrix x = random_matrix(29, 100, 1), W = random_matrix(40, 100, 2);
    const Matrix all = product(kernels, x, W);
    for (const Index rows : {5, 6, 13, 24})
      CHECK(same_bits(product(kernels, x.topRows(rows), W), all.topRows(rows)));
  });
}

TEST_CASE("blocks: the largest numbers do not overflow, and what is not finite makes its row NaN") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    for (const Index rows : {1, 7}) {
      const Matrix ones = Matrix::Ones(rows, 64), W = -Matrix::Ones(3, 64);
      CHECK((product(kernels, ones, W) - Matrix::Constant(rows, 3, -64)).cwiseAbs().maxCoeff() <= 0.5f);
      for (const float bad : {nan_value, std::numeric_limits<float>::infinity()}) {
        Matrix x = ones;
        x(0, 40) = bad;
        const Matrix y = product(kernels, x, W);
        CHECK(y.row(0).array().isNaN().all());
        CHECK(!y.bottomRows(rows - 1).hasNaN());
      }
    }
  });
}

}  // namespace test_blocks
