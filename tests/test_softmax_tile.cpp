// The online softmax, tile by tile, with every instruction set, against softmax in double.
#include "fixture.hpp"
#include "simd_fixture.hpp"

namespace test_softmax_tile {

using namespace t5gemma2;

namespace {

using DoubleMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr float infinity = std::numeric_limits<float>::infinity();

/// What goes on from tile to tile.
struct State {
  Matrix A;          // [rows, dim]
  Vector max, sums;  // [rows]

  State(Index rows, Index dim)
      : A(Matrix::Zero(rows, dim)), max(Vector::Constant(rows, -infinity)), sums(Vector::Zero(rows)) {}

  /// The next tile: S [rows, cols] -> e^(scale (S - max)), and what was beside S. A takes no values.
  Matrix weigh(const SimdKernels& kernels, const Matrix& S, float scale) {
    Matrix wide = Matrix::Constant(S.rows(), S.cols() + 17, 99);
    wide.leftCols(S.cols()) = S;
    kernels.softmax_tile(S.rows(), S.cols(), scale, wide.data(), wide.cols(), max.data(), sums.data(),
                         A.data(), A.cols());
    CHECK(
        (wide.rightCols(2).array() == 99).all());  // there is room for 16 numbers more, and not all are used
    return wide.leftCols(S.cols());
  }

  void add(const SimdKernels& kernels, const Matrix& S, const Matrix& V, float scale) {
    A += weigh(kernels, S, scale) * V;
  }

  Matrix result() const { return A.array().colwise() / sums.array(); }
};

/// softmax(scale S) V in double.
Matrix exact(const Matrix& S, const Matrix& V, float scale) {
  DoubleMatrix P = S.cast<double>() * double{scale};
  for (auto&& row : P.rowwise()) {
    const double max = row.maxCoeff();
    row = (row.array() - max).exp();
    row /= row.sum();
  }
  return (P * V.cast<double>()).cast<float>();
}

/// S V in tiles of these sizes.
Matrix in_tiles(const SimdKernels& kernels, const Matrix& S, const Matrix& V, float scale,
                const std::vector<Index>& tiles) {
  State state(S.rows(), V.cols());
  Index first = 0;
  for (const Index cols : tiles) {
    state.add(kernels, S.middleCols(first, cols), V.middleRows(first, cols), scale);
    first += cols;
  }
  return state.result();
}

const std::vector<std::vector<Index>> ways_to_cut{
    {90}, {1, 89}, {16, 16, 58}, {37, 5, 17, 31}, {3, 32, 33, 15, 7}, {64, 26}};

}  // namespace

TEST_CASE("softmax_tile: several tiles are one softmax, wherever they are cut") {
  const Matrix S = random_matrix(5, 90, 1) * 20, V = random_matrix(90, 7, 2);
  with_each_instruction_set([&](const SimdKernels& kernels) {
    for (const auto& tiles : ways_to_cut)
      for (const float scale : {1.0f, 0.06f, 4.0f})
        CHECK(difference(in_tiles(kernels, S, V, scale, tiles), exact(S, V, scale)) <= 2e-6);
  });
}

TEST_CASE("softmax_tile: what was summed before is scaled down where the maximum rises, and only there") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    State state(2, 3);
    CHECK(same_bits(state.weigh(kernels, Matrix{{2, 2, 2}, {2, 2, 2}}, 0.5f), Matrix::Ones(2, 3)));
    state.A.setConstant(8);
    const Matrix rises_and_stays{{4}, {0}}, weights = state.weigh(kernels, rises_and_stays, 0.5f);
    const float less = std::exp(-1.0f);
    CHECK(state.max == Vector{{4, 2}});
    CHECK(difference(weights, Matrix{{1}, {less}}) <= 1e-7);
    CHECK(difference(state.sums, Vector{{3 * less + 1, 3 + less}}) <= 2e-7);
    CHECK(difference(state.A, Matrix{{8 * less, 8 * less, 8 * less}, {8, 8, 8}}) <= 1e-7);
  });
}

TEST_CASE("softmax_tile: hidden keys weigh nothing, and a row may be hidden in any tile") {
  Matrix S = random_matrix(4, 90, 1) * 5;
  const Matrix V = random_matrix(90, 3, 2);
  S.row(0).head(60).setConstant(-infinity);
  S.row(1).tail(60).setConstant(-infinity);
  S.row(2).segment(17, 60).setConstant(-infinity);
  for (Index key = 0; key < 90; key += 3) S(3, key) = -infinity;
  with_each_instruction_set([&](const SimdKernels& kernels) {
    for (const auto& tiles : ways_to_cut)
      CHECK(difference(in_tiles(kernels, S, V, 1, tiles), exact(S, V, 1)) <= 2e-6);
    State state(1, 3);
    CHECK(same_bits(state.weigh(kernels, Matrix::Constant(1, 20, -infinity), 1), Matrix::Zero(1, 20)));
    CHECK(state.sums[0] == 0);
    CHECK(state.max[0] == -infinity);
  });
}

TEST_CASE(
    "softmax_tile: a NaN or an infinite score anywhere makes the row's sum NaN for good, and no other") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    for (const float bad : {nan_value, infinity})
      for (const Index cols : {1, 7, 16, 17, 40})
        for (Index at = 0; at < cols; ++at)
          for (const bool first : {true, false}) {
            State state(3, 2);
            Matrix S = random_matrix(3, cols, 1);
            if (!first) state.weigh(kernels, S, 1);
            S(1, at) = bad;
            state.weigh(kernels, S, 1);
            state.weigh(kernels, random_matrix(3, 19, 2) * 100, 1);
            if (rows_with_nan(state.sums) != range(1, 1)) FAIL("at ", at, " of ", cols);
          }
  });
}

TEST_CASE("softmax_tile: a weight is e^x to one unit in the last place, and 0 below -80") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    double worst = 0;
    for (int tile = 0; tile < 200; ++tile) {
      Matrix x(1, 1001);  // the maximum is 0, so that all else is x
      for (Index i = 0; i < 1001; ++i)
        x(0, i) =
            -static_cast<float>(i) * 0.08f - static_cast<float>(tile) * 0.000397f * (i > 0 ? 1.0f : 0.0f);
      const Matrix weights = State(1, 0).weigh(kernels, x, 1);
      CHECK(weights(0, 0) == 1);
      for (Index i = 0; i < 1001 && x(0, i) >= -80; ++i) {
        const double e = std::exp(double{x(0, i)});
        const auto nearest = static_cast<float>(e);
        worst = std::max(worst, std::abs(double{weights(0, i)} - e) /
                                    double{std::nextafter(nearest, HUGE_VALF) - nearest});
      }
    }
    CHECK(worst <= 1.0);
    CHECK(same_bits(State(1, 0).weigh(kernels, Matrix{{0, -80.1f, -1e30f, -infinity}}, 1),
                    Matrix{{1, 0, 0, 0}}));
  });
}

}  // namespace test_softmax_tile
