// Linear layers and the numbers they are stored in, on whole numbers, where every order of summation gives the
// same exact result, and on the reference's own inputs.
#include "t5gemma2/linear.hpp"

#include <limits>
#include <string>

#include "argument_error.hpp"
#include "fixture.hpp"
#include "t5gemma2/precision.hpp"

namespace test_linear {

using namespace t5gemma2;

namespace {

constexpr StorageType all_types[] = {StorageType::float32, StorageType::float16, StorageType::bfloat16};

/// Whether linear, its plain form and the sum written out agree, to the last bit.
bool agrees(Index rows, Index in, Index out, StorageType type) {
  const auto seed = static_cast<unsigned>(rows * 10007 + in * 101 + out);
  const Matrix x = whole_numbers(rows, in, seed), W = whole_numbers(out, in, seed + 1);
  const StoredMatrix stored(W, type);
  Matrix expected = Matrix::Zero(rows, out);
  for (Index row = 0; row < rows; ++row)
    for (Index o = 0; o < out; ++o)
      for (Index i = 0; i < in; ++i) expected(row, o) += x(row, i) * W(o, i);
  return same_bits(linear(x, stored.weight()), expected) &&
         same_bits(plain_linear(x, stored.weight()), expected);
}

}  // namespace

TEST_CASE("linear: a product by hand") {
  const StoredMatrix W(Matrix{{1, 2, 3}, {4, 5, 6}});
  const Matrix x{{1, 0, -1}, {2, 1, 0}};
  CHECK(same_bits(linear(x, W.weight()), Matrix{{-2, -2}, {4, 13}}));
}

TEST_CASE("linear: equals the plain form in all storage types and sizes that are no multiple of a tile") {
  std::string wrong;
  for (const StorageType type : all_types)
    for (const Index rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 200})
      for (Index size = 1; size <= 70; ++size)
        for (const auto& [in, out] : {std::pair(size, Index{33}), {Index{31}, size}, {size, 71 - size}})
          if (rows < 10 || size % 23 == 1)
            if (!agrees(rows, in, out, type))
              wrong += " " + std::to_string(rows) + "x" + std::to_string(in) + "x" + std::to_string(out);
  CHECK(wrong == "");
}

TEST_CASE("linear: equals the plain form where rows and outputs are cut into tasks") {
  for (const Index rows : {1, 4, 5, 511, 512, 513, 1030})
    for (const Index out : {63, 64, 65, 127, 128, 129, 257}) {
      CAPTURE(rows);
      CAPTURE(out);
      CHECK(agrees(rows, 5, out, StorageType::bfloat16));
    }
}

TEST_CASE("linear: numbers that are not whole stay within rounding of the sum in double") {
  for (const Index rows : {1, 4, 5, 11}) {
    const Matrix x = random_matrix(rows, 640, 1), W = random_matrix(70, 640, 2);
    const auto exact = (x.cast<double>() * W.cast<double>().transpose()).eval();
    CHECK(difference(linear(x, StoredMatrix(W).weight()), exact) <= 1e-6);
  }
}

TEST_CASE("linear: no rows in, no rows out, and another width is refused") {
  const StoredMatrix W(random_matrix(3, 4, 1));
  CHECK(linear(Matrix(0, 4), W.weight()).rows() == 0);
  CHECK(linear(Matrix(0, 4), W.weight()).cols() == 3);
  CHECK_THROWS_WITH_AS(linear(Matrix(2, 5), W.weight()), "linear x: expected [any, 4], found [2, 5]",
                       std::invalid_argument);
  CHECK_THROWS_AS(plain_linear(Matrix(2, 3), W.weight()), std::invalid_argument);
}

TEST_CASE("linear: a weight that nobody has set, or that is no matrix of numbers, is refused") {
  const StoredMatrix stored(random_matrix(3, 4, 1), StorageType::bfloat16);
  Weight no_data = stored.weight(), no_rows = stored.weight(), no_cols = stored.weight(),
         misaligned = stored.weight();
  no_data.data = nullptr;
  no_rows.rows = -1;
  no_cols.cols = -1;
  ++misaligned.data;
  for (const Matrix& x : {random_matrix(2, 4, 2), Matrix(2, 0)})
    for (Matrix (*const product)(const Matrix&, const Weight&) : {&linear, &plain_linear}) {
      const char* none = "linear W: expected a stored matrix, found none";
      CHECK_THROWS_WITH_AS(product(x, Weight{}), none, std::invalid_argument);
      CHECK_THROWS_WITH_AS(product(x, no_data), none, std::invalid_argument);
      CHECK_THROWS_WITH_AS(product(x, no_rows), "linear W: expected 0 rows or more, found -1",
                           std::invalid_argument);
      CHECK_THROWS_WITH_AS(product(x, no_cols), "linear W: expected 0 columns or more, found -1",
                           std::invalid_argument);
      CHECK_THROWS_WITH_AS(product(x, misaligned),
                           "linear W: expected an address at a multiple of 2 bytes, found one that is not",
                           std::invalid_argument);
    }
  CHECK_THROWS_WITH_AS(to_matrix(no_data, 0, 3), "stored_rows W: expected a stored matrix, found none",
                       std::invalid_argument);
}

TEST_CASE("linear: to_matrix refuses rows that W does not have") {
  const StoredMatrix W(random_matrix(3, 4, 1));
  const auto complaint = [&](Index first, Index count) {
    return argument_error([&] { to_matrix(W.weight(), first, count); });
  };
  CHECK(complaint(3, 0) == "");
  CHECK(complaint(-1, 1) == "stored_rows first: expected a row of W, found -1");
  CHECK(complaint(4, 0) == "stored_rows first: expected a row of W, found 4");
  CHECK(complaint(0, -1) == "stored_rows count: expected a number of rows of W, found -1");
  CHECK(complaint(0, 4) == "stored_rows count: expected a number of rows of W, found 4");
  CHECK(complaint(2, 2) == "stored_rows count: expected a number of rows of W, found 2");
  constexpr Index most = std::numeric_limits<Index>::max();
  CHECK(complaint(1, most) != "");
  CHECK(complaint(most, 1) != "");
}

