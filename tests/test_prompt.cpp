// Prompts with images: placeholders, crops, and the ids that transformers' processor makes of them.
#include "t5gemma2/prompt.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "scratch.hpp"

namespace test_prompt {

using namespace t5gemma2;
using nlohmann::json;

namespace {

using Ids = std::vector<TokenId>;
using Texts = std::vector<std::string>;
using Crops = std::vector<std::size_t>;

const std::filesystem::path data = T5GEMMA2_TEST_DATA;
const std::string image(image_placeholder);

const Tokenizer& small() {
  static const Tokenizer tokenizer = [] {
    const auto file = data / "tokenizer/tokenizer.json";
    std::ifstream in(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    return Tokenizer(vocabulary_from_json(text, file.string()));
  }();
  return tokenizer;
}

/// {"tokens_per_image", "boi", "image", "eoi", "prompts": [{"prompt", "crops", "ids"}]}
const json& expected() {
  static const json all = [] {
    std::ifstream in(data / "prompts/expected.json", std::ios::binary);
    REQUIRE(in.good());
    return json::parse(in);
  }();
  return all;
}

Config with_ids(Index boi, Index image_token, Index eoi, Index tokens) {
  Config config;
  config.boi_token_index = boi;
  config.image_token_index = image_token;
  config.eoi_token_index = eoi;
  config.mm_tokens_per_image = tokens;
  return config;
}

/// The ids of the tokenizer's own texts, as in expected.json.
Config own_ids() {
  return with_ids(expected()["boi"], expected()["image"], expected()["eoi"], expected()["tokens_per_image"]);
}

/// The ids of a text that stands alone, without bos.
Ids ids_of(const std::string& text) {
  const Ids ids = small().encode(text);
  return {ids.begin() + 1, ids.end()};
}

Ids join(std::initializer_list<Ids> parts) {
  Ids all;
  for (const Ids& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace

TEST_CASE("prompt: the placeholders of images without text are joined by spaces") {
  CHECK(prompt_of_images(0).empty());
  CHECK(prompt_of_images(1) == "<start_of_image>");
  CHECK(prompt_of_images(3) == "<start_of_image> <start_of_image> <start_of_image>");
}

TEST_CASE("prompt: images stand in front of a text that does not say where they go") {
  CHECK(with_placeholders("a", 0) == "a");
  CHECK(with_placeholders("", 0).empty());
  CHECK(with_placeholders("", 2) == prompt_of_images(2));
  CHECK(with_placeholders("a", 1) == image + "a");
  CHECK(with_placeholders(" a\n", 2) == image + " " + image + " a\n");
  CHECK(with_placeholders("<START_OF_IMAGE>", 1) == image + "<START_OF_IMAGE>");
  for (const std::string& placed : {image, "a " + image, image + image}) {
    CHECK(with_placeholders(placed, 1) == placed);  // as it is, even where places and images do not match
    CHECK(with_placeholders(placed, 0) == placed);
  }
}

TEST_CASE("prompt: the stretches between placeholders are one more than there are placeholders") {
  CHECK(split_at_placeholders("") == Texts{""});
  CHECK(split_at_placeholders("no image") == Texts{"no image"});
  CHECK(split_at_placeholders(image) == Texts{"", ""});
  CHECK(split_at_placeholders(image + image) == Texts{"", "", ""});
  CHECK(split_at_placeholders("a " + image + "\n" + image + " b") == Texts{"a ", "\n", " b"});
  CHECK(split_at_placeholders("<" + image + ">") == Texts{"<", ">"});
  CHECK(split_at_placeholders("<start_of_image" + image + "start_of_image>") ==
        Texts{"<start_of_image", "start_of_image>"});
  CHECK(split_at_placeholders("<START_OF_IMAGE> < start_of_image>") ==
        Texts{"<START_OF_IMAGE> < start_of_image>"});
  CHECK(split_at_placeholders(std::string("\0", 1) + image + std::string("\0", 1)) ==
        Texts{std::string("\0", 1), std::string("\0", 1)});
}

TEST_CASE("prompt: an image without crops stays as it is, crops bring their sentence along") {
  const std::string two = "Here is the original image " + image +
                          " and here are some crops to help you see better " + image + " " + image;
  CHECK(add_crops("", Crops{}).empty());
  CHECK(add_crops("text", Crops{}) == "text");
  CHECK(add_crops("a " + image + " b", Crops{0}) == "a " + image + " b");
  CHECK(add_crops("a " + image + " b", Crops{2}) == "a " + two + " b");
  CHECK(add_crops(image + image + "\n" + image, Crops{2, 0, 2}) == two + image + "\n" + two);
  CHECK(add_crops(prompt_of_images(2), Crops{0, 2}) == image + " " + two);
  const Texts four = split_at_placeholders(add_crops(image, Crops{4}));
  CHECK(four == Texts{"Here is the original image ", " and here are some crops to help you see better ", " ",
                      " ", " ", ""});
}

TEST_CASE("prompt: a number of images that is not the number of placeholders is refused with both") {
  const auto message = [](const std::string& prompt, const Crops& crops) {
    return error_of([&] { add_crops(prompt, crops); });
  };
  CHECK(message("text", {0}) ==
        "prompt: <start_of_image>: expected one for each of 1 images, found 0; write one for each");
  CHECK(message(image, {}) ==
        "prompt: <start_of_image>: expected one for each of 0 images, found 1; give an image for each");
  CHECK(message(image + image + image, {0, 4}) ==
        "prompt: <start_of_image>: expected one for each of 2 images, found 3; give an image for each");
  CHECK(message(image, {0, 4}) ==
        "prompt: <start_of_image>: expected one for each of 2 images, found 1; write one for each");
}

TEST_CASE("prompt: the ids of every prompt are those of transformers' processor, with crops too") {
  const json& prompts = expected()["prompts"];
  CHECK(prompts.size() > 250);
  std::size_t images = 0, crops = 0;
  for (const json& entry : prompts) {
    const std::string prompt = entry["prompt"];
    const Crops counts = entry["crops"];
    CAPTURE(prompt);
    CHECK(encode_prompt(small(), own_ids(), add_crops(prompt, counts)) == entry["ids"].get<Ids>());
    images += counts.size();
    for (const std::size_t count : counts) crops += count;
  }
  CHECK(images > 400);
  CHECK(crops > 50);
}

TEST_CASE("prompt: newlines beside an image join into longer runs") {
  const Config config = own_ids();
  const Ids one{20, 652, 652, 652, 21};
  CHECK(encode_prompt(small(), config, image) == join({{2}, ids_of("\n\n"), one, ids_of("\n\n")}));
  CHECK(encode_prompt(small(), config, "\n" + image + "\n\n") ==
        join({{2}, ids_of("\n\n\n"), one, ids_of("\n\n\n\n")}));
  CHECK(encode_prompt(small(), config, image + image) ==
        join({{2}, ids_of("\n\n"), one, ids_of("\n\n\n\n"), one, ids_of("\n\n")}));
  CHECK(encode_prompt(small(), config, image + " dog") ==
        join({{2}, ids_of("\n\n"), one, ids_of("\n\n dog")}));
}

TEST_CASE("prompt: the ids of an image come from config.json, not from the tokenizer's texts") {
  const Config config = with_ids(1001, 1002, 1003, 2);
  CHECK(encode_prompt(small(), config, "a" + image) ==
        join({{2}, ids_of("a\n\n"), {1001, 1002, 1002, 1003}, ids_of("\n\n")}));

  const std::map<TokenId, TokenId> others{{20, 1001}, {652, 1002}, {21, 1003}};
  const Config same_length = with_ids(1001, 1002, 1003, expected()["tokens_per_image"]);
  Index compared = 0;
  for (const json& entry : expected()["prompts"]) {
    const std::string prompt = entry["prompt"];
    CAPTURE(prompt);
    if (prompt.find("<end_of_image>") != prompt.npos || prompt.find("<image_soft_token>") != prompt.npos)
      continue;
    Ids ids = entry["ids"];
    for (TokenId& id : ids)
      if (const auto other = others.find(id); other != others.end()) id = other->second;
    CHECK(encode_prompt(small(), same_length, add_crops(prompt, Crops(entry["crops"]))) == ids);
    ++compared;
  }
  CHECK(compared > 250);
  // Texts that a person wrote out are the tokenizer's.
  CHECK(encode_prompt(small(), config, "<end_of_image><image_soft_token>") == Ids{2, 21, 652});
  CHECK(encode_prompt(small(), config, "<end_of_image>" + image) ==
        join({{2, 21}, ids_of("\n\n"), {1001, 1002, 1002, 1003}, ids_of("\n\n")}));
}

TEST_CASE("prompt: each image has as many image tokens as config.json says") {
  for (const Index tokens : {1, 4, 256}) {
    const Ids ids = encode_prompt(small(), with_ids(61, 1002, 62, tokens), prompt_of_images(3));
    CHECK(std::count(ids.begin(), ids.end(), 1002) == 3 * tokens);
  }
}

TEST_CASE("prompt: text alone needs no ids for images") {
  const std::string text = "The dog\n\n";
  CHECK(encode_prompt(small(), Config(), text) == small().encode(text));
  CHECK(encode_prompt(small(), Config(), "") == Ids{2});
}

TEST_CASE("prompt: a placeholder without ids for it is refused with the fields' names") {
  for (const auto id : {&Config::boi_token_index, &Config::image_token_index, &Config::eoi_token_index}) {
    Config config = own_ids();
    config.*id = std::nullopt;
    CHECK(error_of([&] { encode_prompt(small(), config, "a " + image); }) ==
          "config.json: boi_token_index, eoi_token_index, image_token_index: expected ids for a prompt with "
          "images, found none");
  }
}

TEST_CASE("prompt: what is not UTF-8 is refused with the byte's place in the whole prompt") {
  const auto message = [](const std::string& prompt) {
    return error_of([&] { encode_prompt(small(), own_ids(), prompt); });
  };
  CHECK(message("ab\xff") == "text: byte 2: expected UTF-8, found 0xFF");
  CHECK(message(image + "ab\xff") == "text: byte 18: expected UTF-8, found 0xFF");
  CHECK(message("\xc3" + image) == "text: byte 0: expected UTF-8, found 0xC3");
}

}  // namespace test_prompt
