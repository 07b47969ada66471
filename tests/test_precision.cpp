// Precisions of products: which matrices are rounded, to what, and what that does to the model.
#include "t5gemma2/precision.hpp"

#include <set>
#include <vector>

#include "argument_error.hpp"
#include "fixture.hpp"
#include "t5gemma2/vision/vision_weights.hpp"

namespace test_precision {

using namespace t5gemma2;

namespace {

Model in(Precision precision, const std::string& name = "basic") {
  Model model = fixture_model(name);
  set_precision(model, precision);
  return model;
}

std::vector<Weight> matrices_of(const auto& part) {
  std::vector<Weight> all;
  for_each_matrix(part, [&](const Weight& W) { all.push_back(W); });
  return all;
}

Matrix logits(const Model& model) {
  const std::vector<TokenId> ids{2, 7, 30, 11, 5, 9, 14, 3}, decoder_ids{2, 4, 9};
  return forward(model, decoder_ids, encode(model, ids));
}

/// The root mean square of one - other over that of other.
float distance(const Matrix& one, const Matrix& other) { return (one - other).norm() / other.norm(); }

}  // namespace

TEST_CASE("precision: the matrices of a part are all that linear multiplies by") {
  const Model& model = fixture_model("images");
  const Vision vision = load_vision(model.config, *model.checkpoint);
  const auto layers = model.encoder.layers.size();
  CHECK(matrices_of(model.encoder).size() == 7 * layers);
  CHECK(matrices_of(model.decoder).size() == 7 * model.decoder.layers.size() + 1);
  CHECK(matrices_of(model.decoder).back().data == model.decoder.lm_head.data);
  CHECK(matrices_of(vision).size() == 6 * vision.vision_tower.layers.size() + 1);
  std::set<const std::byte*> different;
  for (const Weight& W : matrices_of(model.encoder)) different.insert(W.data);
  CHECK(different.size() == 7 * layers);
}

TEST_CASE("precision: each has a name, and no other name stands for one") {
  for (const Precision one : {Precision::float32, Precision::bfloat16, Precision::int8})
    CHECK(precision_named(name_of(one)) == one);
  for (const char* name : {"", "int4", "Int8", "float16"}) CHECK_THROWS_AS(precision_named(name), Error);
}

TEST_CASE("precision: float32 leaves all as it is stored") {
  const Model model = in(Precision::float32);
  CHECK(model.decoder.lm_head.data == fixture_model().decoder.lm_head.data);
  CHECK(same_bits(logits(model), logits(fixture_model())));
}

TEST_CASE("precision: the embedding as input and the checkpoint's other copies keep their numbers") {
  const Model model = in(Precision::int8);
  CHECK(model.encoder.embed_tokens.weight.data == fixture_model().encoder.embed_tokens.weight.data);
  CHECK(model.decoder.embed_tokens.weight.data == fixture_model().decoder.embed_tokens.weight.data);
  CHECK(model.decoder.lm_head.type == StorageType::int8_blocks);
  CHECK(fixture_model().decoder.lm_head.type != StorageType::int8_blocks);
}

TEST_CASE("precision: rounded matrices, and products with them") {
  for (const Precision precision : {Precision::bfloat16, Precision::int8}) {
    const Model model = in(precision);
    const std::vector<Weight> stored = matrices_of(fixture_model().encoder),
                              rounded = matrices_of(model.encoder);
    const float step = precision == Precision::int8 ? 1.0f / 127 : 1.0f / 256;
    for (std::size_t i = 0; i < stored.size(); ++i) {
      const Matrix W = to_matrix(stored[i], 0, stored[i].rows), R = to_matrix(rounded[i], 0, rounded[i].rows);
      CHECK((W - R).cwiseAbs().maxCoeff() <= step * W.cwiseAbs().maxCoeff());
      CHECK(!(W - R).isZero(0));
      for (const Index rows : {1, 3, 9}) {
        const Matrix x = random_matrix(rows, R.cols(), 3);
        const Matrix plain = plain_linear(x, rounded[i]);
        CHECK(distance(linear(x, rounded[i]), plain) <= 5e-5f);
        CHECK(distance(plain, x * R.transpose()) <= (precision == Precision::int8 ? 1e-6f : 3e-3f));
      }
    }
  }
}

TEST_CASE("precision: bfloat16 leaves numbers that are bfloat16 where they lie, and rounds x") {
  const Matrix W = random_matrix(3, 40, 1), x = random_matrix(2, 40, 2);
  const StoredMatrix stored(W, StorageType::bfloat16);
  Weight rounds = stored.weight();
  rounds.rounds_x = true;
  CHECK(same_bits(linear(x, rounds), linear(rounded_to_bfloat16(x), stored.weight())));
  CHECK(distance(plain_linear(x, rounds), linear(x, rounds)) <= 1e-6f);
  CHECK(!same_bits(linear(x, rounds), linear(x, stored.weight())));
  CHECK(to_float(BFloat16(1.00390625f)) == 1);  // halfway: to even
  const Model model = in(Precision::bfloat16, "images_bfloat16");
  CHECK(model.decoder.lm_head.data == fixture_model("images_bfloat16").decoder.lm_head.data);
  CHECK(model.decoder.lm_head.rounds_x);
}

TEST_CASE("precision: the model's answers stay close, and are its own") {
  const Matrix exact = logits(fixture_model());
  CHECK(distance(logits(in(Precision::bfloat16)), exact) <= 6e-2f);
  CHECK(distance(logits(in(Precision::int8)), exact) <= 0.1f);
  CHECK(distance(logits(in(Precision::bfloat16)), exact) > 1e-4f);
  CHECK(distance(logits(in(Precision::int8)), exact) > 1e-4f);
}

TEST_CASE("precision: a vision half, too") {
  const Model& model = fixture_model("images");
  Vision vision = load_vision(model.config, *model.checkpoint);
  const Index side = vision.vision_tower.config.image_size;
  const Matrix pixels = random_matrix(vision.vision_tower.config.num_channels, side * side, 1);
  const Matrix exact = encode_image(vision, pixels);
  set_precision(vision, *model.checkpoint, Precision::int8);
  for (const Weight& W : matrices_of(vision)) CHECK(W.type == StorageType::int8_blocks);
  CHECK(vision.vision_tower.position_embedding.type != StorageType::int8_blocks);
  const float far = distance(encode_image(vision, pixels), exact);
  CHECK(far <= 3e-2f);
  CHECK(far > 0);
}

TEST_CASE("precision: rounded weights outlive the checkpoint, and progress counts all numbers") {
  std::optional<Model> model = load_model(data_folder("basic"));
  Index last = 0, expected = matrix_sizes(model->encoder) + matrix_sizes(model->decoder);
  set_precision(*model, Precision::int8, [&](Index done, Index all) {
    CHECK(all == expected);
    CHECK(done > last);
    last = done;
  });
  CHECK(last == expected);
  const Weight W = model->decoder.lm_head;
  const Matrix before = to_matrix(W, 0, W.rows);
  model.reset();
  CHECK(same_bits(to_matrix(W, 0, W.rows), before));
}

TEST_CASE("precision: a matrix that is not set, or rounded before, is refused") {
  CHECK(argument_error([] { converted_to(StorageType::int8_blocks, Weight{}, [] {}); }) ==
        "converted_to W: expected a stored matrix, found none");
  const StoredMatrix stored(random_matrix(2, 40, 1));
  const Weight rounded = converted_to(StorageType::int8_blocks, stored.weight(), [] {});
  CHECK(argument_error([&] { converted_to(StorageType::bfloat16, rounded, [] {}); }) != "");
}

}  // namespace test_precision
