// Notes about tokenizer_config.json.
#include "t5gemma2/tokenizer/tokenizer_config.hpp"

#include <doctest/doctest.h>

#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_tokenizer_config {

using namespace tokenizer_fixture;

TEST_CASE("tokenizer_config.json: what transformers would do otherwise is said") {
  const ScratchFolder folder;
  const auto notes = [&](const json& config) {
    folder.write("tokenizer_config.json", config.dump());
    return tokenizer_config_notes(folder.path(), small());
  };
  using Notes = std::vector<std::string>;
  CHECK(tokenizer_config_notes(folder.path(), small()).empty());  // no such file
  const json plain = {{"bos_token", "<bos>"},
                      {"pad_token", nullptr},
                      {"image_token", {{"content", "<image_soft_token>"}, {"special", true}}},
                      {"extra_special_tokens", {{"boi_token", "<start_of_image>"}}},
                      {"added_tokens_decoder", {{"4", {{"content", "<mask>"}, {"lstrip", false}}}}},
                      {"split_special_tokens", false},
                      {"add_bos_token", true},
                      {"chat_template", "[X]"}};
  CHECK(notes(plain).empty());
  const auto with = [&](const char* key, const json& value) {
    json config = plain;
    config[key] = value;
    return notes(config);
  };
  const std::string lacks = "tokenizer_config.json names tokens that the tokenizer lacks, here plain text: ";
  CHECK(with("pad_token", "[PAD]") == Notes{lacks + "[PAD]"});
  CHECK(with("my_token", {{"content", "[X]"}}) == Notes{lacks + "[X]"});
  CHECK(with("additional_special_tokens", {"[X]", "[Y]", "<eos>", "[Z]"}) == Notes{lacks + "[X] and 2 more"});
  CHECK(with("added_tokens_decoder", {{"653", {{"content", "[X]"}}}}) == Notes{lacks + "[X]"});
  CHECK(with("split_special_tokens", true) ==
        Notes{"split_special_tokens of tokenizer_config.json is not followed: they stay tokens"});
  CHECK(contains(error_of([&] { notes(json::array()); }), "tokenizer_config.json: expected an object"));
  CHECK(contains(error_of([&] { with("split_special_tokens", 1); }),
                 "split_special_tokens: expected true or false"));
}

}  // namespace test_tokenizer_config
