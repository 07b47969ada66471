// Text to ids and back: ids and texts are those of the tokenizers library on a small vocabulary.
#include "t5gemma2/tokenizer/tokenizer.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <limits>
#include <thread>

#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_tokenizer {

using namespace tokenizer_fixture;

TEST_CASE("tokenizer: ids and texts are those of the tokenizers library") {
  CHECK(expectations().size() > 400);
  for (const json& entry : expectations()) {
    const Ids ids = entry["ids"];
    CAPTURE(entry.dump());
    if (entry.contains("text")) CHECK(small().encode(entry["text"].get<std::string>()) == ids);
    CHECK(small().decode(ids) == entry["decoded"][0].get<std::string>());
    CHECK(small().decode(ids, true) == entry["decoded"][1].get<std::string>());
  }
}

TEST_CASE("tokenizer: tokenizer.model gives the same ids, and its types say what is special") {
  const Tokenizer tokenizer = Tokenizer::load(data / "tokenizer.model");
  for (const json& entry : expectations()) {
    const Ids ids = entry["ids"];
    CAPTURE(entry.dump());
    if (std::ranges::count(ids, small().vocab_size()) > 0)
      continue;  // <image_soft_token> is not in this file
    if (entry.contains("text")) CHECK(tokenizer.encode(entry["text"].get<std::string>()) == ids);
    CHECK(tokenizer.decode(ids, true) == entry["decoded"][1].get<std::string>());
  }
  CHECK(tokenizer.bos_id() == 2);
  CHECK(tokenizer.vocab_size() == small().vocab_size());
  CHECK(tokenizer.is_special(0));
  CHECK(!tokenizer.is_special(*tokenizer.id_of("<table>")));
}

TEST_CASE("tokenizer: pieces by text and kind") {
  const Tokenizer& tokenizer = small();
  CHECK(tokenizer.encode("") == Ids{2});
  CHECK(tokenizer.bos_id() == 2);
  CHECK(tokenizer.vocab_size() == 652);
  CHECK(tokenizer.id_of("<eos>") == 1);
  CHECK(tokenizer.id_of("<unk>") == 3);
  CHECK(tokenizer.id_of("<image_soft_token>") == 652);  // behind the vocabulary: no embedding
  CHECK(tokenizer.id_of("▁the").has_value());
  CHECK(!tokenizer.id_of("no such piece").has_value());
  CHECK(!tokenizer.id_of("").has_value());
  CHECK(tokenizer.piece(2) == "<bos>");

  const TokenId image = *tokenizer.id_of("<start_of_image>"), sentinel = *tokenizer.id_of("<unused3>");
  CHECK(tokenizer.is_special(image));
  CHECK(tokenizer.is_hidden(image));
  CHECK(!tokenizer.is_special(sentinel));
  CHECK(tokenizer.is_hidden(sentinel));
  CHECK(!tokenizer.is_hidden(*tokenizer.id_of("<table>")));
  CHECK(!tokenizer.is_hidden(*tokenizer.id_of("▁the")));
}

TEST_CASE("tokenizer: many threads at once") {
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (const json& entry : expectations()) {
        const Ids ids = entry["ids"];
        if (entry.contains("text") && small().encode(entry["text"].get<std::string>()) != ids) ++wrong;
        if (small().decode(ids) != entry["decoded"][0].get<std::string>()) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("tokenizer: text must be UTF-8") {
  const auto error = [](const std::string& text) { return error_of([&] { small().encode(text); }); };
  CHECK(error("ab\xff") == "text: byte 2: expected UTF-8, found 0xFF");
  CHECK(contains(error("\x80"), "byte 0"));                        // a continuation without a start
  CHECK(contains(error("é\xc3"), "byte 2"));                       // the end inside a character
  CHECK(contains(error("a\xc3(b"), "byte 1"));                     // a start without continuation
  CHECK(contains(error("\xc0\xaf"), "byte 0"));                    // overlong
  CHECK(contains(error("\xe0\x9f\xbf"), "byte 0"));                // overlong
  CHECK(contains(error("\xf0\x8f\xbf\xbf"), "byte 0"));            // overlong
  CHECK(contains(error("12\xed\xa0\x80"), "byte 2"));              // a surrogate
  CHECK(contains(error("\xf4\x90\x80\x80"), "byte 0"));            // beyond U+10FFFF
  CHECK(contains(error("\xf5\x80\x80\x80"), "byte 0"));            //
  CHECK(error("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf") == "");  // the borders
  CHECK(error(std::string("a\0b", 3)) == "");
}

TEST_CASE("tokenizer: an id without a piece has no text, a negative one is refused") {
  for (const TokenId id : {653, 99999, std::numeric_limits<TokenId>::max()}) {
    CHECK(small().piece(id).empty());
    CHECK(!small().is_special(id));
    CHECK(small().is_hidden(id));
    CHECK(!small().byte_of(id));
    CHECK(TextStream(small(), true).push(id).empty());
  }
  const Ids euro = {*small().id_of("<0xE2>"), 653, *small().id_of("<0x82>"), 99999, *small().id_of("<0xAC>")};
  CHECK(small().decode(euro) == "€");  // as tokenizers has it: the run of bytes goes on
  CHECK(small().decode(euro, true) == "€");
  CHECK(error_of([] { small().decode(Ids{2, -1}); }) == "token ids: id: expected 0 or more, found -1");
  CHECK(contains(error_of([] { small().piece(-1); }), "found -1"));
  CHECK(contains(error_of([] { small().is_special(-2); }), "found -2"));
  CHECK(contains(error_of([] { small().is_hidden(-5); }), "found -5"));
}

TEST_CASE("tokenizer: which file of a folder is read") {
  const ScratchFolder folder;
  const CacheAt cache(folder.path() / "cache");
  folder.write("tokenizer.model", content_of(data / "tokenizer.model"));
  CHECK(!Tokenizer::load(folder.path()).id_of("<image_soft_token>").has_value());
  folder.write("tokenizer.json", content_of(data / "tokenizer.json"));
  CHECK(Tokenizer::load(folder.path()).id_of("<image_soft_token>").has_value());

  std::filesystem::remove(folder.path() / "tokenizer.json");
  std::filesystem::create_symlink("gone", folder.path() / "tokenizer.json");
  CHECK(contains(
      error_of([&] { Tokenizer::load(folder.path()); }),
      "tokenizer.json: expected a tokenizer.json, found a link that leads nowhere: gone is missing"));
}

TEST_CASE("tokenizer: a vocabulary that SentencePiece refuses") {
  const auto error = [](const std::function<void(Vocabulary&)>& change) {
    Vocabulary vocabulary = vocabulary_from_json(tokenizer_json().dump(), "tokenizer.json");
    change(vocabulary);
    return error_of([&] { Tokenizer(vocabulary, "my pieces"); });
  };
  CHECK(error([](Vocabulary&) {}) == "");
  const std::string start = "my pieces: expected pieces for SentencePiece, found: ";
  CHECK(contains(error([](Vocabulary& v) { v.pieces[0].text = "<eos>"; }), start));
  CHECK(contains(error([](Vocabulary& v) {
                   for (Piece& piece : v.pieces)
                     if (piece.text == "<0x41>") piece.type = PieceType::control;
                 }),
                 start));
}

}  // namespace test_tokenizer
