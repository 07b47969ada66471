// Beam search against all texts there are: a decoder without layers, whose next token depends on the last one
// alone, is searched with more beams than there are texts. That it goes the reference's way with few beams is
// seen in against_transformers/test_generation.py.
#include "t5gemma2/generation/beam_search.hpp"

#include <map>
#include <set>

#include "argument_error.hpp"
#include "fixture.hpp"
#include "scratch.hpp"

namespace test_beam_search {

using namespace t5gemma2;

namespace {

using Ids = std::vector<TokenId>;

constexpr Index vocab = 5;
constexpr TokenId start = 2, eos = 1;

/// logits of what follows `id`: row `id` of a random matrix.
class Chain {
 public:
  explicit Chain(unsigned seed)
      : logits_(random_matrix(vocab, vocab, seed) * 2),
        embedding_(Matrix::Identity(vocab, vocab)),
        head_(logits_.transpose() / std::sqrt(static_cast<float>(vocab))) {
    TextConfig& c = decoder_.config;
    c.hidden_size = c.vocab_size = vocab;
    c.head_dim = 2;
    c.full_attention = c.sliding_attention = {.theta = 10000, .factor = 1};
    c.rms_norm_eps = 1e-12f;
    decoder_.embed_tokens = {embedding_.weight(), Vector::Zero(vocab), {}};
    decoder_.norm = Vector::Zero(vocab);
    decoder_.lm_head = head_.weight();
  }

  std::vector<Beam> search(const GenerateOptions& options, const Ids& prompt = {start},
                           const Progress& progress = {}) const {
    const auto has_ended = [&](std::span<const TokenId> ids) { return ids.back() == eos; };
    return beam_search(decoder_, Matrix(0, vocab), prompt, options, has_ended, progress);
  }

  double log_p(TokenId before, TokenId id) const {
    const auto row = logits_.row(before).cast<double>().array();
    return row[id] - std::log(row.exp().sum());
  }

  /// Every text of at most `most` new tokens, with its score, best first.
  std::vector<Beam> all_texts(Index most, double length_penalty) const {
    std::vector<Beam> done;
    std::vector<std::pair<Ids, double>> running{{{start}, 0}};
    for (Index made = 1; made <= most; ++made) {
      std::vector<std::pair<Ids, double>> next;
      for (const auto& one : running)
        for (TokenId id = 0; id < vocab; ++id) {
          Ids ids = one.first;
          const double score = one.second + log_p(ids.back(), id);
          ids.push_back(id);
          if (id == eos || made == most) {
            done.push_back(
                {ids, static_cast<float>(score / std::pow(static_cast<double>(made), length_penalty))});
          } else {
            next.emplace_back(ids, score);
          }
        }
      running = std::move(next);
    }
    std::ranges::sort(done, std::greater(), &Beam::score);
    return done;
  }

