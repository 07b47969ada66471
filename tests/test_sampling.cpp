// The next token: each step of the reference by hand-computed numbers, the draw by its distribution.
#include "t5gemma2/sampling.hpp"

#include "argument_error.hpp"
#include "fixture.hpp"
#include "scratch.hpp"

namespace test_sampling {

using namespace t5gemma2;

namespace {

using Ids = std::vector<TokenId>;

std::vector<TokenId> ids_of(const std::vector<Candidate>& candidates) {
  Ids ids;
  for (const Candidate& c : candidates) ids.push_back(c.id);
  return ids;
}

/// Logits of these probabilities.
Vector logits_of(const std::vector<double>& p) {
  Vector logits(std::ssize(p));
  for (std::size_t i = 0; i < p.size(); ++i)
    logits[static_cast<Index>(i)] = static_cast<float>(std::log(p[i]));
  return logits;
}

/// The candidates with these probabilities, largest first.
std::vector<Candidate> candidates(const std::vector<double>& p) { return top_candidates(logits_of(p), 0); }

/// 20,000 draws from `logits`: how often each id came.
std::vector<int> draws(const GenerationConfig& config, const Vector& logits, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::vector<int> counts(static_cast<std::size_t>(logits.size()));
  for (int i = 0; i < 20000; ++i) ++counts[static_cast<std::size_t>(draw_token(logits, config, random))];
  return counts;
}

/// Whether the counts of 20,000 draws are within 4 sigma of these probabilities, and 0 where these are 0.
bool follow(const std::vector<int>& counts, const std::vector<double>& p) {
  bool all = counts.size() == p.size();
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double mean = 20000 * p[i], sigma = std::sqrt(20000 * p[i] * (1 - p[i]));
    const bool follows = std::abs(counts[i] - mean) <= 4 * sigma;
    if (!follows) MESSAGE("id ", i, ": ", counts[i], " draws, expected ", mean, " +- ", 4 * sigma);
    all = all && follows;
  }
  return all;
}

const GenerationConfig plain{.top_k = 0};

}  // namespace

TEST_CASE("sampling: the most likely token is the first of the largest") {
  CHECK(most_likely(Vector{{-1.0f, 4.0f, 2.0f, 4.0f}}) == 1);
  CHECK(most_likely(Vector::Zero(1000)) == 0);
  Vector two = Vector::Zero(1000);
  two[777] = two[999] = 1;
  CHECK(most_likely(two) == 777);
  contains(error_of([] { most_likely(Vector::Constant(9, impossible)); }),
           "expected a token that may come next");
}

TEST_CASE("sampling: candidates come largest first, equal ones by id") {
  const Vector logits{{1.0f, 5.0f, 3.0f, 5.0f, 0.0f}};
  CHECK(ids_of(top_candidates(logits, 0)) == Ids{1, 3, 2, 0, 4});
  CHECK(ids_of(top_candidates(logits, 99)) == Ids{1, 3, 2, 0, 4});
  CHECK(ids_of(top_candidates(logits, 5)) == Ids{1, 3, 2, 0, 4});
  CHECK(ids_of(top_candidates(logits, 3)) == Ids{1, 3, 2});
}

TEST_CASE("sampling: top-k keeps what equals the last of the k, as the reference does") {
  const Vector logits{{2.0f, 5.0f, 2.0f, 1.0f, 2.0f}};
  CHECK(ids_of(top_candidates(logits, 1)) == Ids{1});
  CHECK(ids_of(top_candidates(logits, 2)) == Ids{1, 0, 2, 4});
  CHECK(ids_of(top_candidates(logits, 4)) == Ids{1, 0, 2, 4});
}

