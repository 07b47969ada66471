// Added tokens in a text.
#include "t5gemma2/tokenizer/added_tokens.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_added_tokens {

using namespace tokenizer_fixture;

namespace {

/// tokenizer.json with these added tokens, in place of those with the same content.
json with_added(const json& tokens) {
  json file = tokenizer_json();
  json all = json::array();
  for (const json& old : file["added_tokens"]) {
    const auto same = [&](const json& token) { return token["content"] == old["content"]; };
    if (std::none_of(tokens.begin(), tokens.end(), same)) all.push_back(old);
  }
  all.insert(all.end(), tokens.begin(), tokens.end());
  file["added_tokens"] = all;
  return file;
}

}  // namespace

TEST_CASE("tokenizer: added tokens of fine-tunes, as the tokenizers library takes them, and from the cache") {
  const ScratchFolder folder;
  const CacheAt cache(folder.path() / "cache");
  for (const json& entry : json::parse(content_of(data / "added.json"))) {
    CAPTURE(entry["added_tokens"].dump());
    const auto file = folder.write("tokenizer.json", with_added(entry["added_tokens"]).dump());
    for (int time = 0; time < 2; ++time) {
      const Tokenizer tokenizer = Tokenizer::load(file);
      for (const json& text : entry["texts"]) {
        CAPTURE(text.dump());
        CHECK(tokenizer.encode(text[0].get<std::string>()) == text[1].get<Ids>());
      }
      for (const json& ids : entry["ids"]) {
        CAPTURE(ids.dump());
        CHECK(tokenizer.decode(Ids(ids[0])) == ids[1].get<std::string>());
        CHECK(tokenizer.decode(Ids(ids[0]), true) == ids[2].get<std::string>());
      }
    }
  }
}

TEST_CASE("added tokens: the one that starts first is found, and of those the longest") {
  const AddedTokens tokens({{"ab", 1}, {"abc", 2}, {"bcd", 3}, {"\n", 4, false, true}});
  const auto split = [](const AddedTokens& list, std::string_view text) {
    std::string parts;
    list.split(
        text, [&](TokenId id) { parts += "<" + std::to_string(id) + ">"; },
        [&](std::string_view between) { parts += "[" + std::string(between) + "]"; });
    return parts;
  };
  CHECK(split(tokens, "xabcd ab\n  bcd") == "[x]<2>[d ]<1><4><3>");
  CHECK(split(tokens, "") == "");
  CHECK(split(AddedTokens(), "abc") == "[abc]");
  CHECK_THROWS_WITH_AS(AddedTokens({{"", 1}}),
                       "text of an added token: expected one that is not empty, found none",
                       std::invalid_argument);
}

}  // namespace test_added_tokens