 private:
  Matrix logits_;
  StoredMatrix embedding_, head_;
  Decoder decoder_;
};

GenerateOptions options_for(Index beams, Index sequences, Index most) {
  GenerateOptions options;
  options.config.num_beams = beams;
  options.config.num_return_sequences = sequences;
  options.config.max_new_tokens = most;
  options.config.eos_token_id = {eos};
  options.config.early_stopping = EarlyStopping::never;
  return options;
}

}  // namespace

TEST_CASE("beam_search: with a beam for each text it finds the best of all texts, in their order") {
  for (const unsigned seed : {1u, 2u, 3u})
    for (const double length_penalty : {0.0, 1.0, -0.5, 2.0}) {
      const Chain chain(seed);
      GenerateOptions options = options_for(500, 40, 4);
      options.config.length_penalty = length_penalty;
      const std::vector<Beam> found = chain.search(options), all = chain.all_texts(4, length_penalty);
      REQUIRE(found.size() == 40);
      std::set<Ids> texts;
      for (std::size_t i = 0; i < found.size(); ++i) {
        const auto same = std::ranges::find(all, found[i].ids, &Beam::ids);
        CAPTURE(seed);
        CAPTURE(i);
        REQUIRE(same != all.end());
        CHECK(texts.insert(found[i].ids).second);
        CHECK(std::abs(found[i].score - all[i].score) <= 1e-5f);  // of equal ones any may come first
        CHECK(std::abs(found[i].score - same->score) <= 1e-5f);
      }
    }
}

TEST_CASE(
    "beam_search: two beams hold a text that greedy decoding misses, and the score is log p of the text") {
  int better = 0;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const Chain chain(seed);
    GenerateOptions options = options_for(2, 1, 4);
    options.config.length_penalty = 0;
    const Beam found = chain.search(options).at(0);
    double score = 0, greedy = 0;
    for (std::size_t i = 1; i < found.ids.size(); ++i) score += chain.log_p(found.ids[i - 1], found.ids[i]);
    CHECK(std::abs(found.score - score) <= 1e-5);
    TokenId id = start;
    for (Index made = 0; made < 4 && id != eos; ++made) {
      TokenId best = 0;
      for (TokenId next = 1; next < vocab; ++next)
        if (chain.log_p(id, next) > chain.log_p(id, best)) best = next;
      greedy += chain.log_p(id, best);
      id = best;
    }
    better += score > greedy + 1e-6 ? 1 : 0;
  }
  CHECK(better >= 3);
}

TEST_CASE("beam_search: early stopping takes the first num_beams texts that end") {
  const Chain chain(1);
  GenerateOptions options = options_for(2, 2, 40);
  options.config.early_stopping = EarlyStopping::yes;
  options.config.length_penalty = 5;  // longer would be better
  const Ids early = chain.search(options)[0].ids;
  options.config.early_stopping = EarlyStopping::never;
  CHECK(chain.search(options)[0].ids.size() > early.size());
}

TEST_CASE("beam_search: rules hold in every beam, and renormalised what is left has probability 1") {
  const Chain chain(4);
  GenerateOptions options = options_for(500, 9, 3);
  options.config.suppress_tokens = {eos, 0};
  options.config.renormalize_logits = true;
  options.config.length_penalty = 0;
  options.config.num_beams = options.config.num_return_sequences = 27;
  const std::vector<Beam> found = chain.search(options);  // three tokens, three times
  REQUIRE(found.size() == 27);
  double whole = 0;
  for (const Beam& beam : found) {
    CHECK(std::ranges::count(beam.ids, eos) + std::ranges::count(beam.ids, 0) == 0);
    whole += std::exp(double{beam.score});
  }
  CHECK(whole == doctest::Approx(1).epsilon(1e-5));
}

TEST_CASE("beam_search: drawn beams follow the probabilities of the texts") {
  const Chain chain(5);
  GenerateOptions options = options_for(1, 1, 1);
  options.sample = true;
  options.config.top_k = 0;
  std::map<TokenId, int> counts;
  for (options.seed = 0; options.seed < 4000; ++options.seed)
    ++counts[chain.search(options).at(0).ids.back()];
  for (TokenId id = 0; id < vocab; ++id) {
    // Two are drawn for one beam, of which the first counts, as it ended.
    const double p = std::exp(chain.log_p(start, id)), sigma = std::sqrt(4000 * p * (1 - p));
    CAPTURE(id);
    CHECK(std::abs(counts[id] - 4000 * p) <= 4 * sigma);
  }
  options = options_for(3, 3, 6);
  options.sample = true;
  options.seed = 7;
  const std::vector<Beam> one = chain.search(options), again = chain.search(options);
  REQUIRE(one.size() == again.size());
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(one[i].ids == again[i].ids);
}

TEST_CASE("beam_search: the decoder prompt is kept, no token may be asked for, and progress is told") {
  const Chain chain(6);
  GenerateOptions options = options_for(3, 2, 5);
  for (const Beam& beam : chain.search(options, {start, 3, 4})) {
    CHECK(beam.ids.size() > 3);
    CHECK(Ids(beam.ids.begin(), beam.ids.begin() + 3) == Ids{start, 3, 4});
  }
  options.config.suppress_tokens = {eos};
  std::vector<std::pair<Index, Index>> told;
  chain.search(options, {start}, [&](Index done, Index all) { told.emplace_back(done, all); });
  CHECK(told == std::vector<std::pair<Index, Index>>{{1, 0}, {2, 0}, {3, 0}, {4, 0}});
  options.config.max_new_tokens = 0;
  const std::vector<Beam> none = chain.search(options);
  REQUIRE(none.size() == 1);
  CHECK(none[0].ids == Ids{start});
}

