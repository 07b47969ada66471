// Gaps: which sentinels stand for them, in which order, and that an answer's fillings come out where the
// words were.
#include "t5gemma2/generation/fill.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "scratch.hpp"

namespace test_fill {

using namespace t5gemma2;

namespace {

const std::filesystem::path data = T5GEMMA2_TEST_DATA;

/// Words, and <unused0> to <unused11>.
const Tokenizer& small() {
  static const Tokenizer tokenizer = Tokenizer::load(data / "tokenizer" / "tokenizer.json");
  return tokenizer;
}

/// A vocabulary of these pieces behind <pad>, <eos>, <bos>, <unk> and the bytes.
Tokenizer with_pieces(const std::vector<std::string>& pieces) {
  Vocabulary vocabulary{.pieces = {}, .bos = 2, .unk = 3};
  const auto add = [&](const std::string& text, PieceType type, bool added) {
    vocabulary.pieces.push_back({.text = text, .type = type, .added = added});
  };
  for (const char* text : {"<pad>", "<eos>", "<bos>"}) add(text, PieceType::control, true);
  add("<unk>", PieceType::unknown, true);
  constexpr std::string_view digits = "0123456789ABCDEF";
  for (std::size_t byte = 0; byte < 256; ++byte)
    add(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">", PieceType::byte, false);
  for (const std::string& text : pieces) add(text, PieceType::control, true);
  return Tokenizer(vocabulary);
}

GenerateOptions until_eos() {
  GenerateOptions options;
  options.config.eos_token_id = {1};
  return options;
}

Gaps gaps_of(std::string_view text) { return find_gaps(small(), text); }

std::string encoder_text(std::string_view text) { return with_sentinels(small(), gaps_of(text)); }

/// What the model's answer, written with its sentinels, makes of `text`.
Filled filled_by(std::string_view text, std::string_view answer,
                 const GenerateOptions& options = until_eos()) {
  return read_filled(small(), options, gaps_of(text), small().encode(answer));
}

std::string fill(std::string_view text, std::string_view answer) {
  const Filled filled = filled_by(text, answer);
  CHECK(filled.notes == std::vector<std::string>());
  return filled_text(filled);
}

std::vector<std::string> names(const Tokenizer& tokenizer, std::optional<Index> first = {}) {
  std::vector<std::string> names;
  for (const TokenId id : sentinels_from(tokenizer, first)) names.emplace_back(tokenizer.piece(id));
  return names;
}

using Texts = std::vector<std::string>;

struct Hidden {
  std::string prompt;           // with ___
  std::vector<TokenId> answer;  // that brings the text back
  std::size_t gaps = 0;
};

/// Hides spans of the ids, but for <bos>, which are at random.
Hidden hide(std::span<const TokenId> ids, std::mt19937_64& random) {
  const std::vector<TokenId> sentinels = sentinels_from(small());
  Hidden hidden;
  for (std::size_t i = 1; i < ids.size();) {
    const std::size_t from = std::min(ids.size(), i + 1 + random() % 6);
    const std::size_t to = std::min(ids.size(), from + 1 + random() % 4);
    const auto span = ids.subspan(from, to - from);
    const std::string text = small().decode(span);
    hidden.prompt += small().decode(ids.subspan(i, from - i));
    i = to;
    if (hidden.gaps == sentinels.size() || text.find_first_not_of(' ') == text.npos) {  // a space is no word
      hidden.prompt += text;
      continue;
    }
    hidden.prompt += text.starts_with(' ') ? " ___" : "___";
    hidden.answer.push_back(sentinels[hidden.gaps++]);
    hidden.answer.insert(hidden.answer.end(), span.begin(), span.end());
  }
  hidden.answer.push_back(1);
  return hidden;
}

}  // namespace

TEST_CASE("fill: sentinels go down from <unused6237>, or from the highest where the vocabulary ends below") {
  CHECK(names(with_pieces({"<unused0>", "<unused1>", "<unused10>", "<unused9>"})) ==
        Texts{"<unused10>", "<unused9>"});
  CHECK(names(with_pieces({"<unused6235>", "<unused6236>", "<unused6237>", "<unused6238>",
                           "<unused6241>"})) == Texts{"<unused6237>", "<unused6236>", "<unused6235>"});
  CHECK(names(small()).front() == "<unused11>");
  CHECK(names(small()).back() == "<unused0>");
  CHECK(names(small()).size() == 12);
  CHECK(names(small(), 2) == Texts{"<unused2>", "<unused1>", "<unused0>"});
}

TEST_CASE("fill: without sentinels there is nothing to fill with") {
  CHECK(error_of([] { names(with_pieces({"a"})); }) ==
        "tokenizer: sentinels: expected pieces <unusedN>, found none");
  CHECK(error_of([] { names(small(), 12); }) ==
        "tokenizer: <unused12>: expected a piece of the vocabulary, found none");
}

TEST_CASE("fill: a gap is three underscores or more") {
  CHECK(split_at_gaps("a ___ b") == Texts{"a ", " b"});
  CHECK(split_at_gaps("____a_____") == Texts{"", "a", ""});
  CHECK(split_at_gaps("a __ b_c") == Texts{"a __ b_c"});
  CHECK(split_at_gaps("___ ___") == Texts{"", " ", ""});
}

TEST_CASE("fill: a gap takes the spaces in front of it along, as the hidden ids did") {
  CHECK(encoder_text("the dog ___ the village") == "the dog<unused11> the village");
  CHECK(encoder_text("___ dog,___  and\n___ ____") == "<unused11> dog,<unused10>  and\n<unused9><unused8>");
}

TEST_CASE("fill: prompts that cannot be filled") {
  CHECK(error_of([] { gaps_of("the dog __"); }) ==
        "prompt: gaps: expected ___ where words are missing, found none");
  CHECK(error_of([] { gaps_of("the ___ dog <unused3>"); }) ==
        "prompt: gaps: expected ___ alone, found <unused3>, too");
  CHECK(error_of([] {
          gaps_of("___ a ___ b ___ c ___ d ___ e ___ f ___ g ___ h ___ i ___ j ___ k ___ l ___");
        }) == "prompt: gaps: expected at most 12, a sentinel for each from <unused11> down, found 13");
  CHECK(error_of([] { find_gaps(small(), "a ___ b ___", 0); }) ==
        "prompt: gaps: expected at most 1, a sentinel for each from <unused0> down, found 2");
  CHECK(error_of([] { gaps_of("ab\xFF ___"); }) == "text: byte 2: expected UTF-8, found 0xFF");
}

TEST_CASE("fill: fillings come where the gaps were, with one space between words") {
  CHECK(fill("the dog ___ village", "<unused11> and the<eos>") == "the dog and the village");
  CHECK(fill("the dog ___ village", "<unused11>and the <eos>") == "the dog and the village");
  CHECK(fill("the ___ and ___.", "<unused11> dog<unused10> cat<eos>") == "the dog and cat.");
  CHECK(fill("___ dog", "<unused11> The<eos>") == "The dog");
  CHECK(fill("the dog\n___", "<unused11> and<eos>") == "the dog\nand");
  CHECK(fill("walk___ now", "<unused11>ing<eos>") == "walking now");
  CHECK(fill("the___ dog", "<unused11> big<eos>") == "the big dog");
  CHECK(fill("the ___ ___", "<unused10> dog<unused11> big<eos>") == "the big dog");
}

TEST_CASE("fill: a gap filled with nothing leaves one space") {
  CHECK(fill("the ___ dog", "<unused11><eos>") == "the dog");
  CHECK(fill("the dog ___.", "<unused11> <eos>") == "the dog.");
  CHECK(filled_by("the ___ dog", "<unused11><eos>").fillings[0] == "");
}

TEST_CASE("fill: a gap left out stays one, with a note") {
  const Filled filled = filled_by("the ___ and ___", "<unused10> cat<eos>");
  CHECK(filled_text(filled, "[", "]") == "the ___ and [cat]");
  CHECK(filled.fillings == std::vector<std::optional<std::string>>{{}, "cat"});
  CHECK(filled.notes == Texts{"gap 1 was left out"});
}

TEST_CASE("fill: the first filling of a gap counts") {
  const Filled filled = filled_by("the ___ dog", "<unused11> big<unused11> small<eos>");
  CHECK(filled_text(filled, "<u>", "</u>") == "the <u>big</u> dog");
  CHECK(filled.notes == Texts{"gap 1 was filled again: \" small\" was ignored"});
}

TEST_CASE("fill: text that belongs to no gap is ignored, with a note") {
  const Filled filled = filled_by("the ___ dog", "well<unused3> no<unused11> big<eos>");
  CHECK(filled_text(filled) == "the big dog");
  CHECK(filled.notes == Texts{"the answer has words in front of its first sentinel: \"well\" was ignored",
                              "the answer has <unused3>, which no gap has: \" no\" was ignored"});
  CHECK(filled_by("the ___", "just words<eos>").notes ==
        Texts{"the answer has words in front of its first sentinel: \"just words\" was ignored",
              "gap 1 was left out"});
}

TEST_CASE("fill: the sentinel behind the last gap's ends the answer") {
  CHECK(fill("the ___ and ___", "<unused11> dog<unused10> cat<unused9> more<unused11> words<eos>") ==
        "the dog and cat");
  GenerateOptions options = until_eos();
  stop_behind_gaps(small(), gaps_of("the ___ and ___"), options);
  CHECK(options.config.stop_strings == Texts{"<unused9>"});
  stop_behind_gaps(small(), find_gaps(small(), "___", 0), options);  // has none behind it
  CHECK(options.config.stop_strings.size() == 1);
}

TEST_CASE("fill: a stop text is no part of a filling, special pieces are none") {
  GenerateOptions options = until_eos();
  options.config.stop_strings = {"\n"};
  options.show_special = true;
  CHECK(filled_text(filled_by("the ___ dog", "<unused11> big<start_of_turn>\nand more", options)) ==
        "the big dog");
}

TEST_CASE("fill: whatever ids of a text are hidden, the answer that UL2 trains brings the text back") {
  std::mt19937_64 random(1);
  const Texts words{"the", "dog", "village", "and", "The", "walking", "cat.", "(it", "Zürich", "x"};
  std::size_t gaps = 0;
  for (int round = 0; round < 500; ++round) {
    std::string text = words[random() % words.size()];
    for (std::size_t more = 1 + random() % 20; more > 0; --more) text += " " + words[random() % words.size()];
    const Hidden hidden = hide(small().encode(text), random);
    if (hidden.gaps == 0) continue;
    gaps += hidden.gaps;
    CAPTURE(hidden.prompt);
    const Filled filled = read_filled(small(), until_eos(), gaps_of(hidden.prompt), hidden.answer);
    CHECK(filled.notes == Texts());
    CHECK(filled_text(filled) == text);
  }
  CHECK(gaps > 1000);
}

TEST_CASE("fill: gaps and fillings that do not belong together are refused") {
  GenerateOptions options = until_eos();
  const std::vector<TokenId> ids{2};
  CHECK_THROWS_WITH_AS(with_sentinels(small(), Gaps()), "gaps around: expected one text or more, found none",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(with_sentinels(small(), Gaps{{"a ", " b"}, {}}),
                       "gaps sentinels: expected one for each gap, found 0", std::invalid_argument);
  CHECK_THROWS_AS(stop_behind_gaps(small(), Gaps(), options), std::invalid_argument);
  CHECK_THROWS_AS(read_filled(small(), options, Gaps(), ids), std::invalid_argument);
  CHECK_THROWS_WITH_AS(filled_text(Filled()), "texts around gaps: expected one more than fillings, found 0",
                       std::invalid_argument);
}

}  // namespace test_fill
