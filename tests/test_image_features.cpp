// Image features: pooling, projection and their places in the prompt.
#include "t5gemma2/vision/image_features.hpp"

#include "scratch.hpp"
#include "vision_fixture.hpp"

namespace test_image_features {

using namespace t5gemma2;

namespace {

using Ids = std::vector<TokenId>;

/// The mean of each square of side k, in double, row by row over the image.
Matrix plain_pool(const Matrix& x, Index features_side, Index k) {
  const Index side = features_side * k;
  Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(features_side * features_side, x.cols());
  for (Index row = 0; row < side; ++row)
    for (Index col = 0; col < side; ++col)
      sum.row(row / k * features_side + col / k) += x.row(row * side + col).cast<double>();
  return (sum / static_cast<double>(k * k)).cast<float>();
}

/// [rows, cols], all numbers the same.
Matrix constant(Index rows, Index cols, float value) { return Matrix::Constant(rows, cols, value); }

}  // namespace

TEST_CASE("image_features: each function gives the reference's output from the reference's input") {
  const MultiModalProjector& w = fixture_vision().multi_modal_projector;
  for (const Index image : fixture_images()) {
    const Matrix avg_pool = image_channels(projector_path + ".avg_pool", image).transpose(),
                 normed = image_tensor(projector_path + ".mm_soft_emb_norm", image),
                 patches = image_tensor(tower_path + "post_layernorm", image);
    CHECK(difference(average_pool(patches, 2), avg_pool) <= tight);
    CHECK(difference(rms_norm(avg_pool, w.mm_soft_emb_norm, w.eps), normed) <= tight);
    CHECK(difference(matmul(normed, w.mm_input_projection_weight), image_tensor(projector_path, image)) <=
          tight);
  }
}

TEST_CASE("image_features: the whole projector makes the reference's tensors, and none besides") {
  for (const Index image : fixture_images()) {
    Recorder recorder;
    const Trace trace = recorder.trace();
    const Matrix patches = image_tensor(tower_path + "post_layernorm", image);
    const Matrix features = image_features(fixture_vision().multi_modal_projector, patches, 4,
                                           Tap(trace) / "model.encoder.multi_modal_projector");
    CHECK(difference(features, image_tensor(projector_path, image)) <= tight);
    CHECK(recorder.names == std::vector<std::string>{projector_path + ".avg_pool",
                                                     projector_path + ".mm_soft_emb_norm", projector_path});
    for (const auto& [reported, tensor] : recorder.tensors) {
      const std::string name = reported;
      CAPTURE(name);
      CHECK(difference(tensor, image_tensor(name, image)) <= tight);
    }
    CHECK(same_bits(image_features(fixture_vision().multi_modal_projector, patches, 4), features));
  }
}

TEST_CASE("image_features: the projector's norm multiplies by 1 + weight and has the vision half's eps") {
  const StoredMatrix one(Matrix::Identity(2, 2));
  MultiModalProjector w{Vector{{0, 1}}, one.weight(), 0.5f};
  const Matrix features = image_features(w, Matrix{{3, 4}}, 1);  // mean square 12.5, + 0.5 = 13
  CHECK(features(0, 0) == doctest::Approx(3 / std::sqrt(13.0)).epsilon(1e-6));
  CHECK(features(0, 1) == doctest::Approx(8 / std::sqrt(13.0)).epsilon(1e-6));
  CHECK(fixture_vision().multi_modal_projector.eps == 0.02f);
}

TEST_CASE("image_features: a feature is the mean of its k x k patches, for k from 1 to 4") {
  for (const Index k : {1, 2, 3, 4})
    for (const Index features_side : {1, 2, 3, 5}) {
      const Matrix x = random_matrix(features_side * k * features_side * k, 7, static_cast<unsigned>(k));
      CAPTURE(k);
      CAPTURE(features_side);
      CHECK(difference(average_pool(x, features_side), plain_pool(x, features_side, k)) <= tight);
      if (k == 1) CHECK(same_bits(average_pool(x, features_side), x));
    }
}

TEST_CASE("image_features: features go row by row over the image") {
  Matrix x(16, 1);  // 4 x 4 patches, each its own index
  for (Index i = 0; i < 16; ++i) x(i, 0) = static_cast<float>(i);
  CHECK(same_bits(average_pool(x, 2), Matrix{{2.5f}, {4.5f}, {10.5f}, {12.5f}}));
}

TEST_CASE("image_features: a NaN stays in the feature of its patch") {
  const Matrix x = random_matrix(36, 5, 1);
  CHECK(rows_with_nan(average_pool(with_nan(x, 0, 3), 2)) == std::vector<Index>{0});
  CHECK(rows_with_nan(average_pool(with_nan(x, 17, 3), 2)) == std::vector<Index>{1});
  CHECK(rows_with_nan(average_pool(with_nan(x, 18, 3), 2)) == std::vector<Index>{2});
}

TEST_CASE("image_features: patches that make no grid, or none that the features divide, are refused") {
  const auto message = [](Index patches, Index features_side) {
    return argument_error([&] { average_pool(Matrix(patches, 4), features_side); });
  };
  CHECK(message(35, 2) == "patches: expected the square of a multiple of 2, found 35");
  CHECK(message(25, 2) == "patches: expected the square of a multiple of 2, found 25");
  CHECK(message(4, 3) == "patches: expected the square of a multiple of 3, found 4");
  CHECK(message(0, 1) == "patches: expected the square of a multiple of 1, found 0");
  CHECK(message(4, 0) == "features per side: expected 1 or more, found 0");
  CHECK(message(4, -2) == "features per side: expected 1 or more, found -2");
  const MultiModalProjector& w = fixture_vision().multi_modal_projector;
  for (const Index count : {-4, 0, 2, 5})
    CHECK(argument_error([&] { image_features(w, Matrix::Zero(36, 9), count); }) ==
          "mm_tokens_per_image: expected a square number, found " + std::to_string(count));
  CHECK(argument_error([&] { image_features(w, Matrix::Zero(36, 9), 16); }) ==
        "patches: expected the square of a multiple of 4, found 36");
}

TEST_CASE("image_features: a projector that lacks something is refused with the field") {
  const MultiModalProjector complete = fixture_vision().multi_modal_projector;
  const auto message = [&](auto change) {
    MultiModalProjector w = complete;
    change(w);
    return argument_error([&] { image_features(w, Matrix::Zero(36, 9), 4); });
  };
  CHECK(message([](MultiModalProjector&) {}).empty());
  CHECK(message([](auto& w) { w.mm_soft_emb_norm = {}; }) == "mm_soft_emb_norm: expected [9], found [0]");
  CHECK(message([](auto& w) { w.mm_input_projection_weight = {}; }) ==
        "mm_input_projection_weight: expected [9, any], found [0, 0]");
  CHECK(message([](auto& w) { w.mm_input_projection_weight.data = nullptr; }) ==
        "mm_input_projection_weight: expected a stored matrix, found none");
  CHECK(message([](auto& w) { w.eps = MultiModalProjector().eps; }) == "eps: expected 0 or more, found nan");
  CHECK(argument_error([&] { image_features(complete, Matrix::Zero(36, 8), 4); }) ==
        "mm_soft_emb_norm: expected [8], found [9]");
}

TEST_CASE("image_features: matmul is x W with W as stored, for all storage types and sizes") {
  for (const StorageType type : {StorageType::float32, StorageType::float16, StorageType::bfloat16})
    for (const Index rows : {1, 5})
      for (const Index in : {1, 3, 63, 64, 65, 130})
        for (const Index out : {1, 7, 64, 70}) {
          const Matrix x = whole_numbers(rows, in, 1), W = whole_numbers(in, out, 2);
          const StoredMatrix stored(W, type);
          CAPTURE(in);
          CAPTURE(out);
          CHECK(same_bits(matmul(x, stored.weight()).array() + 0.0f, (x * W).array() + 0.0f));
        }
}

TEST_CASE("image_features: matmul rounds as little as a product in double") {
  const Matrix x = random_matrix(9, 150, 1), W = random_matrix(150, 11, 2);
  const StoredMatrix stored(W);
  CHECK(difference(matmul(x, stored.weight()), (x.cast<double>() * W.cast<double>()).eval()) <= tight);
  CHECK_THROWS_WITH_AS(matmul(Matrix(2, 11), stored.weight()),
                       "matmul W: expected [11, any], found [150, 11]", std::invalid_argument);
}

TEST_CASE("image_features: features take the places of the image tokens in order, as they are") {
  const Ids ids{9, 2, 9, 9, 5, 6, 9};
  const std::vector<Matrix> images{random_matrix(3, 4, 1), random_matrix(1, 4, 2)};
  const Matrix x = random_matrix(7, 4, 3), placed = place_image_features(x, ids, 9, images);
  Index place = 0;
  for (const Index row : {0, 2, 3}) CHECK(same_bits(placed.row(row), images[0].row(place++)));
  CHECK(same_bits(placed.row(6), images[1].row(0)));
  for (const Index row : {1, 4, 5}) CHECK(same_bits(placed.row(row), x.row(row)));
}

TEST_CASE("image_features: no images and no places change nothing") {
  const Matrix x = random_matrix(3, 4, 3);
  CHECK(same_bits(place_image_features(x, Ids{2, 5, 6}, 9, {}), x));
  CHECK(same_bits(place_image_features(x, Ids{2, 5, 6}, std::nullopt, {}), x));
}

TEST_CASE("image_features: too few or too many places are refused with both numbers") {
  const std::vector<Matrix> images{constant(2, 4, 1), constant(2, 4, 2)};
  const auto message = [&](const Ids& ids, std::optional<Index> token) {
    return error_of([&] { place_image_features(constant(std::ssize(ids), 4, 0), ids, token, images); });
  };
  CHECK(message({2, 9, 9, 9, 5}, 9) == "prompt: image tokens: expected 4 for the images given, found 3");
  CHECK(message({9, 9, 9, 9, 9}, 9) == "prompt: image tokens: expected 4 for the images given, found 5");
  CHECK(message({9, 9, 9, 9}, std::nullopt) ==
        "prompt: image tokens: expected 4 for the images given, found 0");
  CHECK(message({}, 9) == "prompt: image tokens: expected 4 for the images given, found 0");
  CHECK(message({9, 9, 9, 9}, 9).empty());
}

TEST_CASE("image_features: features of another width, and rows without ids, are refused") {
  const std::vector<Matrix> narrow{constant(2, 3, 1)}, fitting{constant(2, 4, 1)};
  CHECK_THROWS_WITH_AS(place_image_features(constant(3, 4, 0), Ids{9, 9, 5}, 9, narrow),
                       "image features: expected [any, 4], found [2, 3]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(place_image_features(constant(2, 4, 0), Ids{9, 9, 5}, 9, fitting),
                       "place_image_features x: expected [3, any], found [2, 4]", std::invalid_argument);
}

TEST_CASE("image_features: the same numbers for any number of threads") {
  const StoredMatrix W(random_matrix(90, 20, 1));
  const MultiModalProjector w{random_vector(90, 2), W.weight(), 1e-6f};
  const Matrix patches = random_matrix(1024, 90, 3);
  CHECK(same_for_any_threads([&] { return image_features(w, patches, 256); }));
}

}  // namespace test_image_features