TEST_CASE(
    "beam_search: any length penalty leaves the texts that ended, and rules that leave no token are an "
    "error") {
  const Chain chain(7);
  for (const double length_penalty : {-1000.0, -150.0, -15.0, 1000.0}) {
    GenerateOptions options = options_for(3, 3, 9);
    options.config.length_penalty = length_penalty;
    CHECK(chain.search(options).size() == 3);
  }
  GenerateOptions options = options_for(2, 1, 3);
  options.config.suppress_tokens = {0, 1, 2, 3, 4};
  contains(error_of([&] { chain.search(options); }), "expected a token that may come next");
  options.sample = true;
  contains(error_of([&] { chain.search(options); }), "expected a token that may come next");
}

TEST_CASE("beam_search: a beam without a possible token ends, the others go on") {
  const Chain chain(8);
  for (const bool renormalize : {false, true}) {
    GenerateOptions options = options_for(4, 4, 3);
    options.config.renormalize_logits = renormalize;
    options.config.suppress_tokens = {eos};
    for (TokenId id = 0; id < vocab; ++id) options.config.bad_words_ids.push_back({3, id});
    const std::vector<Beam> found = chain.search(options);
    CHECK(found.size() == 4);
    for (const Beam& beam : found) {
      CHECK(std::ranges::count(std::span(beam.ids).first(3), 3) == 0);  // behind 3 nothing may come
      CHECK(std::ranges::count(found, beam.ids, &Beam::ids) == 1);
      CHECK(std::isfinite(beam.score));
    }
  }
}

TEST_CASE("beam_search: a small checkpoint, its window and cache: each beam's score is that of one pass") {
  const Model& model = fixture_model("long_odd");
  const Matrix H = encode(model, reference_ids("inputs.input_ids", "long_odd"));
  GenerateOptions options = options_for(4, 4, 14);
  options.config.length_penalty = 0;
  const auto never = [](std::span<const TokenId>) { return false; };
  const std::vector<Beam> found = beam_search(model.decoder, H, {2, 9}, options, never);
  REQUIRE(found.size() == 4);
  for (const Beam& beam : found) {
    Matrix logits = forward(model, beam.ids, H);
    double score = 0;
    for (std::size_t at = 2; at < beam.ids.size(); ++at) {
      Vector row = logits.row(static_cast<Index>(at) - 1);
      log_softmax(row);
      score += double{row[beam.ids[at]]};
    }
    CHECK(beam.ids.size() == 16);
    CHECK(std::abs(score - double{beam.score}) <= 1e-4);
  }
}

TEST_CASE("beam_search: an incomplete decoder and arguments that have no meaning are refused") {
  const Chain chain(9);
  for (const Index beams : {-1, 0})
    contains(argument_error([&] { chain.search(options_for(beams, 1, 4)); }), "num_beams: expected from 1");
  contains(argument_error([&] { chain.search(options_for(2, 0, 4)); }),
           "num_return_sequences: expected from 1");
  contains(argument_error([&] { chain.search(options_for(2, 1, 4), {}); }),
           "expected a decoder prompt, found no ids");
  const auto never = [](std::span<const TokenId>) { return false; };
  CHECK(argument_error([&] { beam_search(Decoder(), Matrix(0, 5), {start}, options_for(2, 1, 0), never); }) !=
        "");
  const Model& model = fixture_model();
  CHECK(argument_error([&] { beam_search(model.decoder, Matrix(0, 24), {2}, options_for(2, 1, 4), {}); }) ==
        "has_ended: expected a function, found none");
}

}  // namespace test_beam_search