TEST_CASE("sampling: probabilities are the softmax, of far away logits too") {
  const std::vector<double> p = probabilities(candidates({0.1, 0.6, 0.3}));
  CHECK(p[0] == doctest::Approx(0.6));
  CHECK(p[1] == doctest::Approx(0.3));
  CHECK(p[2] == doctest::Approx(0.1));
  const std::vector<double> far = probabilities(top_candidates(Vector{{3000.0f, -3000.0f}}, 0));
  CHECK(far == std::vector<double>{1, 0});
}

TEST_CASE("sampling: top-p keeps the smallest set that holds p, at least one") {
  const auto kept = [](float top_p) {
    std::vector<Candidate> c = candidates({0.1, 0.4, 0.3, 0.2});
    keep_top_p(c, top_p);
    return ids_of(c);
  };
  CHECK(kept(0.0f) == Ids{1});
  CHECK(kept(0.39f) == Ids{1});
  CHECK(kept(0.41f) == Ids{1, 2});
  CHECK(kept(0.69f) == Ids{1, 2});
  CHECK(kept(0.71f) == Ids{1, 2, 3});
  CHECK(kept(0.91f) == Ids{1, 2, 3, 0});
  CHECK(kept(1.0f) == Ids{1, 2, 3, 0});
}

TEST_CASE("sampling: min-p keeps what has at least p times the largest probability") {
  const auto kept = [](float min_p) {
    std::vector<Candidate> c = candidates({0.05, 0.5, 0.25, 0.2});
    keep_min_p(c, min_p);
    return ids_of(c);
  };
  CHECK(kept(0.0f) == Ids{1, 2, 3, 0});
  CHECK(kept(0.09f) == Ids{1, 2, 3, 0});
  CHECK(kept(0.11f) == Ids{1, 2, 3});
  CHECK(kept(0.41f) == Ids{1, 2});
  CHECK(kept(0.51f) == Ids{1});
  CHECK(kept(1.0f) == Ids{1});
}

TEST_CASE("sampling: 20,000 draws follow the probabilities") {
  const std::vector<double> p{0.05, 0.4, 0.3, 0.15, 0.1};
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    CHECK(follow(draws(plain, logits_of(p), seed), p));
  }
}

TEST_CASE("sampling: temperature flattens the draws: at 2, probabilities go by their square roots") {
  GenerationConfig config = plain;
  config.temperature = 2;
  CHECK(follow(draws(config, logits_of({0.64, 0.16, 0.2})),
               {0.8 / 1.647214, 0.4 / 1.647214, 0.447214 / 1.647214}));
  config.temperature = 0.5f;  // squares
  CHECK(follow(draws(config, logits_of({0.6, 0.4})), {0.36 / 0.52, 0.16 / 0.52}));
}

TEST_CASE("sampling: top-k, top-p and min-p leave the rest in proportion") {
  const Vector logits = logits_of({0.05, 0.4, 0.3, 0.15, 0.1});
  GenerationConfig config = plain;
  config.top_k = 2;
  CHECK(follow(draws(config, logits), {0, 4.0 / 7, 3.0 / 7, 0, 0}));
  config = plain;
  config.top_p = 0.8f;
  CHECK(follow(draws(config, logits), {0, 40.0 / 85, 30.0 / 85, 15.0 / 85, 0}));
  config = plain;
  config.min_p = 0.3f;
  CHECK(follow(draws(config, logits), {0, 40.0 / 85, 30.0 / 85, 15.0 / 85, 0}));
}

