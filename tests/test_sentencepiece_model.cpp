// A vocabulary as a SentencePiece model.
#include "t5gemma2/tokenizer/sentencepiece_model.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_sentencepiece_model {

using namespace tokenizer_fixture;

namespace {

/// The good SentencePiece model with one more field, which counts more than the one before.
std::string model_with(unsigned part, unsigned field, std::uint64_t value) {
  std::string message, model = content_of(data / "tokenizer.model");
  wire::put(message, field, value);
  wire::put(model, part, message);
  return model;
}

}  // namespace

TEST_CASE("tokenizer.model: lengths that look like white space before a '<' make no web page") {
  std::string piece, model;
  wire::put(piece, 1, "<web_page");
  wire::put(piece, 3, std::uint64_t{1});
  wire::put(model, 1, piece);
  REQUIRE(model.starts_with("\n\r\n\t<"));
  const ScratchFolder folder;
  const auto file = folder.write("tokenizer.model", model + content_of(data / "tokenizer.model"));
  CHECK(Tokenizer::load(file).id_of("<web_page") == 0);
}

TEST_CASE("tokenizer.model: files that are broken or not like Gemma's") {
  const std::string good = content_of(data / "tokenizer.model");
  const auto error = [](const std::string& content) { return complaint("tokenizer.model", content); };
  CHECK(contains(error(""), "an empty file"));
  CHECK(contains(error("version https://git-lfs.github.com/spec/v1\n"), "git-LFS"));
  CHECK(contains(error("hello"), "expected a SentencePiece model"));
  CHECK(contains(error(good.substr(0, good.size() - 3)), "the end of the file"));
  CHECK(contains(error(std::string(12, '\xff')), "a number without an end"));
  CHECK(contains(error(good.substr(0, 200)), "SentencePiece"));
  CHECK(contains(error(model_with(2, 3, 1)), "trainer_spec.model_type"));
  CHECK(contains(error(model_with(2, 35, 0)), "trainer_spec.byte_fallback"));
  CHECK(contains(error(model_with(2, 24, 1)), "trainer_spec.treat_whitespace_as_suffix"));
  CHECK(contains(error(model_with(2, 41, 70000)), "trainer_spec.bos_id"));
  CHECK(contains(error(model_with(2, 41, 300)), "trainer_spec.bos_id"));
  CHECK(contains(error(model_with(2, 41, static_cast<std::uint64_t>(-1))), "trainer_spec.bos_id"));
  CHECK(contains(error(model_with(3, 3, 1)), "normalizer_spec.add_dummy_prefix"));
  CHECK(contains(error(model_with(3, 4, 1)), "normalizer_spec.remove_extra_whitespaces"));
  CHECK(contains(error(model_with(3, 5, 0)), "normalizer_spec.escape_whitespaces"));
  CHECK(contains(error(model_with(1, 3, 9)), "piece 652: expected a type from 1 to 6, found 9"));
  CHECK(contains(error(model_with(1, 3, 1)), "piece 652: expected a text"));
  std::string piece, map, model = good;
  wire::put(piece, 1, "<pad>");
  wire::put(model, 1, piece);
  CHECK(contains(error(model), "piece \"<pad>\": expected one id"));
  model = good;
  wire::put(map, 2, "abc");
  wire::put(model, 3, map);
  CHECK(contains(error(model), "normalizer_spec.precompiled_charsmap"));
}

TEST_CASE("tokenizer.model: a score that is no number is refused") {
  std::string piece, model = content_of(data / "tokenizer.model");
  wire::put(piece, 1, "new");
  wire::put_fixed(piece, 2, std::numeric_limits<float>::quiet_NaN());
  wire::put(model, 1, piece);
  CHECK(contains(complaint("tokenizer.model", model),
                 "piece 652: expected a score that is a number, found NaN"));
}

}  // namespace test_sentencepiece_model
