// generation_config.json: what it sets, what it leaves open, and what is wrong with it.
#include "t5gemma2/generation_config.hpp"

#include <doctest/doctest.h>

#include "scratch.hpp"

using namespace t5gemma2;

namespace {

GenerationConfig load(const std::string& text) {
  const ScratchFolder folder;
  folder.write("generation_config.json", text);
  return load_generation_config(folder.path());
}

std::string complaint(const std::string& text) {
  return error_of([&] { load(text); });
}

}  // namespace

TEST_CASE("generation_config: a missing file and a file without fields set nothing") {
  const ScratchFolder empty;
  for (const GenerationConfig& config : {load_generation_config(empty.path()), load("{}")}) {
    CHECK(config.eos_token_id.empty());
    CHECK(!config.temperature);
    CHECK(!config.top_k);
    CHECK(!config.top_p);
    CHECK(!config.min_p);
    CHECK(!config.repetition_penalty);
    CHECK(!config.max_new_tokens);
    CHECK(!config.do_sample);
  }
}

TEST_CASE("generation_config: every field arrives at the member of its name") {
  const GenerationConfig config = load(R"({"eos_token_id": [1, 106], "temperature": 0.5, "top_k": 64,
      "top_p": 0.95, "min_p": 0.25, "repetition_penalty": 1.5, "max_new_tokens": 77, "do_sample": true,
      "transformers_version": "5.23.0", "use_cache": true})");
  CHECK(config.eos_token_id == std::vector<TokenId>{1, 106});
  CHECK(config.temperature == 0.5f);
  CHECK(config.top_k == 64);
  CHECK(config.top_p == 0.95f);
  CHECK(config.min_p == 0.25f);
  CHECK(config.repetition_penalty == 1.5f);
  CHECK(config.max_new_tokens == 77);
  CHECK(config.do_sample);
}

TEST_CASE("generation_config: eos may be one id or several; null is not given") {
  CHECK(load(R"({"eos_token_id": 1})").eos_token_id == std::vector<TokenId>{1});
  CHECK(load(R"({"eos_token_id": null, "top_k": null})").eos_token_id.empty());
}

TEST_CASE("generation_config: the file that transformers writes is read") {
  const GenerationConfig config = load_generation_config(std::filesystem::path(T5GEMMA2_TEST_DATA) / "basic");
  CHECK(config.eos_token_id == std::vector<TokenId>{1});
  CHECK(!config.do_sample);
}

TEST_CASE("generation_config: a wrong field is named") {
  for (const auto& [text, field] :
       {std::pair<std::string, std::string>{R"({"temperature": -1})", "temperature"},
        {R"({"temperature": "warm"})", "temperature"},
        {R"({"top_p": 1.5})", "top_p"},
        {R"({"min_p": -0.1})", "min_p"},
        {R"({"top_k": 1.5})", "top_k"},
        {R"({"top_k": -3})", "top_k"},
        {R"({"repetition_penalty": 0})", "repetition_penalty"},
        {R"({"max_new_tokens": 99999999999})", "max_new_tokens"},
        {R"({"eos_token_id": "end"})", "eos_token_id"},
        {R"({"eos_token_id": [1, -2]})", "eos_token_id"},
        {R"({"do_sample": 1})", "do_sample"}}) {
    const std::string message = complaint(text);
    contains(message, "generation_config.json: " + field);
    contains(message, "expected ");
  }
  CHECK(complaint("{") != "");
  CHECK(complaint("[1]") != "");
}
