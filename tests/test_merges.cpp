// Merges as SentencePiece scores.
#include "t5gemma2/tokenizer/merges.hpp"

#include <doctest/doctest.h>

#include <utility>

#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_merges {

using namespace tokenizer_fixture;

namespace {

/// Puts the merge of another piece between two merges of one piece.
void tear_apart(json& file) {
  json& merges = file["model"]["merges"];
  const auto product = [&](std::size_t i) {
    return merges[i][0].get<std::string>() + merges[i][1].get<std::string>();
  };
  for (std::size_t i = merges.size() - 2; i > 0; --i) {
    if (product(i) != product(i - 1) || product(i) == product(i + 1)) continue;
    return std::swap(merges[i], merges[i + 1]);
  }
}

}  // namespace

TEST_CASE("tokenizer.json: merges that SentencePiece cannot follow") {
  const auto merge = [](const json& value) {
    return complaint([&](json& file) { file["model"]["merges"].push_back(value); });
  };
  const std::string last =
      "model.merges[" + std::to_string(tokenizer_json()["model"]["merges"].size()) + "]: ";
  CHECK(contains(merge("ab"), last + "expected two pieces"));
  CHECK(contains(merge("a  b"), last + "expected two pieces"));
  CHECK(contains(merge(7), last + "expected two pieces"));
  CHECK(contains(merge({"a"}), last + "expected two pieces"));
  CHECK(contains(merge({"a", "b", "c"}), last + "expected two pieces"));
  CHECK(contains(merge({"a", 7}), last + "expected two pieces"));
  CHECK(contains(merge({"no", "such piece"}), last + "expected a pair that makes a piece"));
  CHECK(contains(merge({"<tab", "le>"}), "model.merges"));  // an added token that text could become
  CHECK(contains(merge({"<unu", "sed3>"}), "model.merges"));
  CHECK(contains(merge({"<un", "k>"}), "model.merges"));
  CHECK(contains(merge({"<0x", "41>"}), "model.merges"));
  const auto missing = complaint([](json& file) { file["model"]["merges"].erase(10); });
  CHECK(contains(missing, "model.merges: expected every pair of pieces that makes a piece, once, found"));
  CHECK(contains(missing, "missing"));
  CHECK(contains(
      complaint([](json& file) { file["model"]["merges"].push_back(file["model"]["merges"].back()); }),
      "twice"));
  CHECK(contains(complaint(tear_apart), "side by side"));
}

TEST_CASE("merges: pieces must be UTF-8") {
  std::vector<Piece> pieces = {{.text = "a\xFF", .score = 0}};
  CHECK_THROWS_WITH_AS(apply_merges(pieces, {}, {}, "tokenizer.json"),
                       "text of a piece: expected UTF-8, found other bytes", std::invalid_argument);
}

}  // namespace test_merges
