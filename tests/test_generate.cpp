// Generation: a decoder made to say given pieces, so that every ending, stop text and hidden piece can be
// seen.
#include "t5gemma2/generate.hpp"

#include "fixture.hpp"
#include "scratch.hpp"

using namespace t5gemma2;

namespace {

using Ids = std::vector<TokenId>;

const Tokenizer& tokenizer() {
  static const std::string json = read_text(data_folder("tokenizer") / "tokenizer.json", "a tokenizer");
  static const Tokenizer small(vocabulary_from_json(json, "tokenizer.json"));
  return small;
}

Ids ids_of(const std::vector<std::string>& pieces) {
  Ids ids;
  for (const std::string& piece : pieces) {
    REQUIRE_MESSAGE(tokenizer().id_of(piece).has_value(), piece);
    ids.push_back(*tokenizer().id_of(piece));
  }
  return ids;
}

/// A model whose decoder has no layers: behind each piece of the script it says the next one, behind the last
/// and behind pieces that are not in it, <pad>. No piece may come twice.
class Scripted {
 public:
  explicit Scripted(const std::vector<std::string>& script)
      : embedding_(Matrix::Identity(tokenizer().vocab_size(), tokenizer().vocab_size())),
        head_(head_for(ids_of(script))) {
    const Index size = tokenizer().vocab_size();
    TextConfig& c = model_.decoder.config;
    c.hidden_size = c.vocab_size = size;
    c.head_dim = 2;
    c.full_attention = c.sliding_attention = {.theta = 10000, .factor = 1};
    c.rms_norm_eps = 1e-6f;
    model_.decoder.embed_tokens = {embedding_.weight(), Vector::Zero(size), {}};
    model_.decoder.norm = Vector::Zero(size);
    model_.decoder.lm_head = head_.weight();
    model_.config.eos_token_id = {1};
  }

  const Model& model() const { return model_; }

  /// What it writes behind bos; `pieces` gets every call's text.
  Generated run(const GenerateOptions& options, std::vector<std::string>* pieces = nullptr) const {
    return generate(model_, tokenizer(), Matrix(0, tokenizer().vocab_size()), {2}, options,
                    [&](std::string_view text) {
                      if (pieces) pieces->emplace_back(text);
                      return true;
                    });
  }

 private:
  static Matrix head_for(const Ids& script) {
    Matrix head = Matrix::Zero(tokenizer().vocab_size(), tokenizer().vocab_size());
    TokenId before = 2;
    for (const TokenId id : script) {
      REQUIRE(head.col(before).isZero());
      head(id, before) = 1;
      before = id;
    }
    return head;
  }

  StoredMatrix embedding_, head_;
  Model model_;
};

const std::vector<std::string> sentence{"The", "▁dog", "▁and", "▁the", "▁village", "<eos>"};

GenerateOptions until_eos() {
  GenerateOptions options;
  options.eos = {1};
  return options;
}

/// Pushes the pieces, then finishes; the pieces it gave out joined by |.
std::string filtered(const std::vector<std::string>& stop, const std::vector<std::string>& pieces) {
  StopFilter filter(stop);
  std::string out;
  for (const std::string& piece : pieces) {
    if (filter.stopped()) break;
    out += filter.push(piece) + "|";
  }
  return out + filter.finish() + (filter.stopped() ? " stopped" : "");
}

}  // namespace

TEST_CASE("generate: StopFilter lets text through when there is nothing to stop at") {
  CHECK(filtered({}, {"a", "bc", ""}) == "a|bc||");
  CHECK(filtered({""}, {"a", "bc"}) == "a|bc|");
  CHECK(filtered({"xyz"}, {"a", "bc"}) == "a|bc|");
}

TEST_CASE("generate: StopFilter holds back what may begin a stop text, and gives it out when it does not") {
  CHECK(filtered({"end"}, {"the", "n", "d"}) == "th||| stopped");
  CHECK(filtered({"end"}, {"a e", "n", "t b"}) == "a ||ent b|");
  CHECK(filtered({"end"}, {"a e", "n"}) == "a ||en");
  CHECK(filtered({"aab"}, {"a", "a", "a", "b"}) == "||a|| stopped");
}

