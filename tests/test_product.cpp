// Matrix products with every instruction set: on whole numbers, where every order of summation gives the same exact
// result, so that one wrong index shows; and within rounding of sums in double.
#include "t5gemma2/kernels/product.hpp"

#include "fixture.hpp"
#include "simd_fixture.hpp"

namespace test_product {

using namespace t5gemma2;

namespace {

using DoubleMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Size {
  Index rows, depth, cols;
};

/// Every number of rows with every depth and, over all of them, every number of columns.
std::vector<Size> sizes() {
  const Index cols[] = {1, 5, 15, 16, 17, 31, 33, 64, 65, 130};
  std::vector<Size> all;
  for (const Index rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 30})
    for (const Index depth : {1, 3, 7, 8, 63, 64, 65, 72, 129, 640, 641, 1300})
      if (depth < 600 || rows % 4 == 1 || rows == 30) all.push_back({rows, depth, cols[all.size() % 10]});
  return all;
}

std::string text(const Size& size) {
  return " " + std::to_string(size.rows) + "x" + std::to_string(size.depth) + "x" + std::to_string(size.cols);
}

/// x between other numbers, which nobody may read into a result or write.
struct Framed {
  Matrix all;
  Index rows, cols;

  explicit Framed(const Matrix& x, float other = nan_value)
      : all(Matrix::Constant(x.rows() + 2, x.cols() + 5, other)), rows(x.rows()), cols(x.cols()) {
    all.block(1, 2, rows, cols) = x;
  }
  Index stride() const { return all.cols(); }
  float* data() { return &all(1, 2); }
  const float* data() const { return &all(1, 2); }
};

/// The factors and what stands in y before; whole numbers.
struct Factors {
  Size size;
  Matrix x, W, y;  // [rows, depth], [cols, depth], [rows, cols]

  explicit Factors(const Size& s)
      : size(s),
        x(whole_numbers(s.rows, s.depth, 1)),
        W(whole_numbers(s.cols, s.depth, 2)),
        y(whole_numbers(s.rows, s.cols, 3)) {}
};

template <class Stored>
std::vector<Stored> stored(const Matrix& W) {
  std::vector<Stored> numbers;
  for (Index i = 0; i < W.size(); ++i) numbers.push_back(static_cast<Stored>(W.data()[i]));
  return numbers;
}

/// y = x W^T by a kernel, W's rows in those of a wider matrix.
template <class Stored>
Matrix transposed(const SimdKernels& kernels, const Framed& x, const Matrix& W, Framed y) {
  const Framed wide(W, 99);
  const std::vector<Stored> numbers = stored<Stored>(wide.all);
  std::get<MultiplyTransposed<Stored>>(kernels.multiply_transposed)(
      x.rows, x.cols, y.cols, x.data(), x.stride(), &numbers[static_cast<std::size_t>(wide.stride()) + 2],
      wide.stride(), y.data(), y.stride());
  return y.all;
}

template <class Stored>
Matrix transposed(const SimdKernels& kernels, const Matrix& x, const Matrix& W) {
  return transposed<Stored>(kernels, Framed(x), W, Framed(Matrix(x.rows(), W.rows())))
      .block(1, 2, x.rows(), W.rows());
}

/// y += x V by a kernel.
Matrix added(const SimdKernels& kernels, const Framed& x, const Framed& V, Framed y) {
  kernels.multiply_add(x.rows, x.cols, y.cols, x.data(), x.stride(), V.data(), V.stride(), y.data(),
                       y.stride());
  return y.all;
}

Matrix added(const SimdKernels& kernels, const Matrix& x, const Matrix& V, const Matrix& y) {
  return added(kernels, Framed(x), Framed(V), Framed(y)).block(1, 2, y.rows(), y.cols());
}

/// W [cols, depth] in panels.
std::vector<float> packed(const SimdKernels& kernels, const Matrix& W) {
  const Index panels = (W.rows() + kernels.panel_cols - 1) / kernels.panel_cols;
  std::vector<float> numbers(static_cast<std::size_t>(panels * kernels.panel_cols * W.cols() + 1), 99);
  const Framed rows(W);
  kernels.pack_transposed(W.cols(), W.rows(), rows.data(), rows.stride(), numbers.data());
  return numbers;
}

/// The rounding of y + x W^T: largest |found - exact| in units of 2^-24 of the sum of |products|.
struct Rounding {
  DoubleMatrix exact, unit;

  Rounding(const Matrix& x, const Matrix& W, const Matrix& y)
      : exact(x.cast<double>() * W.cast<double>().transpose() + y.cast<double>()),
        unit((x.cwiseAbs() * W.cwiseAbs().transpose() + y.cwiseAbs()).cast<double>() * 0x1p-24) {}

  double operator()(const Matrix& found) const {
    return ((found.cast<double>() - exact).array().abs() / unit.array()).maxCoeff<Eigen::PropagateNaN>();
  }
};

}  // namespace

