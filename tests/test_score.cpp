// Log-probabilities: of known logits, of the reference's own logits, and of a target in any pieces.
#include "t5gemma2/score.hpp"

#include "argument_error.hpp"
#include "fixture.hpp"
#include "scratch.hpp"

namespace test_score {

using namespace t5gemma2;

namespace {

/// H and the decoder ids of the fixture.
struct Text {
  Matrix H;
  std::vector<TokenId> ids;
};

Text text_of(const std::string& fixture) {
  const Model& model = fixture_model(fixture);
  return {encode(model, reference_ids("inputs.input_ids", fixture)),
          reference_ids("inputs.decoder_input_ids", fixture)};
}

}  // namespace

TEST_CASE("score: a token of known logits") {
  const Vector logits{{1, 3, 2, 3, -1}};
  const double log_sum = std::log(std::exp(1.0) + 2 * std::exp(3.0) + std::exp(2.0) + std::exp(-1.0));
  const TokenScore third = score_token(logits, 2, 2);
  CHECK(std::abs(third.token.logprob - (2 - log_sum)) < 1e-12);
  CHECK(third.rank == 3);
  REQUIRE(third.best.size() == 2);
  CHECK(third.best[0].id == 1);
  CHECK(third.best[1].id == 3);
  CHECK(std::abs(third.best[1].logprob - (3 - log_sum)) < 1e-12);
  CHECK(score_token(logits, 3).rank == 1);  // equal ones share the better rank
  CHECK(score_token(logits, 3).best.empty());
  CHECK(score_token(logits, 0, 99).best.size() == 5);
  CHECK(score_token(Vector{{1000, -1000}}, 1).token.logprob == -2000);
  CHECK(contains(error_of([] {
                   score_token(Vector{{1, nan_value}}, 0);
                 }),
                 "logits: expected finite numbers"));
  CHECK(!argument_error([&] { score_token(logits, 5); }).empty());
  CHECK(!argument_error([&] { score_token(logits, -1); }).empty());
}

TEST_CASE("score: a forced text has the log-probabilities of the reference's logits") {
  for (const std::string fixture : {"basic", "unequal", "untied", "no_encoder"}) {
    CAPTURE(fixture);
    const Model& model = fixture_model(fixture);
    const Text text = text_of(fixture);
    const Matrix theirs = reference_tensor("logits", fixture);
    const std::span ids = std::span(text.ids);
    const std::vector<TokenScore> scores =
        score(model.decoder, start_target(model.decoder, text.H, ids.first(1)), ids.subspan(1), 3);
    REQUIRE(scores.size() == ids.size() - 1);
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const TokenScore expected = score_token(theirs.row(static_cast<Index>(i)), ids[i + 1], 3);
      CHECK(scores[i].token.id == ids[i + 1]);
      CHECK(std::abs(scores[i].token.logprob - expected.token.logprob) <= 1e-4);
      CHECK(scores[i].rank == expected.rank);
      CHECK(scores[i].best[0].id == expected.best[0].id);
    }
  }
}

TEST_CASE("score: a start is read once for all targets, wherever it ends") {
  const Model& model = fixture_model();
  const Text text = text_of("basic");
  const std::span ids = std::span(text.ids);
  const auto scores_after = [&](std::size_t given) {
    return score(model.decoder, start_target(model.decoder, text.H, ids.first(given)), ids.subspan(given));
  };
  const std::vector<TokenScore> whole = scores_after(1), part = scores_after(5);
  for (std::size_t i = 0; i < part.size(); ++i)
    CHECK(std::abs(part[i].token.logprob - whole[i + 4].token.logprob) <= 1e-5);
  const TargetStart start = start_target(model.decoder, text.H, ids.first(5));
  score(model.decoder, start, std::vector<TokenId>{7, 8, 9});
  const std::vector<TokenScore> again = score(model.decoder, start, ids.subspan(5));
  for (std::size_t i = 0; i < part.size(); ++i) CHECK(again[i].token.logprob == part[i].token.logprob);
  CHECK(score(model.decoder, start, {}).empty());
}

TEST_CASE("score: sums") {
  const std::vector<TokenScore> tokens{{{5, -1.0}, 1, {}}, {{6, -2.0}, 2, {}}};
  const TargetScore whole = score_of(tokens);
  CHECK(whole.sum == -3);
  CHECK(whole.mean == -1.5);
  CHECK(std::abs(whole.perplexity - std::exp(1.5)) < 1e-12);
  CHECK(!argument_error([] { score_of({}); }).empty());
}

TEST_CASE("score: what does not fit is refused") {
  const Model& model = fixture_model();
  const Text text = text_of("basic");
  const TargetStart start = start_target(model.decoder, text.H, std::vector<TokenId>{2});
  CHECK(contains(error_of([&] { score(model.decoder, start, std::vector<TokenId>{100000}); }),
                 "target: token id"));
  CHECK(contains(error_of([&] { start_target(model.decoder, text.H, std::vector<TokenId>{-1}); }),
                 "decoder prompt"));
  CHECK(!argument_error([&] { start_target(model.decoder, text.H, {}); }).empty());
  CHECK(!argument_error([&] {
           score_rows(model.decoder, random_matrix(2, 3, 1), std::vector<TokenId>{2});
         }).empty());
}

}  // namespace test_score
