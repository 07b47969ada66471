// Files that are no tokenizer.
#include "t5gemma2/tokenizer/vocabulary_file.hpp"

#include <doctest/doctest.h>

#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_vocabulary_file {

using namespace tokenizer_fixture;

TEST_CASE("tokenizer: files that are something else") {
  const std::string good = content_of(data / "tokenizer.json");
  const ScratchFolder folder;
  CHECK(contains(error_of([&] { Tokenizer::load(folder.path()); }),
                 "tokenizer.json: expected a tokenizer.json, found"));
  CHECK(contains(error_of([&] { Tokenizer::load(folder.path() / "missing"); }), "missing: expected"));
  std::filesystem::create_directories(folder.path() / "tokenizer.json");
  CHECK(contains(error_of([&] { Tokenizer::load(folder.path()); }), "folder"));

  CHECK(contains(complaint("tokenizer.json", ""), "an empty file"));
  CHECK(contains(complaint("tokenizer.json", "version https://git-lfs.github.com/spec/v1\n"), "git-LFS"));
  CHECK(contains(complaint("tokenizer.json", "<!DOCTYPE html>"), "HTML"));
  CHECK(contains(complaint("tokenizer.json", "hello"), "expected JSON"));
  CHECK(contains(complaint("tokenizer.json", good.substr(0, good.size() / 2)), "expected JSON"));
  CHECK(contains(complaint("tokenizer.json", good + "x"), "expected JSON"));
  CHECK(contains(complaint("tokenizer.json", "{\"model\": \"\xff\"}"), "expected JSON"));
  CHECK(contains(complaint("tokenizer.json", std::string(1000000, '[')), "nesting"));
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"model\":";
  CHECK(contains(complaint("tokenizer.json", deep), "nesting"));
  CHECK(contains(complaint("tokenizer.json", "[]"), "an object"));
  CHECK(contains(complaint("tokenizer.json", "{}"), "model"));
  CHECK(
      contains(complaint("tokenizer.json", "{\"model\": [[{\"vocab\": {}}]]}"), "model: expected an object"));
}

}  // namespace test_vocabulary_file
