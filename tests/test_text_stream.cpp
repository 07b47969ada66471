// Text from ids, one by one.
#include "t5gemma2/tokenizer/text_stream.hpp"

#include <doctest/doctest.h>

#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_text_stream {

using namespace tokenizer_fixture;

TEST_CASE("tokenizer: a stream gives what decode gives, and only whole characters") {
  for (const json& entry : expectations()) {
    for (const bool show_special : {false, true}) {
      TextStream stream(small(), show_special);
      std::string text;
      for (const TokenId id : Ids(entry["ids"])) {
        const std::string part = stream.push(id);
        CHECK(valid_utf8(part) == part.size());
        text += part;
      }
      const std::string rest = stream.finish();
      CHECK(valid_utf8(rest) == rest.size());
      CHECK(text + rest == entry["decoded"][show_special ? 1 : 0].get<std::string>());
    }
  }
}

TEST_CASE("tokenizer: a stream holds bytes back until their run ends") {
  const Ids euro = {*small().id_of("<0xE2>"), *small().id_of("<0x82>"), *small().id_of("<0xAC>")};
  TextStream stream(small());
  CHECK(stream.push(euro[0]).empty());
  CHECK(stream.push(euro[1]).empty());
  CHECK(stream.push(euro[2]).empty());
  CHECK(stream.push(*small().id_of("▁the")) == "€ the");
  CHECK(stream.push(euro[0]).empty());
  CHECK(stream.push(2).empty());  // a special piece does not end the run
  CHECK(stream.push(euro[1]).empty());
  CHECK(stream.finish() == "\uFFFD\uFFFD");
  CHECK(stream.finish().empty());
}

}  // namespace test_text_stream