TEST_CASE("linear: the reference's inputs give the reference's outputs") {
  for (const Index i : {0, 1})
    for (const std::string& side : {encoder_path, decoder_path}) {
      const Layer& layer = fixture_layer(side, i);
      const std::string at = layer_path(side, i);
      CAPTURE(at);
      const Matrix x = reference_tensor(at + ".pre_self_attn_layernorm"),
                   y = reference_tensor(at + ".pre_feedforward_layernorm");
      const Attention& w = layer.self_attn;
      CHECK(difference(linear(x, w.q_proj), reference_tensor(at + ".self_attn.q_proj")) <= tight);
      CHECK(difference(linear(x, w.k_proj), reference_tensor(at + ".self_attn.k_proj")) <= tight);
      CHECK(difference(linear(x, w.v_proj), reference_tensor(at + ".self_attn.v_proj")) <= tight);
      CHECK(difference(linear(y, layer.mlp.gate_proj), reference_tensor(at + ".mlp.gate_proj")) <= tight);
      CHECK(difference(linear(y, layer.mlp.up_proj), reference_tensor(at + ".mlp.up_proj")) <= tight);
      const Matrix gated =
          (reference_tensor(at + ".mlp.act_fn").array() * reference_tensor(at + ".mlp.up_proj").array());
      CHECK(difference(linear(gated, layer.mlp.down_proj), reference_tensor(at + ".mlp.down_proj")) <= tight);
    }
}

TEST_CASE("linear: a NaN in x makes its whole row NaN and no other, one in W its output") {
  const StoredMatrix W(random_matrix(37, 40, 1));
  for (const Index rows : {1, 3, 4, 5, 8, 13, 200})
    for (const Index row : {Index{0}, rows / 2, rows - 1})
      for (const Index col : {0, 31, 32, 39}) {
        const Matrix y = linear(with_nan(random_matrix(rows, 40, 2), row, col), W.weight());
        CHECK(rows_with_nan(y) == range(row, row));
        CHECK(y.row(row).array().isNaN().all());
      }
  for (const StorageType type : all_types)
    for (const Index rows : {2, 9}) {
      const StoredMatrix broken(with_nan(random_matrix(37, 40, 1), 36, 7), type);
      CHECK(rows_with_nan(linear(random_matrix(rows, 40, 2), broken.weight()).transpose()) == range(36, 36));
    }
}

TEST_CASE("linear: the same numbers for any number of threads") {
  for (const Index out : {300, 303, 1285}) {
    const StoredMatrix W(random_matrix(out, 50, 1), StorageType::bfloat16);
    const Weight rounded = converted_to(StorageType::int8_blocks, W.weight(), [] {});
    for (const Index rows : {1, 4, 7, 400}) {
      const Matrix x = random_matrix(rows, 50, 2);
      CHECK(same_for_any_threads([&] { return linear(x, W.weight()); }));
      CHECK(same_for_any_threads([&] { return linear(x, rounded); }));
    }
  }
}

TEST_CASE("linear: x rounded to bfloat16, where rows and outputs are cut into tasks") {
  for (const Index rows : {1, 4, 5, 16, 17, 33, 516, 517, 1030})
    for (const Index out : {63, 65, 129}) {
      const Matrix x = whole_numbers(rows, 70, 1), M = whole_numbers(out, 70, 2);
      const StoredMatrix stored(M, StorageType::bfloat16);
      Weight W = stored.weight();
      W.rounds_x = true;
      CAPTURE(rows);
      CAPTURE(out);
      CHECK(same_bits(linear(x, W), Matrix(x * M.transpose())));
    }
}

TEST_CASE("linear: to_matrix gives the rows asked for, as float32") {
  const Matrix W = whole_numbers(9, 5, 1);
  for (const StorageType type : all_types) {
    const StoredMatrix stored(W, type);
    CHECK(same_bits(to_matrix(stored.weight(), 0, 9), W));
    CHECK(same_bits(to_matrix(stored.weight(), 7, 2), W.bottomRows(2)));
    CHECK(to_matrix(stored.weight(), 3, 0).rows() == 0);
  }
}

TEST_CASE("stored_numbers: all 65536 bfloat16 patterns become the float32 they stand for, NaN a NaN") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value =
        to_float(Eigen::bfloat16_impl::raw_uint16_to_bfloat16(static_cast<std::uint16_t>(bits)));
    if (std::bit_cast<std::uint32_t>(value) != bits << 16) FAIL(bits);
    if ((bits & 0x7f80) == 0x7f80 && (bits & 0x7f) != 0 && !std::isnan(value)) FAIL(bits);
  }
}

TEST_CASE("stored_numbers: all 65536 float16 patterns become the float32 they stand for, NaN a NaN") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = to_float(Eigen::half_impl::raw_uint16_to_half(static_cast<std::uint16_t>(bits)));
    const int exponent = static_cast<int>(bits >> 10 & 31), fraction = static_cast<int>(bits & 1023);
    double expected = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) expected = fraction == 0 ? HUGE_VAL : double{nan_value};
    if ((bits & 0x8000) != 0) expected = -expected;
    const bool right = std::isnan(expected)
                           ? std::isnan(value)
                           : double{value} == expected && std::signbit(value) == std::signbit(expected);
    if (!right) FAIL(bits);
  }
}

}  // namespace test_linear
