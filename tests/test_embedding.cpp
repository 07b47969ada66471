// The tied embedding as input, and the softcap on the output.
#include "t5gemma2/embedding.hpp"

#include "fixture.hpp"
#include "scratch.hpp"

namespace test_embedding {

using namespace t5gemma2;

namespace {

using Ids = std::vector<TokenId>;

/// 6 tokens, 4 features: token i holds 10 i + 0, 1, 2, 3; its end-of-image vector is (-1, -2, -3, -4).
class Small {
 public:
  explicit Small(StorageType type = StorageType::float32)
      : stored_(Matrix{{0, 1, 2, 3},
                       {10, 11, 12, 13},
                       {20, 21, 22, 23},
                       {30, 31, 32, 33},
                       {40, 41, 42, 43},
                       {50, 51, 52, 53}},
                type) {}

  Matrix embed(const Ids& ids, std::optional<Index> eoi = {}) const {
    return t5gemma2::embed({stored_.weight(), -Vector::LinSpaced(4, 1, 4), eoi}, ids);
  }

 private:
  StoredMatrix stored_;
};

}  // namespace

TEST_CASE(
    "embedding: the reference's ids give the reference's embeddings on both sides, end of image included") {
  const Ids ids = reference_ids("inputs.input_ids"), decoder_ids = reference_ids("inputs.decoder_input_ids");
  REQUIRE(std::count(ids.begin(), ids.end(), 62) == 1);
  REQUIRE(std::count(decoder_ids.begin(), decoder_ids.end(), 62) == 1);
  CHECK(fixture_model().config.eoi_token_index == 62);
  CHECK(difference(embed(fixture_model().encoder.embed_tokens, ids),
                   reference_tensor(encoder_path + "embed_tokens")) <= tight);
  CHECK(difference(embed(fixture_model().decoder.embed_tokens, decoder_ids),
                   reference_tensor(decoder_path + "embed_tokens")) <= tight);
}

TEST_CASE("embedding: rows are scaled by sqrt(d), in every storage type") {
  for (const StorageType type : {StorageType::float32, StorageType::float16, StorageType::bfloat16})
    CHECK(same_bits(Small(type).embed({5, 0, 2}),
                    Matrix{{100, 102, 104, 106}, {0, 2, 4, 6}, {40, 42, 44, 46}}));
}

TEST_CASE("embedding: the end-of-image token is replaced after scaling, so its vector comes as it is") {
  CHECK(same_bits(Small().embed({1, 3, 1}, 3), Matrix{{20, 22, 24, 26}, {-1, -2, -3, -4}, {20, 22, 24, 26}}));
  CHECK(same_bits(Small().embed({3}), Matrix{{60, 62, 64, 66}}));
}

TEST_CASE("embedding: an id outside the vocabulary is refused, no ids are fine") {
  CHECK(error_of([] { Small().embed({1, 6}); }) == "prompt: token id: expected 0 to 5, found 6");
  CHECK(error_of([] { Small().embed({-1}); }) == "prompt: token id: expected 0 to 5, found -1");
  CHECK(Small().embed({}).rows() == 0);
  CHECK(Small().embed({}).cols() == 4);
}

TEST_CASE("embedding: an end-of-image vector of another size is refused") {
  const StoredMatrix stored(random_matrix(6, 4, 1));
  const Embedding w{stored.weight(), Vector::Zero(5), 3};
  CHECK_THROWS_AS(embed(w, Ids{0}), std::invalid_argument);
}

TEST_CASE("embedding: softcap is c tanh(logits / c), nothing where it is not set") {
  const Matrix logits{{3, -3, 0, 1000}};
  const Matrix capped = softcap(logits, 2.0f);
  CHECK(capped(0, 0) == doctest::Approx(2 * std::tanh(1.5)).epsilon(1e-6));
  CHECK(capped(0, 1) == doctest::Approx(-2 * std::tanh(1.5)).epsilon(1e-6));
  CHECK(capped(0, 2) == 0);
  CHECK(capped(0, 3) == doctest::Approx(2));
  CHECK(same_bits(softcap(logits, {}), logits));
}

TEST_CASE("embedding: softcap leaves a NaN NaN") {
  for (Index size = 1; size <= 40; ++size)
    CHECK(std::isnan(softcap(with_nan(random_matrix(1, size, 1), 0, size / 2), 30.0f)(0, size / 2)));
}

TEST_CASE("embedding: a matrix or a softcap that is not set is refused") {
  CHECK_THROWS_WITH_AS(embed({}, std::vector<TokenId>{0}),
                       "embed_tokens: expected a matrix [vocab, d], found none", std::invalid_argument);
  for (const float cap : {0.0f, -30.0f, unset})
    CHECK_THROWS_WITH_AS(softcap(Matrix(1, 2), cap), doctest::Contains("softcap: expected a number above 0"),
                         std::invalid_argument);
}

}  // namespace test_embedding
