// Added tokens in a tokenizer.json.
#include "t5gemma2/tokenizer/added_tokens_json.hpp"

#include <doctest/doctest.h>

#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_added_tokens_json {

using namespace tokenizer_fixture;

namespace {

json added_token(const std::string& content, int id, const json& flags = json::object()) {
  json token = {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", false}};
  token.update(flags);
  return token;
}

}  // namespace

TEST_CASE("tokenizer.json: added tokens") {
  const auto added = [](const char* field, const json& value) {
    return complaint([&](json& file) { file["added_tokens"][5][field] = value; });
  };
  CHECK(contains(added("single_word", true),
                 "added_tokens[5].single_word: expected false (of \"[multimodal]\")"));
  for (const char* rule : {"single_word", "lstrip", "rstrip", "normalized"}) {
    CHECK(contains(added(rule, 1), std::string("added_tokens[5].") + rule + ": expected true or false"));
  }
  CHECK(contains(added("special", "yes"), "added_tokens[5].special"));
  CHECK(contains(added("id", 6), "added_tokens[5].id: expected 5"));
  CHECK(contains(added("id", -1), "added_tokens[5].id"));
  CHECK(contains(added("id", 2.5), "added_tokens[5].id"));
  CHECK(contains(added("content", ""), "added_tokens[5].content"));
  CHECK(contains(added("content", 7), "added_tokens[5].content"));
  CHECK(contains(added("content", "new"), "added_tokens[5].id: expected 652"));
  const auto more = [](const json& tokens) {
    return complaint([&](json& file) {
      file["added_tokens"].insert(file["added_tokens"].end(), tokens.begin(), tokens.end());
    });
  };
  CHECK(contains(more(json::array({added_token("<table>", 66, {{"special", true}})})),
                 "added_tokens[79].content: expected a text that is not added twice in different ways"));
  CHECK(contains(more({added_token("<X>", 653), added_token("<X>", 653, {{"lstrip", true}})}),
                 "added_tokens[80].content"));
  CHECK(more({added_token("<X>", 700), added_token("<Y>", 656)}) ==
        "tokenizer.json: added_tokens[80].id: expected 701 or more (model.vocab lacks \"<Y>\"), found 656");
  CHECK(contains(more(json::array({added_token("<Q>", 9)})),
                 "added_tokens[79].id: expected 653 or more"));  // <unused3>'s
  CHECK(contains(more({added_token("x y", 653, {{"normalized", true}}),
                       added_token("x▁y", 654, {{"normalized", true}})}),
                 "added_tokens[80].content: expected a text that differs from \"x y\" when normalized"));
  CHECK(contains(complaint([](json& file) { file["added_tokens"] = 3; }), "added_tokens"));
  CHECK(contains(complaint([](json& file) { file["added_tokens"] = {3}; }), "added_tokens[0]"));
  CHECK(
      contains(complaint([](json& file) { file["added_tokens"][2]["special"] = false; }), "post_processor"));
}

TEST_CASE(
    "tokenizer.json: added tokens are appended to pieces with room for them, whose texts must not move") {
  const json file = json::array({added_token("<X>", 0)});
  const std::vector<JsonField> tokens = JsonField(file, "tokenizer.json").items();
  std::vector<Piece> pieces;
  PieceIds ids;
  CHECK_THROWS_WITH_AS(add_tokens(tokens, pieces, ids, 0),
                       "capacity of pieces: expected room for all added tokens, found 0",
                       std::invalid_argument);
  pieces.reserve(1);
  add_tokens(tokens, pieces, ids, 0);
  CHECK(ids.at("<X>") == 0);
  CHECK(pieces.at(0).extra);
}

}  // namespace test_added_tokens_json