TEST_CASE(
    "generate: StopFilter finds a stop text over several pieces, in the middle of one, and at its end") {
  CHECK(filtered({"end"}, {"the e", "n", "d of it"}) == "the ||| stopped");
  CHECK(filtered({"end"}, {"the end of it"}) == "the | stopped");
  CHECK(filtered({"end"}, {"the end"}) == "the | stopped");
  CHECK(filtered({"end"}, {"end"}) == "| stopped");
  CHECK(filtered({"\n\n"}, {"a\n", "\nb"}) == "a|| stopped");
}

TEST_CASE("generate: StopFilter stops at the earliest of several, prefixes of each other too") {
  CHECK(filtered({"def", "bc"}, {"abcdef"}) == "a| stopped");
  CHECK(filtered({"bc", "def"}, {"abcdef"}) == "a| stopped");
  CHECK(filtered({"ab", "abc"}, {"xabc"}) == "x| stopped");
  CHECK(filtered({"abc", "ab"}, {"xa", "b", "c"}) == "x|| stopped");
  CHECK(filtered({"abcd", "cx"}, {"abc", "x"}) == "|ab| stopped");
}

TEST_CASE("generate: the ids end with eos, the text before it") {
  const Generated made = Scripted(sentence).run(until_eos());
  CHECK(made.text == "The dog and the village");
  CHECK(made.reason == FinishReason::eos);
  Ids expected{2};
  for (const TokenId id : ids_of(sentence)) expected.push_back(id);
  CHECK(made.ids == expected);
}

TEST_CASE("generate: any of several eos ids ends the text; without one it goes on") {
  GenerateOptions options;
  options.max_new_tokens = 8;
  options.eos = {tokenizer().id_of("▁the").value(), 1};
  const Generated early = Scripted(sentence).run(options);
  CHECK(early.ids.back() == tokenizer().id_of("▁the"));
  CHECK(early.text == "The dog and");  // what ends the text is no part of it, special or not
  options.eos.clear();
  const Generated made = Scripted(sentence).run(options);
  CHECK(made.reason == FinishReason::length);
  CHECK(made.ids.size() == 9);
  CHECK(made.text == "The dog and the village");  // <eos> and <pad> behind it are hidden
}

TEST_CASE("generate: at most max_new_tokens, 0 of them too") {
  GenerateOptions options = until_eos();
  for (const Index most : {0, 1, 3, 5}) {
    options.max_new_tokens = most;
    const Generated made = Scripted(sentence).run(options);
    CHECK(made.ids.size() == static_cast<std::size_t>(most) + 1);
    CHECK(made.reason == FinishReason::length);
    const Ids written(made.ids.begin() + 1, made.ids.end());
    CHECK(made.text == tokenizer().decode(written));
  }
  options.max_new_tokens = 6;
  CHECK(Scripted(sentence).run(options).reason == FinishReason::eos);
}

TEST_CASE("generate: stop texts end the text and are not part of it, over the borders of pieces too") {
  GenerateOptions options = until_eos();
  const auto text_until = [&](std::vector<std::string> stop) {
    options.stop = std::move(stop);
    const Generated made = Scripted(sentence).run(options);
    CHECK(made.reason == FinishReason::stop);
    return made.text;
  };
  CHECK(text_until({"and"}) == "The dog ");
  CHECK(text_until({"g an"}) == "The do");
  CHECK(text_until({" the", "dog and"}) == "The ");
  CHECK(text_until({"The"}) == "");
  CHECK(text_until({"village"}) == "The dog and the ");
  options.stop = {"village!"};
  const Generated made = Scripted(sentence).run(options);
  CHECK(made.reason == FinishReason::eos);
  CHECK(made.text == "The dog and the village");  // what was held back comes out at the end
}

TEST_CASE("generate: after a stop text no further token is made") {
  GenerateOptions options = until_eos();
  options.stop = {" and"};
  CHECK(Scripted(sentence).run(options).ids.back() == tokenizer().id_of("▁and"));
}

TEST_CASE("generate: the text comes piece by piece, and the pieces are the text") {
  std::vector<std::string> pieces;
  const Generated made = Scripted(sentence).run(until_eos(), &pieces);
  CHECK(pieces == std::vector<std::string>{"The", " dog", " and", " the", " village", "", ""});
  CHECK(made.text == "The dog and the village");
}

TEST_CASE("generate: half a character is never given out") {
  std::vector<std::string> pieces;
  const Generated made =
      Scripted({"The", "<0xE2>", "<0x82>", "<0xAC>", "▁dog", "<0xF0>", "<eos>"}).run(until_eos(), &pieces);
  CHECK(made.text == "The\u20AC dog\uFFFD");
  for (const std::string& piece : pieces) CHECK(valid_utf8(piece) == piece.size());
}

