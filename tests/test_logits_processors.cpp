// The rules of generation_config.json on the next token, each by hand-computed scores. That all together are
// transformers' is seen in against_transformers/test_generation.py.
#include "t5gemma2/generation/logits_processors.hpp"

#include "fixture.hpp"
#include "scratch.hpp"

namespace test_logits_processors {

using namespace t5gemma2;

namespace {

using Ids = std::vector<TokenId>;

constexpr float no = impossible;

/// What is left of scores 1, 2, 3, ... behind `ids`.
Vector processed(const GenerationConfig& config, const Ids& ids, Index prompt = 1,
                 const Ids& encoder_ids = {}, Index vocab_size = 6) {
  const GenerateOptions options{.config = config, .encoder_input_ids = encoder_ids};
  Vector scores = Vector::LinSpaced(vocab_size, 1, static_cast<float>(vocab_size));
  LogitsProcessors(options, prompt, vocab_size)(scores, ids);
  return scores;
}

}  // namespace

TEST_CASE("logits_processors: without a rule nothing changes") {
  CHECK(processed({}, {2, 3, 2, 3}) == Vector{{1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}});
}

TEST_CASE(
    "logits_processors: repetition divides what is above 0 and multiplies what is below, each id once") {
  Vector scores{{3.0f, -3.0f, 0.0f, 5.0f, -1.0f}};
  penalise_repetition(scores, Ids{0, 1, 1, 0, 2, 0}, 1.5);
  CHECK(scores == Vector{{2.0f, -4.5f, 0.0f, 5.0f, -1.0f}});
  penalise_repetition(scores, Ids{3, 4}, 0.5);  // below 1 it favours
  CHECK(scores == Vector{{2.0f, -4.5f, 0.0f, 10.0f, -0.5f}});
}

TEST_CASE(
    "logits_processors: the repetition penalty counts the decoder prompt, the encoder's favours its input") {
  CHECK(processed({.repetition_penalty = 2}, {5, 1}, 2) == Vector{{1.0f, 1.0f, 3.0f, 4.0f, 5.0f, 3.0f}});
  CHECK(processed({.encoder_repetition_penalty = 2}, {5}, 1, {0, 1, 1}) ==
        Vector{{2.0f, 4.0f, 3.0f, 4.0f, 5.0f, 6.0f}});
}

TEST_CASE("logits_processors: the repetition penalty counts the last ids only, where it is told how many") {
  const auto penalised = [](std::optional<Index> last) {
    const GenerateOptions options{.config = {.repetition_penalty = 2}, .repeat_last_n = last};
    Vector scores{{8.0f, 8.0f, 8.0f, 8.0f}};
    LogitsProcessors(options, 2, 4)(scores, Ids{0, 1, 2, 1});
    return scores;
  };
  CHECK(penalised({}) == Vector{{4.0f, 4.0f, 4.0f, 8.0f}});
  CHECK(penalised(0) == Vector{{8.0f, 8.0f, 8.0f, 8.0f}});
  CHECK(penalised(1) == Vector{{8.0f, 4.0f, 8.0f, 8.0f}});
  CHECK(penalised(2) == Vector{{8.0f, 4.0f, 4.0f, 8.0f}});
  CHECK(penalised(3) == penalised(2));
  CHECK(penalised(4) == penalised({}));
  CHECK(penalised(1000000000) == penalised({}));
}

TEST_CASE("logits_processors: a bias counts where the text ends with all but the last of its ids") {
  const GenerationConfig config{
      .sequence_bias = {{{0}, 10}, {{4, 1}, 20}, {{3, 4, 1}, 40}, {{3, 3, 4, 2}, 80}}};
  CHECK(processed(config, {5}) == Vector{{11.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}});
  CHECK(processed(config, {4}) == Vector{{11.0f, 22.0f, 3.0f, 4.0f, 5.0f, 6.0f}});
  CHECK(processed(config, {3, 4}) == Vector{{11.0f, 62.0f, 3.0f, 4.0f, 5.0f, 6.0f}});
  CHECK(processed(config, {3, 3, 4}) == Vector{{11.0f, 62.0f, 83.0f, 4.0f, 5.0f, 6.0f}});
}

TEST_CASE("logits_processors: no n-gram comes twice, of any size, the decoder prompt's among them") {
  CHECK(processed({.no_repeat_ngram_size = 1}, {2, 4, 2}) == Vector{{1.0f, 2.0f, no, 4.0f, no, 6.0f}});
  CHECK(processed({.no_repeat_ngram_size = 2}, {2, 4, 2, 5, 2}) == Vector{{1.0f, 2.0f, 3.0f, 4.0f, no, no}});
  CHECK(processed({.no_repeat_ngram_size = 3}, {2, 4, 2, 5, 2, 4}) ==
        Vector{{1.0f, 2.0f, no, 4.0f, 5.0f, 6.0f}});
  CHECK(processed({.no_repeat_ngram_size = 3}, {2, 2}) == Vector{{1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}});
  CHECK(processed({.no_repeat_ngram_size = 9}, {2}) == Vector{{1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}});
}

TEST_CASE("logits_processors: no n-gram of the encoder's input comes") {
  const Ids input{1, 2, 3, 1, 4};
  CHECK(processed({.encoder_no_repeat_ngram_size = 1}, {5}, 1, input) ==
        Vector{{1.0f, no, no, no, no, 6.0f}});
  CHECK(processed({.encoder_no_repeat_ngram_size = 2}, {5, 1}, 1, input) ==
        Vector{{1.0f, 2.0f, no, 4.0f, no, 6.0f}});
  CHECK(processed({.encoder_no_repeat_ngram_size = 3}, {3, 1}, 1, input) ==
        Vector{{1.0f, 2.0f, 3.0f, 4.0f, no, 6.0f}});
  CHECK(processed({.encoder_no_repeat_ngram_size = 3}, {1}, 1, input) ==
        Vector{{1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}});
}

TEST_CASE("logits_processors: bad words, suppressed tokens, and those suppressed at the beginning") {
  const GenerationConfig words{.eos_token_id = {1}, .bad_words_ids = {{0}, {1}, {4, 3}, {5, 4, 2}}};
  CHECK(processed(words, {5, 4}) == Vector{{no, 2.0f, no, no, 5.0f, 6.0f}});  // eos alone is no word
  CHECK(processed(words, {4}) == Vector{{no, 2.0f, 3.0f, no, 5.0f, 6.0f}});
  CHECK(processed({.suppress_tokens = {0, 5, 77}}, {2, 2}) == Vector{{no, 2.0f, 3.0f, 4.0f, 5.0f, no}});
  const GenerationConfig begin{.begin_suppress_tokens = {3}};
  CHECK(processed(begin, {2}, 1)[3] == no);
  CHECK(processed(begin, {2, 2}, 1)[3] == 4);
  CHECK(processed(begin, {2, 2}, 2)[3] == no);
}

TEST_CASE("logits_processors: a forced bos is the first token, and the beginning is behind it") {
  const GenerationConfig config{.forced_bos_token_id = 4, .begin_suppress_tokens = {3}};
  CHECK(processed(config, {2}) == Vector{{no, no, no, no, 0.0f, no}});
  CHECK(processed(config, {2, 4})[3] == no);
  CHECK(processed(config, {2, 4})[4] == 5);
  CHECK(processed(config, {2, 0, 0}, 3)[3] == no);  // a longer decoder prompt: nothing is forced
  CHECK(processed(config, {2, 0, 0}, 3)[4] == 5);
}

TEST_CASE("logits_processors: eos not before the least length and, where it is forced, at the limit") {
  const auto eos_score = [](GenerationConfig config, Index size, Index prompt) {
    config.eos_token_id = {1, 5};
    return processed(config, Ids(static_cast<std::size_t>(size), 2), prompt)[5];
  };
  CHECK(eos_score({.min_length = 4}, 3, 2) == no);
  CHECK(eos_score({.min_length = 4}, 4, 2) == 6);
  CHECK(eos_score({.min_new_tokens = 3}, 4, 2) == no);
  CHECK(eos_score({.min_new_tokens = 3}, 5, 2) == 6);
  CHECK(eos_score({.min_new_tokens = 0, .min_length = 9}, 2, 2) == 6);
  const GenerationConfig forced{.forced_eos_token_id = {0, 3}, .max_new_tokens = 3};
  CHECK(processed(forced, {2, 2, 2}, 2)[3] == 4);
  CHECK(processed(forced, {2, 2, 2, 2}, 2) == Vector{{0.0f, no, no, 0.0f, no, no}});
}

TEST_CASE("logits_processors: eos grows by a power of the factor, from its start on") {
  const GenerationConfig config{.eos_token_id = {1, 1},
                                .exponential_decay_length_penalty = LengthDecay{1, 3}};
  CHECK(processed(config, {2, 2})[1] == 2);
  CHECK(processed(config, {2, 2, 2})[1] == 6);
  CHECK(processed(config, {2, 2, 2, 2})[1] == 18);
  Vector negative{{-1.0f, -2.0f, no}};
  favour_the_end(negative, Ids{1, 2}, 3, 1);
  CHECK(negative == Vector{{-1.0f, 2.0f, no}});
  Vector falling{{4.0f, -4.0f}};
  favour_the_end(falling, Ids{0, 1}, 0.5, 1);  // below 1 it disfavours
  CHECK(falling == Vector{{2.0f, -6.0f}});
  Vector huge{{0.0f, 5.0f}};
  favour_the_end(huge, Ids{0, 1}, 1e6, 100);  // no infinity, and no NaN out of it
  CHECK(huge == Vector{{0.0f, std::numeric_limits<float>::max()}});
}

TEST_CASE("logits_processors: log softmax") {
  Vector scores{{std::log(1.0f), std::log(3.0f), no}};
  log_softmax(scores);
  CHECK(scores[0] == doctest::Approx(std::log(0.25)));
  CHECK(scores[1] == doctest::Approx(std::log(0.75)));
  CHECK(scores[2] == no);
  Vector none = Vector::Constant(3, no);
  log_softmax(none);
  CHECK(none == Vector::Constant(3, no));
}

TEST_CASE("logits_processors: logits that are not finite are refused") {
  for (const float bad : {nan_value, HUGE_VALF, -HUGE_VALF})
    for (const Index at : {0, 17, 99}) {
      Vector logits = random_vector(100, 1);
      logits[at] = bad;
      const GenerateOptions options;
      contains(error_of([&] { LogitsProcessors(options, 1, 100)(logits, Ids{2}); }),
               "logits: expected finite numbers");
    }
}

TEST_CASE("logits_processors: rules that do not go together, or not with the vocabulary, are refused") {
  const auto complaint = [](const GenerateOptions& options) {
    return error_of([&] { LogitsProcessors(options, 1, 6); });
  };
  contains(complaint({.config = {.bad_words_ids = {{2, 6}}}}),
           "bad_words_ids: expected token ids below 6, found 6");
  contains(complaint({.config = {.sequence_bias = {{{7}, 1}}}}), "sequence_bias: expected token ids below 6");
  contains(complaint({.config = {.decoder_start_token_id = 6}}),
           "generation_config.json: decoder_start_token_id: expected token ids below 6, found 6");
  contains(complaint({.config = {.forced_bos_token_id = 6}}), "forced_bos_token_id: expected");
  contains(complaint({.config = {.forced_eos_token_id = {1, 6}}}), "forced_eos_token_id: expected");
  contains(complaint({.config = {.forced_bos_token_id = 3, .suppress_tokens = {3}}}),
           "forced_bos_token_id: expected");
  contains(complaint({.config = {.num_return_sequences = 2}}), "num_return_sequences: expected 1");
  contains(complaint({.config = {.num_beams = 2, .num_return_sequences = 3}}),
           "expected at most num_beams, 2, found 3");
  CHECK(complaint({.config = {.num_beams = 3, .num_return_sequences = 3}}) == "");
  CHECK(complaint({.config = {.num_return_sequences = 3}, .sample = true}) == "");
  contains(complaint({.config = {.max_length = 1}}),
           "max_length: expected more than the decoder prompt's 1 token");
  const GenerateOptions options,
      foreign{.config = {.encoder_repetition_penalty = 2}, .encoder_input_ids = {6}};
  CHECK_THROWS_AS(LogitsProcessors(options, 0, 6), std::invalid_argument);
  contains(complaint(foreign), "encoder_repetition_penalty: expected token ids below 6, found 6");
}

TEST_CASE("logits_processors: the rules used alone refuse ids and arguments that do not fit") {
  Vector scores = Vector::Zero(6);
  const Ids ids{2}, outside{6}, negative{-1};
  const std::vector<SequenceBias> no_ids{{{}, 1}}, wrong_id{{{6}, 1}};
  CHECK_THROWS_WITH_AS(bias_sequences(scores, ids, no_ids),
                       "sequence_bias ids: expected one or more, found none", std::invalid_argument);
  CHECK(error_of([&] { bias_sequences(scores, ids, wrong_id); }) ==
        "sequence_bias: token id: expected 0 to 5, found 6");
  CHECK(error_of([&] { penalise_repetition(scores, outside, 2); }) ==
        "repetition penalty: token id: expected 0 to 5, found 6");
  CHECK_THROWS_WITH_AS(penalise_repetition(scores, ids, 0),
                       "repetition penalty: expected a number above 0, found 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(forbid(scores, negative), "forbidden token id: expected 0 or more, found -1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(forbid_ngrams_of(scores, ids, ids, -1), "n-gram size: expected 0 or more, found -1",
                       std::invalid_argument);
  CHECK(error_of([&] { force(scores, outside); }) == "forced tokens: token id: expected 0 to 5, found 6");
  CHECK_THROWS_AS(favour_the_end(scores, ids, std::nan(""), 1), std::invalid_argument);
  favour_the_end(scores, negative, 2, 1);  // ignored
  CHECK(scores == Vector::Zero(6));
  Vector none;
  CHECK_THROWS_WITH_AS(log_softmax(none), "scores: expected one for each token, found none",
                       std::invalid_argument);
  const GenerateOptions options;
  const LogitsProcessors process(options, 2, 5);
  CHECK_THROWS_WITH_AS(process(scores, Ids{2, 3}), "scores: expected [5], found [6]", std::invalid_argument);
  Vector five = Vector::Zero(5);
  CHECK_THROWS_WITH_AS(process(five, ids), "ids: expected the decoder prompt's, and more, found 1",
                       std::invalid_argument);
}

}  // namespace test_logits_processors
