// The cache of converted tokenizers.
#include "t5gemma2/tokenizer/cache.hpp"

#include <doctest/doctest.h>

#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_cache {

using namespace tokenizer_fixture;

TEST_CASE("tokenizer cache: the conversion of tokenizer.json is cached") {
  const ScratchFolder folder;
  const CacheAt cache(folder.path() / "cache");
  const auto file = folder.write("model/tokenizer.json", content_of(data / "tokenizer.json"));
  const auto cached = *cache_file_for(content_of(file));
  CHECK(cached.filename().string().starts_with("tokenizer-3-"));
  CHECK(cached.parent_path() == folder.path() / "cache" / "t5gemma2");
  const Ids expected = small().encode("Once upon a time\n\n<table> 日");
  const auto ids = [&] {
    return Tokenizer::load(file.parent_path()).encode("Once upon a time\n\n<table> 日");
  };

  CHECK(ids() == expected);
  const std::string good = content_of(cached);
  REQUIRE(!good.empty());
  const auto files = std::filesystem::directory_iterator(cached.parent_path());
  CHECK(std::distance(begin(files), end(files)) == 1);  // nothing half-written is left
  CHECK(ids() == expected);

  SUBCASE("and used") {
    json other = tokenizer_json();
    other["post_processor"]["single"][0]["SpecialToken"]["id"] = "<eos>";
    other["post_processor"]["special_tokens"]["<eos>"] = {{"ids", {1}}};
    write_cached(cached, vocabulary_from_json(other.dump(), "other"));
    CHECK(ids()[0] == 1);
  }
  SUBCASE("and holds everything that tokenizer.json says") {
    const auto other = folder.write("other/tokenizer.json", with_eos().dump());
    for (int time = 0; time < 2; ++time) CHECK(Tokenizer::load(other).eos_id() == from(with_eos()).eos_id());
    const Tokenizer tokenizer = Tokenizer::load(file);
    for (TokenId id = 0; id <= small().vocab_size(); ++id) {
      CHECK(tokenizer.piece(id) == small().piece(id));
      CHECK(tokenizer.is_special(id) == small().is_special(id));
      CHECK(tokenizer.is_hidden(id) == small().is_hidden(id));
    }
    CHECK(tokenizer.vocab_size() == small().vocab_size());
    for (const json& entry : expectations()) {
      if (entry.contains("text"))
        CHECK(tokenizer.encode(entry["text"].get<std::string>()) == entry["ids"].get<Ids>());
      CHECK(tokenizer.decode(Ids(entry["ids"])) == entry["decoded"][0].get<std::string>());
    }
  }
  SUBCASE("and made again when it is broken") {
    std::string flipped = good;
    flipped[good.size() / 2] = static_cast<char>(flipped[good.size() / 2] ^ 1);
    for (const std::string& bad :
         {std::string(), std::string("x"), good.substr(0, good.size() / 2), good.substr(0, good.size() - 1),
          good + "x", flipped, content_of(data / "tokenizer.model"), cache_detail::checksum("")}) {
      std::ofstream(cached, std::ios::binary) << bad;
      CHECK(ids() == expected);
      const bool restored = content_of(cached) == good;
      CHECK(restored);
    }
    std::filesystem::remove(cached);
    std::filesystem::create_directories(cached / "in the way");
    CHECK(ids() == expected);
  }
  SUBCASE("unless nothing can be written there") {
    const CacheAt nowhere(folder.write("file", "") / "below a file");
    CHECK(ids() == expected);
  }
}

TEST_CASE("tokenizer cache: the cache folder") {
  const ScratchFolder folder;
  const CacheAt cache(folder.path());
  CHECK(cache_folder() == folder.path() / "t5gemma2");
  const CacheAt relative("not/absolute");
  const char* home = std::getenv("HOME");
  if (home != nullptr) CHECK(cache_folder() == std::filesystem::path(home) / ".cache" / "t5gemma2");
}

}  // namespace test_cache
