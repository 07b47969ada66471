// The vocabulary of a tokenizer.json.
#include "t5gemma2/tokenizer/tokenizer_json.hpp"

#include <doctest/doctest.h>

#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_tokenizer_json {

using namespace tokenizer_fixture;

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

}  // namespace test_tokenizer_json