TEST_CASE(
    "product: x W^T is exact for whole numbers of every type, in every size, and nothing beside y is "
    "written") {
  std::string wrong;
  for (const Size& size : sizes()) {
    const Factors f(size);
    const Framed x(f.x), before(f.y);
    const Matrix expected = Framed(Matrix::Zero(size.rows, size.cols) + f.x * f.W.transpose()).all;
    with_each_instruction_set([&](const SimdKernels& kernels) {
      if (!same_bits(transposed<float>(kernels, x, f.W, before), expected)) wrong += text(size);
      if (!same_bits(transposed<Float16>(kernels, x, f.W, before), expected)) wrong += text(size) + "f16";
      if (!same_bits(transposed<BFloat16>(kernels, x, f.W, before), expected)) wrong += text(size) + "bf16";
    });
  }
  CHECK(wrong == "");
}

TEST_CASE("product: y + x V is exact for whole numbers, in every size, and nothing beside y is written") {
  std::string wrong;
  for (const Size& size : sizes()) {
    const Factors f(size);
    const Framed x(f.x), V(f.W.transpose()), before(f.y);
    const Matrix expected = Framed(f.y + f.x * f.W.transpose()).all;
    with_each_instruction_set([&](const SimdKernels& kernels) {
      if (!same_bits(added(kernels, x, V, before), expected)) wrong += text(size);
    });
  }
  CHECK(wrong == "");
}

TEST_CASE("product: of no depth is 0, and adds nothing") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    for (const Index rows : {1, 4, 5, 13}) {
      CHECK(same_bits(transposed<float>(kernels, Matrix(rows, 0), Matrix(33, 0)), Matrix::Zero(rows, 33)));
      const Matrix y = whole_numbers(rows, 33, 1);
      CHECK(added(kernels, Matrix(rows, 0), Matrix(0, 33), y) == y);
    }
  });
}

TEST_CASE("product: rounding stays below that of one product added after the other") {
  for (const Index rows : {1, 4, 7})
    for (const Index depth : {1, 8, 65, 1300}) {
      const Matrix x = random_matrix(rows, depth, 1), W = random_matrix(19, depth, 2),
                   y = random_matrix(rows, 19, 3);
      const Rounding of_product(x, W, Matrix::Zero(rows, 19)), of_sum(x, W, y);
      CAPTURE(rows);
      CAPTURE(depth);
      with_each_instruction_set([&](const SimdKernels& kernels) {
        CHECK(of_product(transposed<float>(kernels, x, W)) <= static_cast<double>(depth));
        CHECK(of_sum(added(kernels, x, W.transpose(), y)) <= static_cast<double>(depth + 1));
      });
    }
}

TEST_CASE("product: sums of long rows round as chains of at most 128 do") {
  const Index depth = 4096;  // equal products: their sum in one chain is off by hundreds of units
  const float number = 1 + 0x1p-12f + 0x1p-23f;
  const double exact = static_cast<double>(depth) * double{number};
  with_each_instruction_set([&](const SimdKernels& kernels) {
    for (const Index rows : {1, 4, 6, 30}) {
      const Matrix y =
          transposed<float>(kernels, Matrix::Constant(rows, depth, number), Matrix::Ones(33, depth));
      CHECK((y.cast<double>().array() / exact - 1).abs().maxCoeff() <= 160 * 0x1p-24);
    }
  });
}

TEST_CASE("product: a row is the same to the last bit whichever other rows are multiplied with it") {
  const Matrix x = random_matrix(30, 700, 1), W = random_matrix(37, 700, 2), y = random_matrix(30, 37, 3);
  with_each_instruction_set([&](const SimdKernels& kernels) {
    const Matrix product = transposed<BFloat16>(kernels, x, W), sum = added(kernels, x, W.transpose(), y);
    for (Index rows = few_rows + 1; rows < 15; ++rows) {
      CHECK(same_bits(transposed<BFloat16>(kernels, x.bottomRows(rows), W), product.bottomRows(rows)));
      CHECK(same_bits(added(kernels, x.bottomRows(rows), W.transpose(), y.bottomRows(rows)),
                      sum.bottomRows(rows)));
    }
  });
}

TEST_CASE("product: every finite float16 and bfloat16 is multiplied as the float32 it stands for") {
  Matrix halves(2048, 32), brains(2048, 32);  // all 65536 patterns, those that are no numbers as 0
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float half = to_float(Eigen::half_impl::raw_uint16_to_half(static_cast<std::uint16_t>(bits)));
    const float brain = std::bit_cast<float>(bits << 16);
    halves.data()[bits] = std::isfinite(half) ? half : 0;
    brains.data()[bits] = std::isfinite(brain) ? brain : 0;
  }
  const Matrix one = Matrix::Identity(32, 32);
  const auto equal = [](const Matrix& a, const Matrix& b) { return (a.array() == b.array()).all(); };
  with_each_instruction_set([&](const SimdKernels& kernels) {
    CHECK(equal(transposed<Float16>(kernels, one, halves), halves.transpose()));
    CHECK(equal(transposed<BFloat16>(kernels, one, brains), brains.transpose()));
    for (const Index lane : {0, 11, 22, 28}) {
      const Matrix rows = one.middleRows(lane, 4);
      CHECK(equal(transposed<Float16>(kernels, rows, halves), halves.transpose().middleRows(lane, 4)));
      CHECK(equal(transposed<BFloat16>(kernels, rows, brains), brains.transpose().middleRows(lane, 4)));
    }
  });
}

