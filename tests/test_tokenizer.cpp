// The tokenizer: ids and texts of the tokenizers library on a small vocabulary built like Gemma's, streaming,
// the kept conversion, and a clear word about every file that is not as it should be.
#include "t5gemma2/tokenizer/tokenizer.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <thread>

#include "scratch.hpp"
#include "t5gemma2/tokenizer/tokenizer_config.hpp"

namespace test_tokenizer {

using namespace t5gemma2;
using nlohmann::json;

namespace {

const std::filesystem::path data = std::filesystem::path(T5GEMMA2_TEST_DATA) / "tokenizer";

std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

json tokenizer_json() { return json::parse(content_of(data / "tokenizer.json")); }

Tokenizer from(const json& file) { return Tokenizer(vocabulary_from_json(file.dump(), "tokenizer.json")); }

const Tokenizer& small() {
  static const Tokenizer tokenizer = from(tokenizer_json());
  return tokenizer;
}

/// {"text": ..., "ids": [...], "decoded": [without, with special pieces]}; text may be missing.
const json& expectations() {
  static const json all = json::parse(content_of(data / "expected.json"));
  return all;
}

using Ids = std::vector<TokenId>;

/// Sets XDG_CACHE_HOME for a test.
class CacheAt {
 public:
  explicit CacheAt(const std::filesystem::path& folder) { ::setenv("XDG_CACHE_HOME", folder.c_str(), 1); }
  CacheAt(const CacheAt&) = delete;
  CacheAt& operator=(const CacheAt&) = delete;
  ~CacheAt() {
    if (before_)
      ::setenv("XDG_CACHE_HOME", before_->c_str(), 1);
    else
      ::unsetenv("XDG_CACHE_HOME");
  }

