// RoPE: angles by hand, pairs and signs, and what makes it a relative position.
#include "t5gemma2/rope.hpp"

#include "fixture.hpp"

namespace test_rope {

using namespace t5gemma2;

namespace {

const RopeConfig local{.theta = 10000, .factor = 1}, global{.theta = 1000000, .factor = 8};

/// x [1, heads*dh] turned as the token at `position`.
Matrix rotated(const Matrix& x, Index position, Index head_dim, const RopeConfig& rope = local) {
  return apply_rope(x, rope_at(rope, head_dim, position, 1));
}

}  // namespace

TEST_CASE("rope: frequencies are base^(-2i/dh) / factor") {
  const Vector f = rope_frequencies({.theta = 10000, .factor = 1}, 8);
  REQUIRE(f.size() == 4);
  for (const int i : {0, 1, 2, 3}) CHECK(f[i] == doctest::Approx(std::pow(10.0, -i)).epsilon(1e-6));
  const Vector slow = rope_frequencies({.theta = 10000, .factor = 8}, 8);
  CHECK(same_bits(slow * 8, f));
  CHECK(rope_frequencies(global, 256)[127] == doctest::Approx(std::pow(1e6, -254.0 / 256) / 8).epsilon(1e-6));
}

TEST_CASE("rope: the first half turns into the second, not the other way round") {
  Matrix x = Matrix::Zero(1, 4);
  x(0, 0) = 1;  // i = 0, frequency 1
  const Matrix y = rotated(x, 1, 4);
  CHECK(y(0, 0) == doctest::Approx(std::cos(1.0)));
  CHECK(y(0, 2) == doctest::Approx(std::sin(1.0)));
  CHECK(y(0, 1) == 0);
  CHECK(y(0, 3) == 0);
  x.setZero();
  x(0, 3) = 1;  // the partner of i = 1, frequency 1/100
  const Matrix z = rotated(x, 50, 4);
  CHECK(z(0, 1) == doctest::Approx(-std::sin(0.5)));
  CHECK(z(0, 3) == doctest::Approx(std::cos(0.5)));
}

TEST_CASE("rope: position 0 turns nothing") {
  const Matrix x = random_matrix(1, 24, 1);
  CHECK(same_bits(rotated(x, 0, 8), x));
}

TEST_CASE("rope: every position has its own angle, and every head the same") {
  const Matrix x = random_matrix(150, 6, 1);
  Matrix heads(150, 18);
  heads << x, x, x;
  const Matrix y = apply_rope(heads, rope_at(local, 6, 0, 150));
  for (const Index head : {0, 1, 2}) CHECK(same_bits(y.middleCols(head * 6, 6), y.leftCols(6)));
  for (Index row = 0; row < 150; ++row) CHECK(same_bits(y.row(row).leftCols(6), rotated(x.row(row), row, 6)));
}

TEST_CASE("rope: the engine's form equals the plain form, for heads of any even size") {
  for (const Index head_dim : {2, 6, 16, 18, 34, 72, 256}) {
    const CosSin rope = rope_at(local, head_dim, 1000, 70);
    const Matrix x = random_matrix(70, 3 * head_dim, 1);
    CAPTURE(head_dim);
    CHECK(difference(apply_rope(x, rope), plain_apply_rope(x, rope)) <= 2e-7);
  }
}

TEST_CASE("rope: a rotation from first_position on is part of the one from 0 on") {
  const CosSin all = rope_at(global, 10, 0, 500), part = rope_at(global, 10, 70, 130);
  CHECK(same_bits(part.cos, all.cos.middleRows(70, 130)));
  CHECK(same_bits(part.sin, all.sin.middleRows(70, 130)));
}

TEST_CASE("rope: the product of q and k depends on their distance alone") {
  const Matrix q = random_matrix(1, 8, 1), k = random_matrix(1, 8, 2);
  for (const RopeConfig& rope : {local, global}) {
    const auto product = [&](Index i, Index j) {
      return rotated(q, i, 8, rope).row(0).dot(rotated(k, j, 8, rope).row(0));
    };
    CHECK(product(5, 2) == doctest::Approx(product(103, 100)).epsilon(1e-4));
    CHECK(product(2, 5) == doctest::Approx(product(100, 103)).epsilon(1e-4));
    CHECK(std::abs(product(5, 2) - product(6, 2)) > 1e-3);
    CHECK(std::abs(product(5, 2) - product(2, 5)) > 1e-3);
  }
}

TEST_CASE("rope: factor 8 stands for positions eight times as near") {
  const RopeConfig near{.theta = 1000000, .factor = 1};
  const Matrix x = random_matrix(1, 16, 1);
  CHECK(difference(rotated(x, 80, 16, global), rotated(x, 10, 16, near)) <= 1e-6);
  CHECK(difference(rotated(x, 10, 16, global), rotated(x, 10, 16, near)) > 0.1);
}

TEST_CASE("rope: far positions are rotated by the float32 angle, as in the reference") {
  const Vector f = rope_frequencies(local, 64);
  const CosSin rope = rope_at(local, 64, 131071, 1);
  for (Index i = 0; i < 32; ++i) {
    const double angle{131071.0f * f[i]};
    CHECK(std::abs(double{rope.cos(0, i)} - std::cos(angle)) <= 1e-7);
    CHECK(std::abs(double{rope.sin(0, i)} - std::sin(angle)) <= 1e-7);
  }
}

TEST_CASE("rope: lengths stay, and a NaN stays NaN in its row alone") {
  const Matrix x = random_matrix(70, 16, 1), y = apply_rope(x, rope_at(local, 8, 3, 70));
  for (Index row = 0; row < 70; ++row) CHECK(y.row(row).norm() == doctest::Approx(x.row(row).norm()));
  const Matrix z = apply_rope(with_nan(x, 66, 9), rope_at(local, 8, 3, 70));
  CHECK(rows_with_nan(z) == range(66, 66));
  CHECK(std::isnan(z(66, 9)));
  CHECK(std::isnan(z(66, 13)));
}

TEST_CASE("rope: rows and widths that do not fit are refused") {
  const CosSin rope = rope_at(local, 8, 0, 3);
  CHECK_THROWS_AS(apply_rope(Matrix(4, 16), rope), std::invalid_argument);
  CHECK_THROWS_AS(apply_rope(Matrix(3, 12), rope), std::invalid_argument);
  CHECK_THROWS_AS(plain_apply_rope(Matrix(4, 16), rope), std::invalid_argument);
  CHECK(apply_rope(Matrix(0, 16), rope_at(local, 8, 5, 0)).rows() == 0);
}

TEST_CASE("rope: the same numbers for any number of threads") {
  CHECK(same_for_any_threads(
      [] { return apply_rope(random_matrix(300, 24, 1), rope_at(global, 8, 11, 300)); }));
}

TEST_CASE("rope: what is not set, or of another size, is refused by name") {
  CHECK_THROWS_WITH_AS(rope_at({.theta = 0, .factor = 1}, 8, 0, 1),
                       "rope theta: expected a number above 0, found 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(rope_at({.theta = 10}, 8, 0, 1), "rope factor: expected a number above 0, found 0",
                       std::invalid_argument);
  for (const Index head_dim : {0, 7, -2})
    CHECK_THROWS_WITH_AS(rope_at(local, head_dim, 0, 1),
                         doctest::Contains("rope head_dim: expected an even number above 0, found"),
                         std::invalid_argument);
  CHECK_THROWS_WITH_AS(rope_at(local, 8, -1, 1), "rope first_position: expected 0 or more, found -1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(rope_at(local, 8, 0, -1), "rope rows: expected 0 or more, found -1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(apply_rope(Matrix(3, 16), {}),
                       "rope cos: expected a column for each pair of a head, found none",
                       std::invalid_argument);
  CosSin rope = rope_at(local, 8, 0, 3);
  rope.sin = Matrix();
  CHECK_THROWS_WITH_AS(apply_rope(Matrix(3, 16), rope), "rope sin: expected [3, 4], found [0, 0]",
                       std::invalid_argument);
}

TEST_CASE("rope: a theta or a factor that is no number in float32 is refused") {
  for (const double bad : {1e-300, 1e39, std::numeric_limits<double>::infinity(), -1.0, double{unset}}) {
    CHECK_THROWS_AS(rope_at({.theta = bad, .factor = 1}, 8, 0, 1), std::invalid_argument);
    CHECK_THROWS_AS(rope_at({.theta = 10, .factor = bad}, 8, 0, 1), std::invalid_argument);
  }
}

}  // namespace test_rope