TEST_CASE("sampling: the order is temperature, top-k, top-p, min-p, typical") {
  // Temperature 2 before top-p: square roots 0.8, 0.4, 0.447 hold 0.486, 0.243, 0.272 of the probability;
  // top-p 0.6 then keeps two, where untempered ones it would keep only the first.
  GenerationConfig config = plain;
  config.temperature = 2;
  config.top_p = 0.6f;
  CHECK(follow(draws(config, logits_of({0.64, 0.16, 0.2})), {0.8 / 1.247214, 0, 0.447214 / 1.247214}));
  // Temperature before min-p: 0.2 / 0.64 is below 0.5, its square root above.
  config = plain;
  config.temperature = 2;
  config.min_p = 0.55f;
  CHECK(follow(draws(config, logits_of({0.64, 0.16, 0.2})), {0.8 / 1.247214, 0, 0.447214 / 1.247214}));
  // Top-k before top-p: of the two largest (4/7, 3/7) top-p 0.5 keeps one, of all five (0.4, 0.3, ...) two.
  config = plain;
  config.top_k = 2;
  config.top_p = 0.5f;
  CHECK(follow(draws(config, logits_of({0.05, 0.4, 0.3, 0.15, 0.1})), {0, 1, 0, 0, 0}));
  // Min-p before typical: of 0.6, 0.3 and 0.1 typical 0.2 keeps the second, of the first two the first.
  config = plain;
  config.typical_p = 0.2;
  CHECK(follow(draws(config, logits_of({0.6, 0.3, 0.1})), {0, 1, 0}));
  config.min_p = 0.4;
  CHECK(follow(draws(config, logits_of({0.6, 0.3, 0.1})), {1, 0, 0}));
}

TEST_CASE("sampling: typical keeps what surprises about as much as the mean, until it holds p") {
  // Surprises 0.69, 1.20, 1.90, 3.00; entropy 1.14.
  const auto kept = [](double typical_p, std::size_t least = 1) {
    std::vector<Candidate> c = candidates({0.05, 0.5, 0.3, 0.15});
    keep_typical(c, typical_p, least);
    return ids_of(c);
  };
  CHECK(kept(0.01) == Ids{2});
  CHECK(kept(0.29) == Ids{2});
  CHECK(kept(0.31) == Ids{1, 2});
  CHECK(kept(0.79) == Ids{1, 2});
  CHECK(kept(0.81) == Ids{1, 2, 3});
  CHECK(kept(0.96) == Ids{1, 2, 3, 0});
  CHECK(kept(1) == Ids{1, 2, 3, 0});
  CHECK(kept(0.01, 3) == Ids{1, 2, 3});
  std::vector<Candidate> equal = candidates({0.25, 0.25, 0.25, 0.25});  // equally strange: all or none
  keep_typical(equal, 0.3);
  CHECK(equal.size() == 4);
}

TEST_CASE("sampling: with beams some candidates more than asked for stay") {
  const Vector logits = logits_of({0.05, 0.4, 0.3, 0.15, 0.1});
  GenerationConfig config = plain;
  config.top_k = 1;
  CHECK(ids_of(candidates_of(logits, config, 2)) == Ids{1, 2});
  config = plain;
  config.top_p = 0.1;
  CHECK(ids_of(candidates_of(logits, config, 3)) == Ids{1, 2, 3});
  config = plain;
  config.min_p = 0.9;
  CHECK(ids_of(candidates_of(logits, config, 2)) == Ids{1, 2});
  CHECK(ids_of(candidates_of(logits, config, 99)) == Ids{1, 2, 3, 4, 0});
}

TEST_CASE("sampling: what is impossible is never drawn, and nothing possible is an error") {
  Vector logits = Vector::Constant(6, impossible);
  contains(error_of([&] { candidates_of(logits, plain); }), "expected a token that may come next");
  logits[4] = -3;
  CHECK(ids_of(candidates_of(logits, plain)) == Ids{4});
  logits[1] = -3;
  CHECK(follow(draws(plain, logits), {0, 0.5, 0, 0, 0.5, 0}));
}

TEST_CASE("sampling: the same seed gives the same ids, another seed others") {
  const Vector logits = random_vector(500, 1) * 3;
  const auto sequence = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Ids ids;
    for (int i = 0; i < 50; ++i) ids.push_back(draw_token(logits, plain, random));
    return ids;
  };
  CHECK(sequence(5) == sequence(5));
  CHECK(sequence(5) != sequence(6));
}

