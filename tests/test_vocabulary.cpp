// Pieces, and vocabularies with a field left out.
#include "t5gemma2/tokenizer/vocabulary.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>
#include <string>

#include "argument_error.hpp"
#include "t5gemma2/tokenizer/tokenizer.hpp"

namespace test_vocabulary {

using namespace t5gemma2;

namespace {

/// The error about a small good vocabulary after this change; "" for none.
std::string error(const std::function<void(Vocabulary&)>& change) {
  Vocabulary vocabulary{.pieces = {}, .bos = 0, .unk = 1};
  vocabulary.pieces.push_back({.text = "<bos>", .type = PieceType::control, .added = true, .special = true});
  vocabulary.pieces.push_back({.text = "<unk>", .type = PieceType::unknown});
  for (unsigned byte = 0; byte < 256; ++byte)
    vocabulary.pieces.push_back(
        {.text = byte_piece(static_cast<unsigned char>(byte)), .type = PieceType::byte});
  for (const char* text : {"a", "é"}) vocabulary.pieces.push_back({.text = text});
  vocabulary.pieces.push_back({.text = "aé", .score = -1});
  change(vocabulary);
  return argument_error([&] {
    const std::vector<TokenId> ids = Tokenizer(vocabulary).encode("aéa");
    CHECK(ids == std::vector<TokenId>{0, 260, 258});
  });
}

}  // namespace

TEST_CASE("vocabulary: a field that was left out or set wrongly is named") {
  CHECK(error([](Vocabulary&) {}) == "");
  CHECK(error([](Vocabulary& v) { v = {}; }) ==
        "bos of the vocabulary: expected the id of a piece, found -1");
  CHECK(error([](Vocabulary& v) { v.bos = 261; }) ==
        "bos of the vocabulary: expected the id of a piece, found 261");
  CHECK(error([](Vocabulary& v) { v.pieces[0].text = ""; }) ==
        "bos of the vocabulary: expected the id of a piece, found 0");
  CHECK(error([](Vocabulary& v) { v.unk = -1; }) ==
        "unk of the vocabulary: expected the id of a piece of type unknown, found -1");
  CHECK(error([](Vocabulary& v) { v.unk = 0; }) ==
        "unk of the vocabulary: expected the id of a piece of type unknown, found 0");
  CHECK(error([](Vocabulary& v) { v.pieces[260].score = unset; }) ==
        "piece 260 score: expected a number, found nan");
  CHECK(error([](Vocabulary& v) { v.pieces[259].text = "\xC3"; }) ==
        "piece 259 text: expected UTF-8, found other bytes");
  CHECK(error([](Vocabulary& v) {
          v.pieces.push_back({.text = {}, .type = PieceType::control, .added = true});
        }) == "piece 261 text: expected that of an added token, found none");
  CHECK(error([](Vocabulary& v) { v.pieces.push_back({}); }) == "");  // an id without a piece
}

TEST_CASE("vocabulary: pieces of bytes and <unusedN>") {
  CHECK(byte_piece(0) == "<0x00>");
  CHECK(byte_piece(0xAF) == "<0xAF>");
  for (unsigned byte = 0; byte < 256; ++byte)
    CHECK(byte_of_piece(byte_piece(static_cast<unsigned char>(byte))) == static_cast<char>(byte));
  CHECK(byte_of_piece("<0xaf>") == '\xAF');
  for (const char* text : {"", "<0xA>", "<0xAG>", "<0xAAA>", "<0xAA", "0xAA"}) CHECK(!byte_of_piece(text));
  CHECK(is_unused_piece("<unused0>"));
  CHECK(is_unused_piece("<unused99>"));
  for (const char* text : {"", "<unused>", "<unused", "<unused1", "<unused1a>"})
    CHECK(!is_unused_piece(text));
}

TEST_CASE("vocabulary: a space is written as ▁") { CHECK(normalize(" a  b\n") == "▁a▁▁b\n"); }

}  // namespace test_vocabulary
