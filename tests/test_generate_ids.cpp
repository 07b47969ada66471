// Generation of ids alone, by the decoders of the small checkpoints.
#include "fixture.hpp"
#include "scratch.hpp"
#include "t5gemma2/generate.hpp"

namespace test_generate_ids {

using namespace t5gemma2;

namespace {

using Ids = std::vector<TokenId>;

}  // namespace

TEST_CASE("generate: a decoder prompt without ids or with one outside the vocabulary is refused") {
  const Decoder& w = fixture_model().decoder;
  const auto go_on = [](TokenId) { return true; };
  std::mt19937_64 random;
  const DecoderState start = start_decoder(w, Matrix(0, 24));
  Ids none, outside{2, 64};
  CHECK_THROWS_AS(generate_ids(w, start, none, {}, random, go_on), std::invalid_argument);
  contains(error_of([&] { generate_ids(w, start, outside, {}, random, go_on); }),
           "expected 0 to 63, found 64");
}

TEST_CASE("generate: greedy ids of the small checkpoints are the reference's") {
  for (const std::string name : {"basic", "long_even", "long_odd", "no_encoder", "unequal", "untied"}) {
    const Model& model = fixture_model(name);
    const Ids expected = reference_ids("generated", name);
    const bool continued = fixture_reference(name).tensors.contains("inputs.generate_from");
    Ids ids = continued ? reference_ids("inputs.generate_from", name) : Ids{2};
    GenerateOptions options;
    options.config.max_new_tokens = std::ssize(expected) - std::ssize(ids);
    std::mt19937_64 random;
    const Matrix H = encode(model, reference_ids("inputs.input_ids", name));
    generate_ids(model.decoder, start_decoder(model.decoder, H), ids, options, random,
                 [](TokenId) { return true; });
    CAPTURE(name);
    CHECK(ids == expected);
  }
}

TEST_CASE("generate: a NaN in H is an error, not a token") {
  const Matrix H = with_nan(reference_tensor(encoder_path + "norm"), 4, 2);
  Ids ids{2};
  std::mt19937_64 random;
  const Decoder& w = fixture_model().decoder;
  const auto go_on = [](TokenId) { return true; };
  contains(error_of([&] { generate_ids(w, start_decoder(w, H), ids, {}, random, go_on); }),
           "expected finite numbers");
}

TEST_CASE("generate: the repetition penalty counts the decoder prompt, and seeds give the same text again") {
  const Model& model = fixture_model();
  const Matrix H = reference_tensor(encoder_path + "norm");
  const auto ids_with = [&](GenerateOptions options, Ids ids) {
    options.config.max_new_tokens = 12;
    std::mt19937_64 random(options.seed);
    generate_ids(model.decoder, start_decoder(model.decoder, H), ids, options, random,
                 [](TokenId) { return true; });
    return ids;
  };
  // So strong a penalty that with logits of both signs no id comes twice as long as others are left.
  const Ids ids = ids_with({.config = {.repetition_penalty = 1e6}}, {2, 52, 37});
  Ids sorted = ids;
  std::sort(sorted.begin(), sorted.end());
  CHECK(std::unique(sorted.begin(), sorted.end()) == sorted.end());
  const GenerateOptions random{.config = {.temperature = 2, .top_k = 0}, .sample = true, .seed = 4};
  CHECK(ids_with(random, {2}) == ids_with(random, {2}));
}

}  // namespace test_generate_ids
