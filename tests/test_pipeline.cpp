// The pipeline around the model in a tokenizer.json.
#include "t5gemma2/tokenizer/pipeline.hpp"

#include <doctest/doctest.h>

#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_pipeline {

using namespace tokenizer_fixture;

namespace {

json replace(const std::string& from, const std::string& to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

json in_sequence(const char* list, const json& steps) { return {{"type", "Sequence"}, {list, steps}}; }

}  // namespace

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
      "tokenizer.json: post_processor: expected TemplateProcessing (<bos>, then the text, then <eos> or "
      "nothing), "
      "found ";
  CHECK(post(nullptr) == expected + "nothing");
  CHECK(complaint([](json& file) { file.erase("post_processor"); }) == expected + "nothing");
  CHECK(post(in_sequence("processors", json::array())) == expected + "nothing");
  for (const char* type : {"RobertaProcessing", "BertProcessing", "ByteLevel"})
    CHECK(post({{"type", type}, {"sep", {"<eos>", 1}}, {"cls", {"<bos>", 2}}}) == expected + type);
  CHECK(post(in_sequence("processors", {{{"type", "ByteLevel"}}, original})) ==
        expected + "ByteLevel, TemplateProcessing");

  const json bos = original["single"][0], text = original["single"][1];
  const json eos = {{"SpecialToken", {{"id", "<eos>"}, {"type_id", 0}}}};
  const std::string single =
      "tokenizer.json: post_processor.single: expected <bos>, then the text, then <eos> or nothing, found ";
  CHECK(part("/single", {bos, text, text}) == single + "<bos>, the text, the text");
  CHECK(part("/single", {bos, text, eos, eos}) == single + "<bos>, the text, <eos>, <eos>");
  CHECK(contains(part("/single", {bos, text, eos}),
                 "special_tokens.<eos>.ids: expected a list, found nothing"));
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

TEST_CASE("tokenizer.json: a post-processor may put <eos> behind every text") {
  const Tokenizer tokenizer = from(with_eos());
  const TokenId eos = tokenizer.id_of("<eos>").value();
  CHECK(tokenizer.eos_id() == eos);
  CHECK(!small().eos_id());
  for (const char* text : {"Once upon a time", "", "<eos>"}) {
    Ids expected = small().encode(text);
    CHECK(tokenizer.encode_start(text) == expected);
    expected.push_back(eos);
    CHECK(tokenizer.encode(text) == expected);
  }
}

}  // namespace test_pipeline
