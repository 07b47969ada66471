// RMSNorm: against the reference's norms, and row by row, head by head.
#include "t5gemma2/rms_norm.hpp"

#include "fixture.hpp"

namespace test_rms_norm {

using namespace t5gemma2;

TEST_CASE("rms_norm: the reference's inputs give the reference's outputs, before and after each sub-layer") {
  for (const std::string& side : {encoder_path, decoder_path}) {
    for (const Index i : {0, 1}) {
      const Layer& w = fixture_layer(side, i);
      const std::string at = layer_path(side, i);
      CAPTURE(at);
      const Matrix x = reference_layer_input(side, i);
      const Matrix after_attention = x + reference_tensor(at + ".post_self_attn_layernorm");
      CHECK(difference(rms_norm(x, w.pre_self_attn_layernorm, w.eps),
                       reference_tensor(at + ".pre_self_attn_layernorm")) <= tight);
      CHECK(difference(rms_norm(reference_tensor(at + ".self_attn"), w.post_self_attn_layernorm, w.eps),
                       reference_tensor(at + ".post_self_attn_layernorm")) <= tight);
      CHECK(difference(rms_norm(after_attention, w.pre_feedforward_layernorm, w.eps),
                       reference_tensor(at + ".pre_feedforward_layernorm")) <= tight);
      CHECK(difference(rms_norm(reference_tensor(at + ".mlp"), w.post_feedforward_layernorm, w.eps),
                       reference_tensor(at + ".post_feedforward_layernorm")) <= tight);
    }
    const Vector& last = side == encoder_path ? fixture_model().encoder.norm : fixture_model().decoder.norm;
    CHECK(difference(rms_norm(reference_tensor(layer_path(side, 1)), last, fixture_layer(side, 1).eps),
                     reference_tensor(side + "norm")) <= tight);
  }
}

TEST_CASE("rms_norm: the reference's q and k give the reference's q_norm and k_norm, head by head") {
  for (const std::string& side : {encoder_path, decoder_path})
    for (const Index i : {0, 1}) {
      const Attention& w = fixture_layer(side, i).self_attn;
      const std::string at = layer_path(side, i) + ".self_attn.";
      CAPTURE(at);
      CHECK(difference(rms_norm_heads(reference_tensor(at + "q_proj"), w.q_norm, w.eps),
                       reference_heads(at + "q_norm")) <= tight);
      CHECK(difference(rms_norm_heads(reference_tensor(at + "k_proj"), w.k_norm, w.eps),
                       reference_heads(at + "k_norm")) <= tight);
      if (side == encoder_path) continue;
      CHECK(difference(rms_norm_heads(reference_tensor(at + "k_proj[1]"), w.k_norm, w.eps),
                       reference_heads(at + "k_norm[1]")) <= tight);
    }
}

TEST_CASE("rms_norm: a row by hand, with 1 + weight") {
  const Matrix y = rms_norm(Matrix{{3, 4}}, Vector{{0.0f, 1.0f}}, 0.5f);  // mean square 12.5, + 0.5 = 13
  CHECK(y(0, 0) == doctest::Approx(3 / std::sqrt(13.0)).epsilon(1e-6));
  CHECK(y(0, 1) == doctest::Approx(8 / std::sqrt(13.0)).epsilon(1e-6));
}

TEST_CASE("rms_norm: eps stands under the root") {
  const Matrix y = rms_norm(Matrix::Constant(1, 4, 0.001f), Vector::Zero(4), 1e-6f);
  CHECK(y(0, 0) == doctest::Approx(std::sqrt(0.5)).epsilon(1e-6));  // beside the root it would be 0.999
  CHECK(same_bits(rms_norm(Matrix::Zero(1, 4), Vector::Ones(4), 1e-6f), Matrix::Zero(1, 4)));
}

TEST_CASE("rms_norm: every row is normalised by itself") {
  const Vector weight = 0.5f * random_vector(24, 1);  // 1 + weight stays away from 0
  Matrix x = random_matrix(200, 24, 2);
  for (Index row = 0; row < x.rows(); ++row) x.row(row) *= static_cast<float>(1 + row);
  const Matrix y = rms_norm(x, weight, 1e-6f);
  for (Index row = 0; row < x.rows(); ++row) {
    CAPTURE(row);
    CHECK(same_bits(y.row(row), rms_norm(x.row(row), weight, 1e-6f)));
    const auto unit = (y.row(row).transpose().array() / (1 + weight.array())).eval();
    CHECK(unit.square().mean() == doctest::Approx(1).epsilon(1e-5));
  }
}

TEST_CASE("rms_norm: the engine's form equals the plain form, for widths that are no multiple of anything") {
  for (const Index size : {1, 2, 7, 16, 33, 100, 640})
    for (const Index heads : {1, 3}) {
      const Vector weight = random_vector(size, 1);
      const Matrix x = random_matrix(130, heads * size, 2) * 20;
      CAPTURE(size);
      CHECK(difference(rms_norm_heads(x, weight, 0.02f), plain_rms_norm_heads(x, weight, 0.02f)) <= tight);
    }
}

TEST_CASE("rms_norm: every head is normalised by itself") {
  const Vector weight = random_vector(6, 1);
  Matrix x = random_matrix(50, 18, 2);
  x.middleCols(6, 6) *= 100;
  const Matrix y = rms_norm_heads(x, weight, 1e-6f);
  for (const Index head : {0, 1, 2})
    CHECK(same_bits(y.middleCols(head * 6, 6), rms_norm(x.middleCols(head * 6, 6), weight, 1e-6f)));
}

TEST_CASE("rms_norm: a NaN makes all of its row NaN and no other, and with heads all of its head") {
  for (const Index row : {0, 1, 64, 129})
    for (const Index col : {0, 23}) {
      const Matrix y = rms_norm(with_nan(random_matrix(130, 24, 1), row, col), random_vector(24, 2), 1e-6f);
      CHECK(rows_with_nan(y) == range(row, row));
      CHECK(y.row(row).array().isNaN().all());
    }
  const Matrix y = rms_norm_heads(with_nan(random_matrix(5, 24, 1), 3, 9), random_vector(8, 2), 1e-6f);
  CHECK(rows_with_nan(y.transpose()) == range(8, 15));
  CHECK(
      rms_norm(random_matrix(2, 8, 1), with_nan(random_matrix(1, 8, 2), 0, 5).row(0), 1e-6f).col(5).hasNaN());
}

TEST_CASE("rms_norm: another width is refused, no rows are fine") {
  CHECK(rms_norm(Matrix(0, 8), Vector::Zero(8), 1e-6f).rows() == 0);
  CHECK_THROWS_WITH_AS(rms_norm(Matrix(2, 9), Vector::Zero(8), 1e-6f),
                       "rms_norm weight: expected [9], found [8]", std::invalid_argument);
  CHECK_THROWS_AS(rms_norm(Matrix(2, 16), Vector::Zero(8), 1e-6f), std::invalid_argument);
  CHECK_THROWS_AS(rms_norm_heads(Matrix(2, 20), Vector::Zero(8), 1e-6f), std::invalid_argument);
  CHECK_THROWS_AS(plain_rms_norm_heads(Matrix(2, 20), Vector::Zero(8), 1e-6f), std::invalid_argument);
}

TEST_CASE("rms_norm: the same numbers for any number of threads") {
  const Matrix x = random_matrix(300, 40, 1);
  CHECK(same_for_any_threads([&] { return rms_norm_heads(x, random_vector(8, 2), 1e-6f); }));
}

TEST_CASE("rms_norm: a weight or an eps that is not set is refused") {
  CHECK_THROWS_WITH_AS(rms_norm(Matrix(2, 8), Vector(), 1e-6f), "rms_norm weight: expected [8], found [0]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(rms_norm_heads(Matrix(2, 8), Vector(), 1e-6f),
                       "rms_norm weight: expected 1 number or more, found none", std::invalid_argument);
  for (const float eps : {unset, -1e-6f})
    CHECK_THROWS_WITH_AS(rms_norm(Matrix(2, 8), Vector::Zero(8), eps),
                         doctest::Contains("rms_norm eps: expected 0 or more, found"), std::invalid_argument);
  CHECK(rms_norm(Matrix::Ones(1, 8), Vector::Zero(8), 0) == Matrix::Ones(1, 8));
}

}  // namespace test_rms_norm