TEST_CASE("generate: a callback that returns false ends it there") {
  for (const int calls : {1, 3}) {
    int called = 0;
    const Generated made =
        generate(Scripted(sentence).model(), tokenizer(), Matrix(0, tokenizer().vocab_size()), {2},
                 until_eos(), [&](std::string_view) { return ++called < calls; });
    CHECK(made.reason == FinishReason::interrupted);
    CHECK(std::ssize(made.ids) == 1 + calls);
  }
}

TEST_CASE("generate: sentinels and special pieces are hidden unless they are asked for") {
  const Scripted model({"<unused3>", "The", "<start_of_turn>", "▁dog", "<unused10>", "<eos>"});
  GenerateOptions options = until_eos();
  CHECK(model.run(options).text == "The dog");
  options.show_special = true;
  CHECK(model.run(options).text == "<unused3>The<start_of_turn> dog<unused10><eos>");
}

TEST_CASE("generate: a prefix is continued and is not part of the text") {
  const Scripted model(sentence);
  Ids prefix{2};
  for (const TokenId id : ids_of({"The", "▁dog"})) prefix.push_back(id);
  const Generated made = generate(model.model(), tokenizer(), Matrix(0, tokenizer().vocab_size()), prefix,
                                  until_eos(), [](std::string_view) { return true; });
  CHECK(made.text == " and the village");
  CHECK(made.ids.size() == 7);
}

TEST_CASE("generate: the short form starts with bos and stops at the model's eos") {
  const Generated made =
      generate(Scripted(sentence).model(), tokenizer(), Matrix(0, tokenizer().vocab_size()));
  CHECK(made.text == "The dog and the village");
  CHECK(made.reason == FinishReason::eos);
}

TEST_CASE("generate: a prefix without ids or with one outside the vocabulary is refused") {
  const Decoder& w = fixture_model().decoder;
  const auto go_on = [](TokenId) { return true; };
  Ids none, outside{2, 64};
  CHECK_THROWS_AS(generate_ids(w, Matrix(0, 24), none, {}, go_on), std::invalid_argument);
  contains(error_of([&] { generate_ids(w, Matrix(0, 24), outside, {}, go_on); }),
           "expected 0 to 63, found 64");
}

TEST_CASE("generate: greedy ids of the small checkpoints are the reference's") {
  for (const std::string name : {"basic", "long_even", "long_odd", "no_encoder", "unequal", "untied"}) {
    const Model& model = fixture_model(name);
    const Ids expected = reference_ids("generated", name);
    const bool continued = fixture_reference(name).tensors().contains("inputs.generate_from");
    Ids ids = continued ? reference_ids("inputs.generate_from", name) : Ids{2};
    GenerateOptions options;
    options.max_new_tokens = std::ssize(expected) - std::ssize(ids);
    generate_ids(model.decoder, encode(model, reference_ids("inputs.input_ids", name)), ids, options,
                 [](TokenId) { return true; });
    CAPTURE(name);
    CHECK(ids == expected);
  }
}

TEST_CASE("generate: a NaN in H is an error, not a token") {
  const Matrix H = with_nan(reference_tensor(encoder_path + "norm"), 4, 2);
  Ids ids{2};
  contains(error_of([&] { generate_ids(fixture_model().decoder, H, ids, {}, [](TokenId) { return true; }); }),
           "expected finite numbers");
}

TEST_CASE("generate: the repetition penalty counts the prefix and bos, and seeds give the same text again") {
  const Model& model = fixture_model();
  const Matrix H = reference_tensor(encoder_path + "norm");
  const auto ids_with = [&](const Sampling& sampling, Ids ids) {
    GenerateOptions options;
    options.sampling = sampling;
    options.max_new_tokens = 12;
    generate_ids(model.decoder, H, ids, options, [](TokenId) { return true; });
    return ids;
  };
  // So strong a penalty that with logits of both signs no id comes twice as long as others are left.
  const Ids ids = ids_with({.repetition_penalty = 1e6f}, {2, 52, 37});
  Ids sorted = ids;
  std::sort(sorted.begin(), sorted.end());
  CHECK(std::unique(sorted.begin(), sorted.end()) == sorted.end());
  const Sampling random{.greedy = false, .temperature = 2, .top_k = 0, .seed = 4};
  CHECK(ids_with(random, {2}) == ids_with(random, {2}));
}