TEST_CASE("product: a NaN makes NaN of its row or its column, and of nothing else") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    for (const Index rows : {1, 3, 5, 13})
      for (const Index k : {0, 31, 39, 40}) {
        const Matrix x = random_matrix(rows, 41, 1), W = random_matrix(37, 41, 2),
                     y = random_matrix(rows, 37, 3), bad = with_nan(x, rows - 1, k);
        for (const Matrix& product :
             {transposed<float>(kernels, bad, W), added(kernels, bad, W.transpose(), y)}) {
          CHECK(rows_with_nan(product) == range(rows - 1, rows - 1));
          CHECK(product.row(rows - 1).array().isNaN().all());
        }
        for (const Index col : {0, 20, 36}) {
          const Matrix broken = with_nan(W, col, k);
          for (const Matrix& product :
               {transposed<float>(kernels, x, broken), transposed<Float16>(kernels, x, broken),
                transposed<BFloat16>(kernels, x, broken), added(kernels, x, broken.transpose(), y)}) {
            CHECK(rows_with_nan(product.transpose()) == range(col, col));
            CHECK(product.col(col).array().isNaN().all());
          }
        }
      }
  });
}

TEST_CASE("product: panels are columns side by side, 0 beyond the last, from rows or from columns") {
  with_each_instruction_set([](const SimdKernels& kernels) {
    REQUIRE(32 % kernels.panel_cols == 0);
    for (const Index cols : {1, 8, 15, 16, 31, 32, 33, 70})
      for (const Index depth : {1, 5, 16, 31, 66}) {
        const Matrix W = random_matrix(cols, depth, 1);
        const std::vector<float> panels = packed(kernels, W);
        std::vector<float> expected(panels.size(), 0), from_columns(panels.size(), 99);
        for (Index col = 0; col < cols; ++col)
          for (Index k = 0; k < depth; ++k)
            expected[static_cast<std::size_t>((col / kernels.panel_cols * depth + k) * kernels.panel_cols +
                                              col % kernels.panel_cols)] = W(col, k);
        expected.back() = 99;  // beyond the last panel
        CHECK(panels == expected);
        const Framed V(W.transpose());
        kernels.pack_columns(depth, cols, V.data(), V.stride(), from_columns.data());
        CHECK(from_columns == expected);
      }
  });
}

TEST_CASE("product: multiply_panels takes some of the panels, and a part of their depth") {
  std::string wrong;
  const Index depth = 75, all_cols = 100;
  const Matrix W = whole_numbers(all_cols, depth, 2);
  with_each_instruction_set([&](const SimdKernels& kernels) {
    const std::vector<float> panels = packed(kernels, W);
    const Index distance = depth * kernels.panel_cols;
    for (const Size& size :
         std::vector<Size>{{1, 75, 100}, {5, 40, 32}, {6, 1, 68}, {13, 33, 7}, {30, 75, 64}})
      for (const Index first_col : {0, 32})
        for (const Index first : {Index{0}, depth - size.depth})
          for (const bool add : {false, true}) {
            const Index cols = std::min(size.cols, all_cols - first_col);
            const Matrix x = whole_numbers(size.rows, size.depth, 1), y = whole_numbers(size.rows, cols, 3);
            const Matrix product = x * W.block(first_col, first, cols, size.depth).transpose();
            const Framed factor(x);
            Framed found(y);
            kernels.multiply_panels(size.rows, size.depth, cols, factor.data(), factor.stride(),
                                    panels.data() + first_col * depth + first * kernels.panel_cols, distance,
                                    found.data(), found.stride(), add);
            if (!same_bits(found.all, Framed(add ? y + product : product).all)) wrong += text(size);
          }
  });
  CHECK(wrong == "");
}

TEST_CASE("product: multiply_transposed and multiply_add take rows that are a block of wider ones") {
  for (const Index rows : {1, 2, 4, 5, 6, 7, 9, 13, 70})
    for (const Index cols : {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 40, 65}) {
      const Index depth = 3 + (rows + cols) % 20;
      const Matrix x = whole_numbers(rows, depth + 5, 1), wide = whole_numbers(depth, cols + 9, 2),
                   tall = whole_numbers(cols, depth + 4, 3);
      const auto part = x.middleCols(2, depth);
      Matrix y = Matrix::Constant(rows, cols + 2, 99);
      multiply_transposed(part, tall.data() + 1, tall.cols(), y.middleCols(1, cols));
      const Matrix product = part * tall.middleCols(1, depth).transpose();
      CHECK(same_bits(y.middleCols(1, cols), product));
      multiply_add(part, wide.middleCols(3, cols), y.middleCols(1, cols));
      CHECK(same_bits(y.middleCols(1, cols), product + part * wide.middleCols(3, cols)));
      CHECK((y.col(0).array() == 99).all());
      CHECK((y.col(cols + 1).array() == 99).all());
    }
}

}  // namespace test_product