 private:
  std::optional<std::string> before_ = std::getenv("XDG_CACHE_HOME") == nullptr
                                           ? std::nullopt
                                           : std::optional<std::string>(std::getenv("XDG_CACHE_HOME"));
};

/// The complaint about the tokenizer.json that `change` makes out of the good one.
std::string complaint(const std::function<void(json&)>& change) {
  json file = tokenizer_json();
  change(file);
  const std::string message = error_of([&] { vocabulary_from_json(file.dump(), "tokenizer.json"); });
  CHECK(message.starts_with("tokenizer.json: "));
  return message;
}

json added_token(const std::string& content, int id, const json& flags = json::object()) {
  json token = {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", false}};
  token.update(flags);
  return token;
}

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

/// The complaint about a file of this name and content.
std::string complaint(const std::string& name, const std::string& content) {
  const ScratchFolder folder;
  const CacheAt cache(folder.path() / "cache");
  const auto file = folder.write(name, content);
  const std::string message = error_of([&] { Tokenizer::load(file); });
  CHECK(message.starts_with(file.string() + ": "));
  return message;
}

/// The good SentencePiece model with one more field, which counts more than the one before.
std::string model_with(unsigned part, unsigned field, std::uint64_t value) {
  std::string message, model = content_of(data / "tokenizer.model");
  wire::put(message, field, value);
  wire::put(model, part, message);
  return model;
}

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

TEST_CASE("tokenizer: ids and texts are those of the tokenizers library") {
  CHECK(expectations().size() > 400);
  for (const json& entry : expectations()) {
    const Ids ids = entry["ids"];
    CAPTURE(entry.dump());
    if (entry.contains("text")) CHECK(small().encode(entry["text"].get<std::string>()) == ids);
    CHECK(small().decode(ids) == entry["decoded"][0].get<std::string>());
    CHECK(small().decode(ids, true) == entry["decoded"][1].get<std::string>());
  }
}

TEST_CASE("tokenizer: tokenizer.model gives the same ids, and its types say what is special") {
  const Tokenizer tokenizer = Tokenizer::load(data / "tokenizer.model");
  for (const json& entry : expectations()) {
    const Ids ids = entry["ids"];
    CAPTURE(entry.dump());
    if (std::ranges::count(ids, small().vocab_size()) > 0)
      continue;  // <image_soft_token> is not in this file
    if (entry.contains("text")) CHECK(tokenizer.encode(entry["text"].get<std::string>()) == ids);
    CHECK(tokenizer.decode(ids, true) == entry["decoded"][1].get<std::string>());
  }
  CHECK(tokenizer.bos_id() == 2);
  CHECK(tokenizer.vocab_size() == small().vocab_size());
  CHECK(tokenizer.is_special(0));
  CHECK(!tokenizer.is_special(*tokenizer.id_of("<table>")));
}

TEST_CASE("tokenizer: added tokens of fine-tunes, as the tokenizers library takes them, and when kept") {
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

TEST_CASE("tokenizer: merges in the older spelling") {
  json file = tokenizer_json();
  for (json& merge : file["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  const Tokenizer tokenizer = from(file);
  for (const json& entry : expectations()) {
    if (entry.contains("text"))
      CHECK(tokenizer.encode(entry["text"].get<std::string>()) == entry["ids"].get<Ids>());
  }
}

TEST_CASE("tokenizer: pieces by text and kind") {
  const Tokenizer& tokenizer = small();
  CHECK(tokenizer.encode("") == Ids{2});
  CHECK(tokenizer.bos_id() == 2);
  CHECK(tokenizer.vocab_size() == 652);
  CHECK(tokenizer.id_of("<eos>") == 1);
  CHECK(tokenizer.id_of("<unk>") == 3);
  CHECK(tokenizer.id_of("<image_soft_token>") == 652);  // behind the vocabulary: no embedding
  CHECK(tokenizer.id_of("▁the").has_value());
  CHECK(!tokenizer.id_of("no such piece").has_value());
  CHECK(!tokenizer.id_of("").has_value());
  CHECK(tokenizer.piece(2) == "<bos>");

  const TokenId image = *tokenizer.id_of("<start_of_image>"), sentinel = *tokenizer.id_of("<unused3>");
  CHECK(tokenizer.is_special(image));
  CHECK(tokenizer.is_hidden(image));
  CHECK(!tokenizer.is_special(sentinel));
  CHECK(tokenizer.is_hidden(sentinel));
  CHECK(!tokenizer.is_hidden(*tokenizer.id_of("<table>")));
  CHECK(!tokenizer.is_hidden(*tokenizer.id_of("▁the")));
}

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

TEST_CASE("tokenizer: many threads at once") {
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (const json& entry : expectations()) {
        const Ids ids = entry["ids"];
        if (entry.contains("text") && small().encode(entry["text"].get<std::string>()) != ids) ++wrong;
        if (small().decode(ids) != entry["decoded"][0].get<std::string>()) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("tokenizer: long texts are cut where it changes nothing") {
  sentencepiece::SentencePieceProcessor whole;
  const Vocabulary vocabulary = vocabulary_from_json(tokenizer_json().dump(), "tokenizer.json");
  REQUIRE(whole.LoadFromSerializedProto(to_sentencepiece(vocabulary)).ok());
  std::mt19937 random(5);
  const std::vector<std::string> words = {"the",  " village", "> </", ">",    " ",  "  ",  "haha",
                                          "日本", "▁",        " ▁",   "</",   "é",  "a",   " a",
                                          "=",    " ==",      "\r",   "> </", " x", "ban", "ana"};
  for (int round = 0; round < 20; ++round) {
    std::string text;
    for (int i = 0; i < 6000; ++i) text += words[random() % words.size()];
    for (std::size_t at; (at = text.find("▁▁")) != text.npos;) text.erase(at, 3);  // an added token
    std::vector<int> ids;
    REQUIRE(whole.Encode(text, &ids).ok());
    ids.insert(ids.begin(), small().bos_id());
    const bool same = small().encode(text) == ids;
    CHECK(same);
  }
}

TEST_CASE("tokenizer: text must be UTF-8") {
  const auto error = [](const std::string& text) { return error_of([&] { small().encode(text); }); };
  CHECK(error("ab\xff") == "text: byte 2: expected UTF-8, found 0xFF");
  CHECK(contains(error("\x80"), "byte 0"));                        // a continuation without a start
  CHECK(contains(error("é\xc3"), "byte 2"));                       // the end inside a character
  CHECK(contains(error("a\xc3(b"), "byte 1"));                     // a start without continuation
  CHECK(contains(error("\xc0\xaf"), "byte 0"));                    // overlong
  CHECK(contains(error("\xe0\x9f\xbf"), "byte 0"));                // overlong
  CHECK(contains(error("\xf0\x8f\xbf\xbf"), "byte 0"));            // overlong
  CHECK(contains(error("12\xed\xa0\x80"), "byte 2"));              // a surrogate
  CHECK(contains(error("\xf4\x90\x80\x80"), "byte 0"));            // beyond U+10FFFF
  CHECK(contains(error("\xf5\x80\x80\x80"), "byte 0"));            //
  CHECK(error("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf") == "");  // the borders
  CHECK(error(std::string("a\0b", 3)) == "");
}

TEST_CASE("tokenizer: an id without a piece has no text, a negative one is refused") {
  for (const TokenId id : {653, 99999, std::numeric_limits<TokenId>::max()}) {
    CHECK(small().piece(id).empty());
    CHECK(!small().is_special(id));
    CHECK(small().is_hidden(id));
    CHECK(!small().byte_of(id));
    CHECK(TextStream(small(), true).push(id).empty());
  }
  const Ids euro = {*small().id_of("<0xE2>"), 653, *small().id_of("<0x82>"), 99999, *small().id_of("<0xAC>")};
  CHECK(small().decode(euro) == "€");  // as tokenizers has it: the run of bytes goes on
  CHECK(small().decode(euro, true) == "€");
  CHECK(error_of([] { small().decode(Ids{2, -1}); }) == "token ids: id: expected 0 or more, found -1");
  CHECK(contains(error_of([] { small().piece(-1); }), "found -1"));
  CHECK(contains(error_of([] { small().is_special(-2); }), "found -2"));
  CHECK(contains(error_of([] { small().is_hidden(-5); }), "found -5"));
}

TEST_CASE("tokenizer: the conversion of tokenizer.json is kept") {
  const ScratchFolder folder;
  const CacheAt cache(folder.path() / "cache");
  const auto file = folder.write("model/tokenizer.json", content_of(data / "tokenizer.json"));
  const auto kept = *cache_detail::file_for(content_of(file));
  CHECK(kept.filename().string().starts_with("tokenizer-2-"));
  CHECK(kept.parent_path() == folder.path() / "cache" / "t5gemma2");
  const Ids expected = small().encode("Once upon a time\n\n<table> 日");
  const auto ids = [&] {
    return Tokenizer::load(file.parent_path()).encode("Once upon a time\n\n<table> 日");
  };

  CHECK(ids() == expected);
  const std::string good = content_of(kept);
  REQUIRE(!good.empty());
  const auto files = std::filesystem::directory_iterator(kept.parent_path());
  CHECK(std::distance(begin(files), end(files)) == 1);  // nothing half-written is left
  CHECK(ids() == expected);

  SUBCASE("and used") {
    json other = tokenizer_json();
    other["post_processor"]["single"][0]["SpecialToken"]["id"] = "<eos>";
    other["post_processor"]["special_tokens"]["<eos>"] = {{"ids", {1}}};
    cache_detail::write(kept, vocabulary_from_json(other.dump(), "other"));
    CHECK(ids()[0] == 1);
  }
  SUBCASE("and holds everything that tokenizer.json says") {
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
      std::ofstream(kept, std::ios::binary) << bad;
      CHECK(ids() == expected);
      const bool restored = content_of(kept) == good;
      CHECK(restored);
    }
    std::filesystem::remove(kept);
    std::filesystem::create_directories(kept / "in the way");
    CHECK(ids() == expected);
  }
  SUBCASE("unless nothing can be written there") {
    const CacheAt nowhere(folder.write("file", "") / "below a file");
    CHECK(ids() == expected);
  }
}

TEST_CASE("tokenizer: the cache folder") {
  const ScratchFolder folder;
  const CacheAt cache(folder.path());
  CHECK(cache_folder() == folder.path() / "t5gemma2");
  const CacheAt relative("not/absolute");
  const char* home = std::getenv("HOME");
  if (home != nullptr) CHECK(cache_folder() == std::filesystem::path(home) / ".cache" / "t5gemma2");
}

TEST_CASE("tokenizer: which file of a folder is read") {
  const ScratchFolder folder;
  const CacheAt cache(folder.path() / "cache");
  folder.write("tokenizer.model", content_of(data / "tokenizer.model"));
  CHECK(!Tokenizer::load(folder.path()).id_of("<image_soft_token>").has_value());
  folder.write("tokenizer.json", content_of(data / "tokenizer.json"));
  CHECK(Tokenizer::load(folder.path()).id_of("<image_soft_token>").has_value());

  std::filesystem::remove(folder.path() / "tokenizer.json");
  std::filesystem::create_symlink("gone", folder.path() / "tokenizer.json");
  CHECK(contains(
      error_of([&] { Tokenizer::load(folder.path()); }),
      "tokenizer.json: expected a tokenizer.json, found a link that leads nowhere: gone is missing"));
}

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

json replace(const std::string& from, const std::string& to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

json in_sequence(const char* list, const json& steps) { return {{"type", "Sequence"}, {list, steps}}; }

TEST_CASE("tokenizer.json: a model that is not Gemma's") {
  const auto model = [](const char* field, const json& value) {
    return complaint([&](json& file) { file["model"][field] = value; });
  };
  CHECK(contains(model("type", "Unigram"), "model.type: expected BPE, found \"Unigram\""));
  CHECK(contains(complaint([](json& file) { file["model"].erase("type"); }), "model.type"));
  CHECK(contains(model("byte_fallback", false), "model.byte_fallback: expected true"));
  CHECK(contains(model("dropout", 0.1), "model.dropout"));
  CHECK(contains(model("ignore_merges", true), "model.ignore_merges"));
  CHECK(contains(model("continuing_subword_prefix", "##"), "model.continuing_subword_prefix"));
  CHECK(contains(model("end_of_word_suffix", "</w>"), "model.end_of_word_suffix"));
  CHECK(contains(model("unk_token", nullptr), "model.unk_token"));
  CHECK(contains(model("unk_token", "none of these"), "model.unk_token"));
  CHECK(contains(model("unk_token", "a"), "model.unk_token"));
  CHECK(contains(model("vocab", json::array({json::array({"a", -1.5})})), "model.vocab"));
  CHECK(contains(model("vocab", nullptr), "model.vocab"));
  CHECK(contains(model("vocab", json::object()), "model.unk_token"));
  CHECK(contains(model("merges", nullptr), "model.merges"));
}

TEST_CASE("tokenizer.json: what surrounds the model must be Gemma's, too") {
  const auto part = [](const char* path, const json& value) {
    return complaint([&](json& file) { file[json::json_pointer(path)] = value; });
  };
  const std::string normalizer = "tokenizer.json: normalizer: expected Replace of ' ' by '▁', found ";
  CHECK(part("/normalizer", {{"type", "NFKC"}}) == normalizer + "NFKC");
  CHECK(part("/normalizer", nullptr) == normalizer + "nothing");
  CHECK(part("/normalizer", in_sequence("normalizers", {{{"type", "Prepend"}}, replace(" ", "▁")})) ==
        normalizer + "Prepend, Replace");
  CHECK(contains(part("/normalizer", replace(" ", "_")), "normalizer.content: expected"));
  CHECK(
      contains(part("/normalizer/pattern", {{"Regex", "\\s"}}), "normalizer.pattern.Regex: expected \" \""));
  CHECK(
      contains(part("/normalizer/pattern", json::object()), "normalizer.pattern: expected String or Regex"));
  CHECK(contains(part("/pre_tokenizer", {{"type", "ByteLevel"}}), "pre_tokenizer.type: expected Split"));
  CHECK(contains(part("/pre_tokenizer/pattern", {{"Regex", "\\w"}}), "pre_tokenizer.pattern.Regex"));
  CHECK(contains(part("/pre_tokenizer/pattern", {{"String", "e"}}), "pre_tokenizer.pattern.String"));
  CHECK(contains(part("/pre_tokenizer/invert", true), "pre_tokenizer.invert"));
  CHECK(part("/decoder/decoders/2", {{"type", "Strip"}}) ==
        "tokenizer.json: decoder: expected Replace, ByteFallback, Fuse, found Replace, ByteFallback, Strip");
  CHECK(
      contains(part("/decoder/decoders/0", replace("▁", "")), "decoder.decoders[0].content: expected \" \""));
  CHECK(contains(part("/decoder", nullptr), "decoder: expected Replace, ByteFallback, Fuse, found nothing"));
  CHECK(contains(part("/decoder", 7), "decoder"));
}

TEST_CASE("tokenizer.json: other ways to say the same") {
  const json original = tokenizer_json();
  const auto same = [&](const char* path, const json& value) {
    json file = original;
    file[json::json_pointer(path)] = value;
    CAPTURE(file[json::json_pointer(path)].dump());
    const Tokenizer tokenizer = from(file);
    CHECK(tokenizer.encode(" a  b\n<bos>é") == small().encode(" a  b\n<bos>é"));
  };
  const json truncation = {
      {"direction", "Right"}, {"max_length", 3}, {"strategy", "LongestFirst"}, {"stride", 0}};
  same("/truncation", truncation);
  same("/truncation", {{"anything", {1, 2}}});
  same("/padding",
       {{"strategy", {{"Fixed", 20}}}, {"direction", "Left"}, {"pad_id", 0}, {"pad_token", "<pad>"}});
  same("/normalizer", in_sequence("normalizers", json::array({original["normalizer"]})));
  same("/normalizer",
       in_sequence("normalizers",
                   json::array({in_sequence("normalizers", json::array({original["normalizer"]}))})));
  same("/normalizer/pattern", {{"Regex", " "}});
  same("/pre_tokenizer", nullptr);
  same("/pre_tokenizer", in_sequence("pretokenizers", json::array()));
  same("/pre_tokenizer", in_sequence("pretokenizers", json::array({original["pre_tokenizer"]})));
  same("/pre_tokenizer/behavior", "Isolated");
  same("/post_processor", in_sequence("processors", json::array({original["post_processor"]})));
  same("/decoder/decoders", {replace("▁", " "), {{"type", "ByteFallback"}}});
  same("/model/fuse_unk", false);
  same("/model/dropout", 0.0);
  same("/model/ignore_merges", nullptr);
  same("/model/continuing_subword_prefix", "");
}

TEST_CASE("tokenizer.json: a post-processor that does not put <bos> in front is refused in plain words") {
  const auto post = [](const json& value) {
    return complaint([&](json& file) { file["post_processor"] = value; });
  };
  const auto part = [](const char* path, const json& value) {
    return complaint([&](json& file) { file["post_processor"][json::json_pointer(path)] = value; });
  };
  const json original = tokenizer_json()["post_processor"];
  const std::string expected =
      "tokenizer.json: post_processor: expected TemplateProcessing (<bos>, then the text), found ";
  CHECK(post(nullptr) == expected + "nothing");
  CHECK(complaint([](json& file) { file.erase("post_processor"); }) == expected + "nothing");
  CHECK(post(in_sequence("processors", json::array())) == expected + "nothing");
  for (const char* type : {"RobertaProcessing", "BertProcessing", "ByteLevel"})
    CHECK(post({{"type", type}, {"sep", {"<eos>", 1}}, {"cls", {"<bos>", 2}}}) == expected + type);
  CHECK(post(in_sequence("processors", {{{"type", "ByteLevel"}}, original})) ==
        expected + "ByteLevel, TemplateProcessing");

  const json bos = original["single"][0], text = original["single"][1];
  const json eos = {{"SpecialToken", {{"id", "<eos>"}, {"type_id", 0}}}};
  const std::string single = "tokenizer.json: post_processor.single: expected <bos>, then the text, found ";
  CHECK(part("/single", {bos, text, eos}) == single + "<bos>, the text, <eos>");
  CHECK(part("/single", {text, eos}) == single + "the text, <eos>");
  CHECK(part("/single", json::array({text})) == single + "the text");
  CHECK(part("/single", json::array()) == single + "nothing");
  CHECK(part("/single", {bos, bos}) == single + "<bos>, <bos>");
  CHECK(part("/single", {text, text}) == single + "the text, the text");
  CHECK(part("/single", {bos, {{"Sequence", {{"id", "B"}}}}}) == single + "<bos>, something else");
  CHECK(part("/single", "<bos> $A") ==
        "tokenizer.json: post_processor.single: expected a list, found \"<bos> $A\"");
  CHECK(contains(part("/single/0", eos), "post_processor.special_tokens.<eos>"));
  CHECK(contains(part("/special_tokens/<bos>/ids", {2, 2}), "ids: expected one id"));
  CHECK(contains(part("/special_tokens/<bos>/ids", {700}), "ids[0]"));
  CHECK(contains(part("/special_tokens/<bos>/ids", {1}), "single[0].SpecialToken.id"));
}

TEST_CASE("tokenizer.json: pieces and their ids") {
  const auto id = [](const json& value) {
    return complaint([&](json& file) { file["model"]["vocab"]["▁the"] = value; });
  };
  const std::string piece = "model.vocab[\"\\u2581the\"]: expected an id";
  CHECK(contains(id(17), piece));  // another's
  CHECK(contains(id(1 << 20), piece));
  CHECK(contains(id(-1), piece));
  CHECK(contains(id(1.5), piece));
  CHECK(contains(id(1e300), piece));
  CHECK(contains(id(18446744073709551615u), piece));
  CHECK(contains(id("7"), piece));
  CHECK(contains(id(nullptr), piece));
  CHECK(contains(id({7}), piece));
  CHECK(contains(id({{"a", 7}}), piece));
  CHECK(contains(complaint([](json& file) {
                   file["model"]["vocab"][""] = file["model"]["vocab"]["▁the"];
                   file["model"]["vocab"].erase("▁the");
                 }),
                 "model.vocab[\"\"]"));
  CHECK(contains(complaint([](json& file) {
                   file["model"]["vocab"]["new"] = file["model"]["vocab"]["<0x7F>"];
                   file["model"]["vocab"].erase("<0x7F>");
                 }),
                 "<0x7F>"));
  std::string twice = content_of(data / "tokenizer.json");
  twice.insert(twice.find("\"vocab\":{") + 9, "\"<pad>\":0,");
  CHECK(contains(complaint("tokenizer.json", twice), "twice"));
}

TEST_CASE("tokenizer.json: ids that no piece has") {
  json file = tokenizer_json();
  file["model"]["vocab"]["<hole>"] = 700;
  file["added_tokens"].back()["id"] = 653;
  const Tokenizer tokenizer = from(file);
  CHECK(tokenizer.vocab_size() == 701);
  CHECK(tokenizer.id_of("<hole>") == 700);
  CHECK(tokenizer.id_of("<image_soft_token>") == 653);  // as many as there are pieces: as tokenizers counts
  CHECK(!tokenizer
             .id_of("\xFF"
                    "660")
             .has_value());
  CHECK(tokenizer.piece(660).empty());
  CHECK(tokenizer.is_hidden(660));
  CHECK(tokenizer.decode(Ids{*small().id_of("▁the"), 660, 652, 700}, true) == " the<hole>");
  CHECK(tokenizer.encode("the \xC3\xBF") == small().encode("the \xC3\xBF"));

  file["model"]["vocab"]["<in the way>"] = 654;
  file["added_tokens"].back()["id"] = 655;
  CHECK(error_of([&] { from(file); }) ==
        "tokenizer.json: added_tokens[78].id: expected no other piece with id 654, found \"<in the way>\"");
}

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

}  // namespace test_tokenizer
