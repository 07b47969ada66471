// Products by tiles of bfloat16: with the instructions that the processor has, and in plain C++ everywhere.
#include <cmath>
#include <limits>
#include <vector>

#include "fixture.hpp"
#include "simd_fixture.hpp"
#include "t5gemma2/kernels/product.hpp"

namespace test_tiles {

using namespace t5gemma2;

namespace {

using Exact = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic>;

/// x W^T by a kernel, in a frame of which nothing may change; W's rows in those of a wider matrix.
Matrix product(const SimdKernels& kernels, const Matrix& x, const Matrix& W, Index parts) {
  const RowParts split(x, parts, kernels);
  Matrix wide = Matrix::Constant(W.rows() + 1, W.cols() + 3, nan_value);
  wide.block(0, 1, W.rows(), W.cols()) = W;
  const StoredMatrix stored(wide, StorageType::bfloat16);
  Matrix y = Matrix::Constant(x.rows() + 2, W.rows() + 5, 7);
  kernels.multiply_split(x.rows(), x.cols(), W.rows(), split.from(0),
                         reinterpret_cast<const BFloat16*>(stored.weight().data) + 1, wide.cols(), &y(1, 2),
                         y.cols());
  CHECK((y.row(0).array() == 7).all());
  CHECK((y.bottomRows(1).array() == 7).all());
  CHECK((y.leftCols(2).array() == 7).all());
  CHECK((y.rightCols(3).array() == 7).all());
  return y.block(1, 2, x.rows(), W.rows());
}

Matrix rounded(const Matrix& x) {
  return x.unaryExpr([](float number) { return to_float(BFloat16(number)); });
}

/// Calls test(kernels) for all that multiply bfloat16, and for tiles and pairs in plain C++.
template <class Test>
void with_tiles(const Test& test) {
  with_each_instruction_set([&](const SimdKernels& kernels) {
    if (kernels.most_parts > 0) test(kernels);
  });
  test(kernel::of_64_bytes::tile_kernels);
  test(kernel::of_64_bytes::pair_kernels);
}

}  // namespace

TEST_CASE("tiles: whole numbers, every number of rows, columns and depth") {
  with_tiles([](const SimdKernels& kernels) {
    for (const Index rows : {1, 5, 15, 16, 17, 31, 32, 33, 70})
      for (const Index cols : {1, 15, 16, 17, 31, 33, 64})
        for (const Index depth : {1, 2, 31, 32, 33, 130}) {
          const Matrix x = whole_numbers(rows, depth, 1), W = whole_numbers(cols, depth, 2);
          CAPTURE(rows);
          CAPTURE(cols);
          CAPTURE(depth);
          for (const Index parts : {1, 3})
            CHECK(same_bits(product(kernels, x, W, parts), Matrix(x * W.transpose())));
        }
  });
}

TEST_CASE("tiles: three parts are as exact as float32, also over several panels, and one is x rounded") {
  with_tiles([](const SimdKernels& kernels) {
    for (const Index depth : {640, 1290}) {
      Matrix x = random_matrix(20, depth, 1);
      x.col(3) *= 1e6f;
      x.row(2) *= 1e-20f;
      const Matrix W = rounded(random_matrix(40, depth, 2));
      const Exact exact = x.cast<double>() * W.cast<double>().transpose();
      const auto far = [&](const Matrix& y) { return (y.cast<double>() - exact).norm() / exact.norm(); };
      CHECK(far(product(kernels, x, W, 3)) <= 1.5 * far(x * W.transpose()));
      CHECK(far(product(kernels, x, W, 1)) > 1e-4);
      const Matrix of_rounded = rounded(x) * W.transpose();
      CHECK((product(kernels, x, W, 1) - of_rounded).norm() <= 1e-6f * of_rounded.norm());
    }
  });
}

TEST_CASE("tiles: a number does not depend on the rows beside it") {
  with_tiles([](const SimdKernels& kernels) {
    const Matrix x = random_matrix(70, 100, 1), W = rounded(random_matrix(40, 100, 2));
    const Matrix all = product(kernels, x, W, 3);
    for (const Index rows : {5, 16, 33})
      CHECK(same_bits(product(kernels, x.topRows(rows), W, 3), all.topRows(rows)));
  });
}

TEST_CASE("round_to_bfloat16: the nearest, in place, for every number of numbers") {
  Matrix x = random_matrix(1, 40, 1);
  x.leftCols(4) << 1.00390625f, 1.01171875f, -1.00390626f, 3.4e38f;
  with_each_instruction_set([&](const SimdKernels& kernels) {
    for (Index size = 0; size <= x.cols(); ++size) {
      Matrix y = x;
      kernels.round_to_bfloat16(size, y.data());
      CHECK(same_bits(y.leftCols(size), rounded(x).leftCols(size)));
      CHECK(same_bits(y.rightCols(40 - size), x.rightCols(40 - size)));
    }
    float bad[2] = {nan_value, std::numeric_limits<float>::infinity()};
    kernels.round_to_bfloat16(2, bad);
    CHECK(std::isnan(bad[0]));
    CHECK(bad[1] == std::numeric_limits<float>::infinity());
  });
}

TEST_CASE("tiles: rounding to the nearest, to even, and what is not finite stays so") {
  with_tiles([](const SimdKernels& kernels) {
    const float infinity = std::numeric_limits<float>::infinity();
    const Matrix x{{1.00390625f, 1.01171875f, -1.00390626f, infinity, -infinity, nan_value, 3.4e38f, 1e-40f}};
    for (Index k = 0; k < x.cols(); ++k) {
      std::vector<std::uint16_t> tile(tile_size);
      kernels.split_row(1, &x(0, k), 1, tile.data());
      CAPTURE(x(0, k));
      CHECK(tile[0] == BFloat16(x(0, k)).value);
    }
    const Matrix one = Matrix::Ones(1, 1);
    CHECK(product(kernels, Matrix::Constant(1, 1, infinity), one, 3)(0, 0) == infinity);
    CHECK(product(kernels, Matrix::Constant(1, 1, 3.4e38f), one, 3)(0, 0) == infinity);  // rounded up
    CHECK(std::isnan(product(kernels, Matrix::Constant(1, 1, nan_value), one, 3)(0, 0)));
  });
}

}  // namespace test_tiles
