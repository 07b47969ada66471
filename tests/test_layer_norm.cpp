// LayerNorm: against the reference's norms, by hand, and row by row.
#include "t5gemma2/vision/layer_norm.hpp"

#include "vision_fixture.hpp"

namespace test_layer_norm {

using namespace t5gemma2;

namespace {

/// LayerNorm in double, straight from the equation.
Matrix exact_layer_norm(const LayerNorm& w, const Matrix& x) {
  Matrix y(x.rows(), x.cols());
  for (Index row = 0; row < x.rows(); ++row) {
    double mean = 0, variance = 0;
    for (Index i = 0; i < x.cols(); ++i) mean += double{x(row, i)} / static_cast<double>(x.cols());
    for (Index i = 0; i < x.cols(); ++i)
      variance += std::pow(double{x(row, i)} - mean, 2) / static_cast<double>(x.cols());
    for (Index i = 0; i < x.cols(); ++i)
      y(row, i) = static_cast<float>((double{x(row, i)} - mean) / std::sqrt(variance + double{w.eps}) *
                                         double{w.weight[i]} +
                                     double{w.bias[i]});
  }
  return y;
}

}  // namespace

TEST_CASE("layer_norm: the reference's inputs give the reference's outputs, in every layer and at the end") {
  for (const Index image : fixture_images()) {
    Matrix x = image_tensor(tower_path + "embeddings", image);
    for (const Index i : {0, 1}) {
      const SiglipLayer& w = fixture_siglip_layer(i);
      const std::string at = siglip_layer_path(i);
      CAPTURE(at);
      CHECK(difference(layer_norm(w.layer_norm1, x), image_tensor(at + ".layer_norm1", image)) <= tight);
      const Matrix after_attention = x + image_tensor(at + ".self_attn", image);
      CHECK(difference(layer_norm(w.layer_norm2, after_attention),
                       image_tensor(at + ".layer_norm2", image)) <= tight);
      x = image_tensor(at, image);
    }
    CHECK(difference(layer_norm(fixture_vision().vision_tower.post_layernorm, x),
                     image_tensor(tower_path + "post_layernorm", image)) <= tight);
  }
}

TEST_CASE("layer_norm: a row by hand: mean 3, variance 3.5, eps 0.5 under the root, weight and bias") {
  const LayerNorm w{Vector{{1, 2, 4, 0}}, Vector{{0, 10, 0, 7}}, 0.5f};
  CHECK(same_bits(layer_norm(w, Matrix{{1, 2, 3, 6}}), Matrix{{-1, 9, 0, 7}}));
}

TEST_CASE("layer_norm: eps stands under the root") {
  const LayerNorm w{Vector::Ones(2), Vector::Zero(2), 1e-6f};
  const Matrix y = layer_norm(w, Matrix{{1.001f, 0.999f}});  // beside the root it would be 0.999
  CHECK(y(0, 0) == doctest::Approx(std::sqrt(0.5)).epsilon(1e-4));
}

TEST_CASE("layer_norm: equal numbers become the bias") {
  const LayerNorm w{random_vector(9, 1), random_vector(9, 2), 1e-6f};
  CHECK(difference(layer_norm(w, Matrix::Constant(3, 9, 5.0f)), w.bias.transpose().replicate(3, 1).eval()) ==
        0);
}

TEST_CASE("layer_norm: the equation, for widths that are no multiple of anything, far from zero too") {
  for (const Index size : {1, 2, 7, 16, 33, 100}) {
    const LayerNorm w{random_vector(size, 1), random_vector(size, 2), 0.02f};
    const Matrix x = random_matrix(130, size, 3), far = x.array() + 1000.0f;
    CAPTURE(size);
    for (const auto& norm : {layer_norm, plain_layer_norm}) {
      CHECK(difference(norm(w, x), exact_layer_norm(w, x)) <= tight);
      CHECK(difference(norm(w, far), exact_layer_norm(w, far)) <= tight);
    }
  }
}

TEST_CASE("layer_norm: every row is normalised by itself") {
  const LayerNorm w{random_vector(9, 1), random_vector(9, 2), 1e-6f};
  const Matrix x = random_matrix(130, 9, 3), y = layer_norm(w, x);
  for (const Index row : {0, 63, 64, 129}) CHECK(same_bits(layer_norm(w, x.row(row)), y.row(row)));
}

TEST_CASE("layer_norm: a NaN stays in its row") {
  const LayerNorm w{random_vector(9, 1), random_vector(9, 2), 1e-6f};
  const Matrix x = random_matrix(130, 9, 3);
  CHECK(rows_with_nan(layer_norm(w, with_nan(x, 64, 8))) == std::vector<Index>{64});
  CHECK(rows_that_differ(layer_norm(w, with_nan(x, 64, 8)), layer_norm(w, x)) == std::vector<Index>{64});
}

TEST_CASE("layer_norm: no rows give no rows, another width is refused") {
  const LayerNorm w{Vector::Ones(9), Vector::Zero(9), 1e-6f};
  CHECK(layer_norm(w, Matrix(0, 9)).rows() == 0);
  CHECK_THROWS_WITH_AS(layer_norm(w, Matrix(2, 8)), "layer_norm x: expected [any, 9], found [2, 8]",
                       std::invalid_argument);
}

TEST_CASE("layer_norm: a norm that lacks something is refused with the field") {
  const auto message = [](const LayerNorm& w) {
    return argument_error([&] { layer_norm(w, Matrix::Ones(2, 9)); });
  };
  const Vector one = Vector::Ones(9);
  CHECK(message({one, one, 0}).empty());
  CHECK(message({}) == "layer_norm weight: expected 1 number or more, found none");
  CHECK(message({one, {}, 1e-6f}) == "layer_norm bias: expected [9], found [0]");
  CHECK(message({.weight = one, .bias = one}) == "layer_norm eps: expected 0 or more, found nan");
  CHECK(message({one, one, -1}) == "layer_norm eps: expected 0 or more, found -1");
}

TEST_CASE("layer_norm: the same numbers for any number of threads") {
  const LayerNorm w{random_vector(9, 1), random_vector(9, 2), 1e-6f};
  const Matrix x = random_matrix(400, 9, 3);
  CHECK(same_for_any_threads([&] { return layer_norm(w, x); }));
}

}  // namespace test_layer_norm
