// Merging by SentencePiece, in parts.
#include "t5gemma2/tokenizer/bpe.hpp"

#include <doctest/doctest.h>

#include <random>

#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_bpe {

using namespace tokenizer_fixture;

TEST_CASE("tokenizer: long texts are cut where it changes nothing") {
  sentencepiece::SentencePieceProcessor whole;
  const Vocabulary vocabulary = vocabulary_from_json(tokenizer_json().dump(), "tokenizer.json");
  REQUIRE(whole.LoadFromSerializedProto(to_sentencepiece(vocabulary)).ok());
  std::mt19937 random(5);
  const std::vector<std::string> words = {"the",  " village", "> </", ">",    " ",  "  ",  "haha",
                                          "日本", "▁",        " ▁",   "</",   "é",  "a",   " a",
                                          "=",    " ==",      "\r",   "> </", " x", "ban", "ana"};
  for (int round = 0; round < 20; ++round) {
    std::string text;
    for (int i = 0; i < 6000; ++i) text += words[random() % words.size()];
    for (std::size_t at; (at = text.find("▁▁")) != text.npos;) text.erase(at, 3);  // an added token
    std::vector<int> ids;
    REQUIRE(whole.Encode(text, &ids).ok());
    ids.insert(ids.begin(), small().bos_id());
    const bool same = small().encode(text) == ids;
    CHECK(same);
  }
}

TEST_CASE("bpe: ids of pieces, of which there are no others") {
  const Vocabulary vocabulary = vocabulary_from_json(tokenizer_json().dump(), "tokenizer.json");
  const Bpe bpe(vocabulary, "tokenizer.json");
  CHECK(bpe.piece(2) == "<bos>");
  CHECK(bpe.id_of("<bos>") == 2);
  CHECK(bpe.id_of("no such piece") == 3);
  CHECK_THROWS_WITH_AS(bpe.piece(-1), "piece: expected an id of the vocabulary, found -1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(bpe.piece(653), "piece: expected an id of the vocabulary, found 653",
                       std::invalid_argument);
}

}  // namespace test_bpe
