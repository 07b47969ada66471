// Generation: a decoder made to say given pieces, so that every ending, stop text and hidden piece can
// be seen.
#include "t5gemma2/generate.hpp"

#include "argument_error.hpp"
#include "fixture.hpp"
#include "scratch.hpp"

namespace test_generate {

using namespace t5gemma2;

namespace {

using Ids = std::vector<TokenId>;

const Tokenizer& tokenizer() {
  static const std::string json = read_text(data_folder("tokenizer") / "tokenizer.json", "a tokenizer");
  static const Tokenizer small(vocabulary_from_json(json, "tokenizer.json"));
  return small;
}

/// Rows of the embedding, a few more than there are pieces.
Index rows() { return tokenizer().vocab_size() + 8; }

/// An id without a piece.
const std::string padding = "padding";

Ids ids_of(const std::vector<std::string>& pieces) {
  Ids ids;
  for (const std::string& piece : pieces) {
    if (piece == padding) {
      ids.push_back(static_cast<TokenId>(rows() - 1));
      continue;
    }
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
      : embedding_(Matrix::Identity(rows(), rows())), head_(head_for(ids_of(script))) {
    TextConfig& c = model_.decoder.config;
    c.hidden_size = c.vocab_size = rows();
    c.head_dim = 2;
    c.full_attention = c.sliding_attention = {.theta = 10000, .factor = 1};
    c.rms_norm_eps = 1e-6f;
    model_.decoder.embed_tokens = {embedding_.weight(), Vector::Zero(rows()), {}};
    model_.decoder.norm = Vector::Zero(rows());
    model_.decoder.lm_head = head_.weight();
    model_.generation_config.eos_token_id = {1};
    model_.generation_config.bos_token_id = 2;
  }

  const Model& model() const { return model_; }

  /// What it writes behind bos; `pieces` gets every call's text.
  Generated run(const GenerateOptions& options, std::vector<std::string>* pieces = nullptr) const {
    return generate(model_, tokenizer(), Matrix(0, rows()), {2}, options, [&](std::string_view text) {
      if (pieces) pieces->emplace_back(text);
      return true;
    });
  }

 private:
  static Matrix head_for(const Ids& script) {
    Matrix head = Matrix::Zero(rows(), rows());
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
  options.config.eos_token_id = {1};
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

TEST_CASE("generate: any of several eos ids ends the text, and without one it goes on") {
  GenerateOptions options;
  options.config.max_new_tokens = 8;
  options.config.eos_token_id = {tokenizer().id_of("▁the").value(), 1};
  const Generated early = Scripted(sentence).run(options);
  CHECK(early.ids.back() == tokenizer().id_of("▁the"));
  CHECK(early.text == "The dog and");  // what ends the text is no part of it, special or not
  options.config.eos_token_id.clear();
  const Generated made = Scripted(sentence).run(options);
  CHECK(made.reason == FinishReason::length);
  CHECK(made.ids.size() == 9);
  CHECK(made.text == "The dog and the village");  // <eos> and <pad> behind it are hidden
}

TEST_CASE("generate: at most max_new_tokens, 0 of them too") {
  GenerateOptions options = until_eos();
  for (const Index most : {0, 1, 3, 5}) {
    options.config.max_new_tokens = most;
    const Generated made = Scripted(sentence).run(options);
    CHECK(made.ids.size() == static_cast<std::size_t>(most) + 1);
    CHECK(made.reason == FinishReason::length);
    const Ids written(made.ids.begin() + 1, made.ids.end());
    CHECK(made.text == tokenizer().decode(written));
  }
  options.config.max_new_tokens = 6;
  CHECK(Scripted(sentence).run(options).reason == FinishReason::eos);
}

TEST_CASE("generate: stop texts end the text and are not part of it, over the borders of pieces too") {
  GenerateOptions options = until_eos();
  const auto text_until = [&](std::vector<std::string> stop) {
    options.config.stop_strings = std::move(stop);
    const Generated made = Scripted(sentence).run(options);
    CHECK(made.reason == FinishReason::stop);
    return made.text;
  };
  CHECK(text_until({"and"}) == "The dog ");
  CHECK(text_until({"g an"}) == "The do");
  CHECK(text_until({" the", "dog and"}) == "The ");
  CHECK(text_until({"The"}) == "");
  CHECK(text_until({"village"}) == "The dog and the ");
  options.config.stop_strings = {"village!"};
  const Generated made = Scripted(sentence).run(options);
  CHECK(made.reason == FinishReason::eos);
  CHECK(made.text == "The dog and the village");  // what was held back comes out at the end
}

TEST_CASE("generate: after a stop text no further token is made") {
  GenerateOptions options = until_eos();
  options.config.stop_strings = {" and"};
  CHECK(Scripted(sentence).run(options).ids.back() == tokenizer().id_of("▁and"));
}

TEST_CASE("generate: the text comes piece by piece, and the pieces are the text") {
  std::vector<std::string> pieces;
  const Generated made = Scripted(sentence).run(until_eos(), &pieces);
  CHECK(pieces == std::vector<std::string>{"The", " dog", " and", " the", " village", ""});
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
    const Generated made = generate(Scripted(sentence).model(), tokenizer(), Matrix(0, rows()), {2},
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

TEST_CASE("generate: ids without a piece are left out, and a character goes on behind one") {
  const Scripted model({"The", "<0xE2>", "<0x82>", padding, "<0xAC>", "▁dog", "<eos>"});
  GenerateOptions options = until_eos();
  CHECK(model.run(options).text == "The\u20AC dog");
  options.show_special = true;
  const Generated made = model.run(options);
  CHECK(made.text == "The\u20AC dog<eos>");
  CHECK(made.ids.size() == 8);
}

TEST_CASE("generate: a decoder prompt is continued and is not part of the text") {
  const Scripted model(sentence);
  Ids prompt{2};
  for (const TokenId id : ids_of({"The", "▁dog"})) prompt.push_back(id);
  const Generated made = generate(model.model(), tokenizer(), Matrix(0, rows()), prompt, until_eos(),
                                  [](std::string_view) { return true; });
  CHECK(made.text == " and the village");
  CHECK(made.ids.size() == 7);
}

TEST_CASE("generate: the short form starts with bos and stops at the model's eos") {
  const Generated made = generate(Scripted(sentence).model(), tokenizer(), Matrix(0, rows()));
  CHECK(made.text == "The dog and the village");
  CHECK(made.reason == FinishReason::eos);
}

TEST_CASE("generate: the short form starts with the checkpoint's start id, and obeys its rules") {
  Scripted scripted(sentence);
  Model model = scripted.model();
  const Matrix none(0, rows());
  model.generation_config.decoder_start_token_id = tokenizer().id_of("▁dog");
  CHECK(generate(model, tokenizer(), none).text == " and the village");
  model.generation_config.max_length = 3;
  CHECK(generate(model, tokenizer(), none).text == " and the");
  model.generation_config.encoder_no_repeat_ngram_size = 1;
  const Matrix H = Matrix::Zero(1, rows());
  CHECK_THROWS_AS(generate(model, tokenizer(), H), std::invalid_argument);  // of which ids?
  CHECK(generate(model, tokenizer(), H, {tokenizer().id_of("▁the").value()}).text == " and");  // then <pad>
}

TEST_CASE("generate: the decoder prompt begins with the start id, which bos of its text may be") {
  Model model;
  const Ids text = tokenizer().encode("a dog");
  CHECK(decoder_prompt(model, tokenizer()) == Ids{2});
  CHECK(decoder_prompt(model, tokenizer(), "a dog") == text);
  model.generation_config.bos_token_id = 5;
  CHECK(decoder_prompt(model, tokenizer()) == Ids{5});
  model.generation_config.decoder_start_token_id = 7;
  CHECK(decoder_prompt(model, tokenizer()) == Ids{7});
  Ids longer{7};
  longer.insert(longer.end(), text.begin(), text.end());
  CHECK(decoder_prompt(model, tokenizer(), "a dog") == longer);
}

TEST_CASE("generate: without a tokenizer texts are ids, eos among them, and no text can stop one") {
  const Scripted scripted(sentence);
  const Matrix none(0, rows());
  GenerateOptions options = until_eos();
  options.config.max_new_tokens = 9;
  std::string streamed;
  const auto on_text = [&](std::string_view text) {
    streamed += text;
    return true;
  };
  const auto make = [&] { return generate_several(scripted.model(), none, {2}, options, on_text); };
  const auto same_ids = [&](const Generated& made) {
    const auto with_text = generate(scripted.model(), tokenizer(), none, {2}, options, on_text);
    CHECK(made.ids == with_text.ids);
    CHECK(made.reason == FinishReason::eos);
    CHECK(made.text == ids_as_text(std::span(made.ids).subspan(1)));
    CHECK(made.text.ends_with(",1"));
  };
  const Generated streamed_one = make().at(0);
  CHECK(streamed == streamed_one.text);
  same_ids(streamed_one);
  options.config.num_beams = 3;
  same_ids(make().at(0));
  options.config.stop_strings = {"dog"};
  CHECK(error_of(make) == "stop texts: expected a tokenizer, which makes ids into texts, found none");
}

TEST_CASE("generate: beams come at the end, their texts stopped and cut as one text is") {
  const Scripted scripted(sentence);
  const Matrix none(0, rows());
  GenerateOptions options = until_eos();
  options.config.num_beams = 3;
  options.config.num_return_sequences = 2;
  options.config.max_new_tokens = 9;
  std::vector<std::string> pieces;
  const auto on_text = [&](std::string_view text) {
    pieces.emplace_back(text);
    return true;
  };
  std::vector<Generated> made = generate_several(scripted.model(), tokenizer(), none, {2}, options, on_text);
  REQUIRE(made.size() == 2);
  CHECK(made[0].text == "The dog and the village");
  CHECK(made[0].reason == FinishReason::eos);
  CHECK(made[1].ids != made[0].ids);
  CHECK(pieces == std::vector<std::string>{made[0].text});
  options.config.stop_strings = {"g an"};
  made = generate_several(scripted.model(), tokenizer(), none, {2}, options, on_text);
  CHECK(made[0].text == "The do");
  CHECK(made[0].reason == FinishReason::stop);
  CHECK(made[0].ids.back() == tokenizer().id_of("▁and"));
  options.config.max_new_tokens = 0;
  made = generate_several(scripted.model(), tokenizer(), none, {2}, options, on_text);
  CHECK(made.at(0).ids == Ids{2});
  CHECK(made.at(0).reason == FinishReason::length);
}

TEST_CASE("generate: several drawn texts come from one stream of draws, the first as if it were alone") {
  const Model& model = fixture_model();
  const Matrix H = reference_tensor(encoder_path + "norm");
  GenerateOptions options{.config = {.max_new_tokens = 8, .top_k = 0}, .sample = true, .seed = 3};
  const auto go_on = [](std::string_view) { return true; };
  const Generated alone = generate(model, tokenizer(), H, {2}, options, go_on);
  options.config.num_return_sequences = 3;
  std::vector<std::pair<Index, Index>> told;
  const Progress tell = [&](Index done, Index all) { told.emplace_back(done, all); };
  const std::vector<Generated> made = generate_several(model, tokenizer(), H, {2}, options, go_on, tell);
  REQUIRE(made.size() == 3);
  std::erase_if(told, [](const auto& step) { return step.second != 0; });  // of reading
  REQUIRE(told.size() >= 3 * 8);
  CHECK(told[23] == std::pair<Index, Index>(24, 0));
  CHECK(made[0].ids == alone.ids);
  CHECK(made[1].ids != made[0].ids);
  CHECK(made[2].ids != made[1].ids);
}

namespace {

/// Letters, words, bytes of whole and of broken characters, special pieces and sentinels, thrown together.
Ids random_ids(std::mt19937& random) {
  static const Ids pool =
      ids_of({"a", "b", "The", "▁dog", "\n", "\n\n", "▁", "<0xE2>", "<0x82>", "<0xAC>", "<0x61>", "<0x0A>",
              "<0xF0>", "<unused3>", "<start_of_turn>", "<bos>", "<eos>"});
  Ids ids(random() % 12);
  for (TokenId& id : ids) id = pool[random() % pool.size()];
  return ids;
}

/// Stop texts cut from the text, twice in a row, one inside another, with a beginning that is the
/// text before.
std::vector<std::string> random_stops(std::mt19937& random, const std::string& text) {
  std::vector<std::string> stops;
  for (std::size_t count = random() % 4; count > 0; --count) {
    const std::size_t at = random() % (text.size() + 1), size = 1 + random() % 4;
    std::string stop = text.substr(at, size);
    if (random() % 4 == 0) stop += stop;
    if (random() % 4 == 0) stop += "a";
    if (random() % 4 == 0) stop = "\n" + stop;
    if (random() % 8 == 0) stops.push_back(stop.substr(stop.size() / 2));
    stops.push_back(stop);
  }
  return stops;
}

}  // namespace

TEST_CASE("generate: streamed text is the shown text of the ids, cut at the first stop text") {
  std::mt19937 random(1);
  int stopped = 0;
  for (int run = 0; run < 20000; ++run) {
    const Ids ids = random_ids(random);
    GenerateOptions options;
    options.show_special = random() % 2 == 0;
    if (random() % 2 == 0) options.config.eos_token_id = {1};
    const auto shown_of = [&](std::span<const TokenId> made) {
      Ids shown;
      for (const TokenId id : made)
        if (options.show_special || !(tokenizer().is_hidden(id) || is_eos(options, id))) shown.push_back(id);
      return shown;
    };
    options.config.stop_strings =
        random_stops(random, tokenizer().decode(shown_of(ids), options.show_special));

    ShownText stream(tokenizer(), options);
    std::string streamed;
    std::size_t made = 0;  // as in generation, none is made behind a stop text
    while (made < ids.size() && !stream.stopped()) streamed += stream.push(ids[made++]);
    streamed += stream.finish();
    const std::string whole = tokenizer().decode(shown_of(std::span(ids).first(made)), options.show_special);
    std::size_t cut = whole.npos;
    for (const std::string& stop : options.config.stop_strings)
      if (!stop.empty()) cut = std::min(cut, whole.find(stop));
    CAPTURE(whole);
    CHECK(streamed == whole.substr(0, cut));
    CHECK(stream.stopped() == (cut != whole.npos));
    stopped += stream.stopped() ? 1 : 0;
  }
  CHECK(stopped > 4000);
}

TEST_CASE("generate: what is held back for a stop text comes before the bytes of the last run") {
  GenerateOptions options;
  options.config.stop_strings = {"a!"};
  ShownText stream(tokenizer(), options);
  std::string text;
  for (const TokenId id : ids_of({"b", "a", "<0xE2>", "<0x82>", "<0xAC>"})) text += stream.push(id);
  CHECK(text + stream.finish() == "ba\u20AC");
  options.config.stop_strings = {"a\u20AC"};
  ShownText ends(tokenizer(), options);
  text.clear();
  for (const TokenId id : ids_of({"b", "a", "<0xE2>", "<0x82>", "<0xAC>"})) text += ends.push(id);
  text += ends.finish();
  CHECK(text == "b");
  CHECK(ends.stopped());
}

TEST_CASE("generate: a hidden piece may be a stop text, and what comes before it is shown whole") {
  const Scripted model({"The", "a", "<0xE2>", "<0x82>", "<0xAC>", "<start_of_turn>", "▁dog", "<eos>"});
  GenerateOptions options = until_eos();
  options.config.stop_strings = {"a!", "<start_of_turn>"};
  const Generated made = model.run(options);
  CHECK(made.text == "Thea\u20AC");
  CHECK(made.reason == FinishReason::stop);
  CHECK(made.ids.back() == tokenizer().id_of("<start_of_turn>"));
  options.config.stop_strings = {"of_turn"};  // not seen, so no part of it is a stop text
  CHECK(model.run(options).reason == FinishReason::eos);
}

TEST_CASE("generate: a stop text that the decoder prompt begins is none: the text is what is made") {
  const Scripted scripted(sentence);
  GenerateOptions options = until_eos();
  options.config.stop_strings = {"The dog"};
  Ids prompt{2};
  for (const TokenId id : ids_of({"The"})) prompt.push_back(id);
  const Generated made = generate(scripted.model(), tokenizer(), Matrix(0, rows()), prompt, options,
                                  [](std::string_view) { return true; });
  CHECK(made.text == " dog and the village");
  CHECK(made.reason == FinishReason::eos);
}

TEST_CASE("generate: an incomplete decoder and arguments that have no meaning are refused") {
  const Decoder& w = fixture_model().decoder;
  std::mt19937_64 random;
  const auto ids_with = [&](const Decoder& decoder, DecoderState state, const OnToken& on_token) {
    Ids ids{2, 5};
    generate_ids(decoder, std::move(state), ids, {}, random, on_token);
  };
  const auto go_on = [](TokenId) { return true; };
  const DecoderState start = start_decoder(w, Matrix(0, 24));
  CHECK(argument_error([&] { ids_with(Decoder(), start, go_on); }) ==
        "decoder rms_norm_eps: expected 0 or more, found nan");
  CHECK(argument_error([&] { ids_with(w, DecoderState(), go_on); }) ==
        "DecoderState: expected one from start_decoder, found another");
  CHECK(argument_error([&] { ids_with(w, start, {}); }) == "on_token: expected a function, found none");
  DecoderState later = start;
  decode(w, later, Ids{2, 5, 7});
  CHECK(argument_error([&] { ids_with(w, later, go_on); }) ==
        "position of the state: expected 0, the beginning of ids, found 3");
  const Scripted scripted(sentence);
  GenerateOptions options = until_eos();
  const auto texts = [&](const Model& model, const OnText& on_text) {
    generate_several(model, tokenizer(), Matrix(0, rows()), {2}, options, on_text);
  };
  const auto read_on = [](std::string_view) { return true; };
  CHECK(argument_error([&] { texts(Model(), read_on); }) ==
        "decoder rms_norm_eps: expected 0 or more, found nan");
  CHECK(argument_error([&] { texts(scripted.model(), {}); }) == "on_text: expected a function, found none");
  options.config.num_return_sequences = 0;
  contains(argument_error([&] { texts(scripted.model(), read_on); }),
           "num_return_sequences: expected from 1");
  options = until_eos();
  options.config.num_beams = 0;
  contains(argument_error([&] { texts(scripted.model(), read_on); }), "num_beams: expected from 1");
  options = until_eos();
  options.sample = true;
  options.config.temperature = 0;
  contains(argument_error([&] { texts(scripted.model(), read_on); }),
           "temperature: expected a number above 0");
}

}  // namespace test_generate