TEST_CASE(
    "sampling: a draw takes 53 bits of the standard's mt19937_64, so a seed's text is the same everywhere") {
  // Eight equal candidates: the id is the number's first three bits.
  std::mt19937_64 ours(5489), random(5489);
  for (int i = 0; i < 1000; ++i)
    CHECK(draw_token(Vector::Zero(8), plain, ours) == static_cast<TokenId>(random() >> 61));
}

TEST_CASE(
    "sampling: hardly any temperature is as good as greedy, and so little that logits overflow is refused") {
  const Vector logits{{1.0f, 7.0f, -9.0f, 6.0f}};
  GenerationConfig config = plain;
  std::mt19937_64 random(1);
  for (const double temperature : {1e-3, 1e-30}) {
    config.temperature = temperature;
    for (int i = 0; i < 20; ++i) CHECK(draw_token(logits, config, random) == 1);
  }
  for (const double temperature : {1e-38, 1e-50})
    for (const Vector& scores : {logits, Vector(logits.array() - 9)}) {  // log-probabilities are below 0
      config.temperature = temperature;
      contains(error_of([&] { draw_token(scores, config, random); }), "expected finite numbers");
    }
}

TEST_CASE("sampling: arguments that have no meaning are refused") {
  const Vector three{{1.0f, 2.0f, 3.0f}}, nan{{1.0f, nan_value, 3.0f}};
  std::vector<Candidate> none, some = candidates({0.5, 0.3, 0.2});
  std::mt19937_64 random(1);
  CHECK(argument_error([] { most_likely(Vector()); }) == "scores: expected one for each token, found none");
  CHECK(argument_error([&] { most_likely(nan); }) == "scores: expected numbers, found NaN");
  CHECK(argument_error([&] { top_candidates(three, -1); }) == "top_k: expected 0 or more, found -1");
  CHECK(argument_error([&] { probabilities(none); }) == "candidates: expected one or more, found none");
  const std::vector<Candidate> rising{{0, -2000}, {1, 2000}};
  CHECK(argument_error([&] { probabilities(rising); }) ==
        "candidates: expected finite scores, largest first, found others");
  CHECK(argument_error([&] { keep_top_p(none, 0.5); }) == "candidates: expected one or more, found none");
  CHECK(argument_error([&] { keep_top_p(some, std::nan("")); }) ==
        "top_p: expected a number from 0 to 1, found nan");
  CHECK(argument_error([&] { keep_min_p(some, 1.5); }) == "min_p: expected a number from 0 to 1, found 1.5");
  CHECK(argument_error([&] { keep_typical(some, 0); }) ==
        "typical_p: expected a number above 0, at most 1, found 0");
  CHECK(argument_error([&] { candidates_of(three, plain, 0); }) ==
        "candidates_of least: expected 1 or more, found 0");
  CHECK(argument_error([&] { draw({}, random); }) == "draw p: expected one or more, found none");
  CHECK(argument_error([&] {
          draw(std::vector<double>{std::nan(""), 0.5}, random);
        }) == "draw p: expected numbers, found NaN");
  for (const double temperature : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    GenerationConfig config = plain;
    config.temperature = temperature;
    contains(argument_error([&] { draw_token(three, config, random); }),
             "temperature: expected a number above 0, found");
  }
  CHECK(error_of([&] { draw_token(Vector(), plain, random); }) != "");
}

TEST_CASE("sampling: NaN and infinity among the scores are refused, a token that may not come is left out") {
  GenerationConfig c;
  for (const float bad : {unset, std::numeric_limits<float>::infinity()}) {
    Vector scores(3);
    scores << 1, bad, 2;
    CHECK_THROWS_WITH_AS(candidates_of(scores, c), "scores: expected finite numbers, found NaN or infinity",
                         Error);
  }
  Vector scores(3);
  scores << 1, impossible, 2;
  CHECK(candidates_of(scores, c).size() == 2);
}

}  // namespace test_sampling
