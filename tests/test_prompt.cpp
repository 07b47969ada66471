// Prompts with images: placeholders, crops, and the ids that transformers' processor makes of them.
#include "t5gemma2/prompt.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "scratch.hpp"
#include "vision_fixture.hpp"

namespace test_prompt {

using namespace t5gemma2;
using nlohmann::json;

namespace {

using Ids = std::vector<TokenId>;
using Texts = std::vector<std::string>;
using Crops = std::vector<std::size_t>;
using Images = std::vector<PromptImage>;

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

/// Image i has crops[i] crops.
Images with_crops(const Crops& crops) {
  Images images;
  for (const std::size_t count : crops)
    images.push_back({Image(1, 1), std::vector<Image>(count, Image(1, 1))});
  return images;
}

/// Of side x side pixels, whose bytes count up.
Image numbered_image(Index side) {
  Image one(side, side);
  std::uint8_t next = 0;
  for (std::uint8_t& byte : one.rgb) byte = next++;
  return one;
}

/// Ids of a prompt with as many images as it has placeholders, without crops.
Ids encode_with_images(const Config& config, const std::string& prompt) {
  return encode_prompt(small(), config, prompt, with_crops(Crops(split_at_placeholders(prompt).size() - 1)));
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
  CHECK(add_crops("", with_crops({})).empty());
  CHECK(add_crops("text", with_crops({})) == "text");
  CHECK(add_crops("a " + image + " b", with_crops({0})) == "a " + image + " b");
  CHECK(add_crops("a " + image + " b", with_crops({2})) == "a " + two + " b");
  CHECK(add_crops(image + image + "\n" + image, with_crops({2, 0, 2})) == two + image + "\n" + two);
  CHECK(add_crops(prompt_of_images(2), with_crops({0, 2})) == image + " " + two);
  const Texts four = split_at_placeholders(add_crops(image, with_crops({4})));
  CHECK(four == Texts{"Here is the original image ", " and here are some crops to help you see better ", " ",
                      " ", " ", ""});
}

TEST_CASE("prompt: a number of images that is not the number of placeholders is refused with both") {
  const auto message = [](const std::string& prompt, const Crops& crops) {
    return error_of([&] { add_crops(prompt, with_crops(crops)); });
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
    const Images given = with_crops(counts);
    const Ids ids = encode_placeholders(small(), own_ids(), add_crops(prompt, given));
    CHECK(ids == entry["ids"].get<Ids>());
    if (prompt.find("<image_soft_token>") == prompt.npos)
      CHECK(encode_prompt(small(), own_ids(), prompt, given) == ids);
    images += counts.size();
    for (const std::size_t count : counts) crops += count;
  }
  CHECK(images > 400);
  CHECK(crops > 50);
}

TEST_CASE("prompt: newlines beside an image join into longer runs") {
  const Config config = own_ids();
  const Ids one{20, 652, 652, 652, 21};
  CHECK(encode_with_images(config, image) == join({{2}, ids_of("\n\n"), one, ids_of("\n\n")}));
  CHECK(encode_with_images(config, "\n" + image + "\n\n") ==
        join({{2}, ids_of("\n\n\n"), one, ids_of("\n\n\n\n")}));
  CHECK(encode_with_images(config, image + image) ==
        join({{2}, ids_of("\n\n"), one, ids_of("\n\n\n\n"), one, ids_of("\n\n")}));
  CHECK(encode_with_images(config, image + " dog") == join({{2}, ids_of("\n\n"), one, ids_of("\n\n dog")}));
}

TEST_CASE("prompt: the ids of an image come from config.json, not from the tokenizer's texts") {
  const Config config = with_ids(1001, 1002, 1003, 2);
  CHECK(encode_with_images(config, "a" + image) ==
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
    CHECK(encode_prompt(small(), same_length, prompt, with_crops(entry["crops"])) == ids);
    ++compared;
  }
  CHECK(compared > 250);
  // Texts that a person wrote out are the tokenizer's.
  CHECK(encode_prompt(small(), config, "<end_of_image><image_soft_token>") == Ids{2, 21, 652});
  CHECK(encode_with_images(config, "<end_of_image>" + image) ==
        join({{2, 21}, ids_of("\n\n"), {1001, 1002, 1002, 1003}, ids_of("\n\n")}));
}

TEST_CASE("prompt: each image has as many image tokens as config.json says") {
  for (const Index tokens : {1, 4, 256}) {
    const Ids ids = encode_with_images(with_ids(61, 1002, 62, tokens), prompt_of_images(3));
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
    CHECK(error_of([&] { encode_with_images(config, "a " + image); }) ==
          "config.json: boi_token_index, eoi_token_index, image_token_index: expected ids for a prompt with "
          "images, found none");
  }
}

TEST_CASE("prompt: what is not UTF-8 is refused with the byte's place in the whole prompt") {
  const auto message = [](const std::string& prompt) {
    return error_of([&] { encode_with_images(own_ids(), prompt); });
  };
  CHECK(message("ab\xff") == "text: byte 2: expected UTF-8, found 0xFF");
  CHECK(message(image + "ab\xff") == "text: byte 18: expected UTF-8, found 0xFF");
  CHECK(message("\xc3" + image) == "text: byte 0: expected UTF-8, found 0xC3");
}

// ---- images and a text together ----

TEST_CASE("prompt: images stand in front of a text without placeholders, and must match those of any other") {
  const Config config = own_ids();
  CHECK(encode_prompt(small(), config, " dog", with_crops({0})) ==
        encode_with_images(config, image + " dog"));
  CHECK(encode_prompt(small(), config, "", with_crops({0, 0})) ==
        encode_with_images(config, image + " " + image));
  CHECK(error_of([&] { encode_prompt(small(), config, image); }) ==
        "prompt: <start_of_image>: expected one for each of 0 images, found 1; give an image for each");
}

TEST_CASE(
    "prompt: image tokens in the text are refused beside images, and are tokens like any other without") {
  const Config config = own_ids();
  CHECK(error_of([&] { encode_prompt(small(), config, "<image_soft_token>", with_crops({1})); }) ==
        "prompt: image tokens: expected 6 for the images given, found 7");
  CHECK(encode_prompt(small(), config, "<image_soft_token>") == Ids{2, 652});
  const Ids five{2, 652, 652, 652, 652, 652}, six{652, 652, 652, 652, 652, 652};
  CHECK(error_of([&] { check_image_tokens(five, config, with_crops({1})); }) ==
        "prompt: image tokens: expected 6 for the images given, found 5");
  check_image_tokens(six, config, with_crops({1}));
  check_image_tokens(six, config, with_crops({0, 0}));
  check_image_tokens(five, config, {});
}

TEST_CASE("prompt: images are read from files, with their crops where they are wanted") {
  const ScratchFolder folder;
  const std::vector<std::filesystem::path> files{folder.path() / "wide.png", folder.path() / "square.png"};
  Image wide(600, 300);
  wide.pixel(599, 299)[1] = 200;
  write_png(files[0], wide);
  write_png(files[1], Image(300, 300));
  for (const bool crops : {false, true}) {
    const Images images = load_images(files, crops);
    REQUIRE(images.size() == 2);
    CHECK(images[0].image.rgb == wide.rgb);
    CHECK(images[1].image.width == 300);
    CHECK(images[0].crops.size() == (crops ? 2 : 0));
    CHECK(images[1].crops.empty());
    if (crops) CHECK(images[0].crops[1].pixel(299, 299)[1] == 200);
  }
  CHECK(load_images(std::vector<std::filesystem::path>()).empty());
  const std::vector<std::string> missing{(folder.path() / "none.png").string()};
  CHECK(error_of([&] { load_images(missing); }).starts_with(missing[0] + ": "));
}

TEST_CASE(
    "prompt: image features are those of each image and then of its crops, and fill the prompt's places") {
  const Vision& vision = fixture_vision();
  const auto shade = [](Index side, std::uint8_t value) {
    Image one(side, side);
    one.rgb.assign(one.rgb.size(), value);
    one.rgb[0] = 255;
    return one;
  };
  const Images images{{shade(18, 10), {shade(20, 60), shade(7, 90)}}, {shade(30, 130), {}}};
  std::vector<Index> told;
  const std::vector<Matrix> features =
      get_image_features(vision, images, [&](Index layer, Index) { told.push_back(layer); });
  const std::vector<const Image*> in_order{&images[0].image, &images[0].crops[0], &images[0].crops[1],
                                           &images[1].image};
  REQUIRE(features.size() == 4);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(same_bits(features[i], encode_image(vision, pixel_values(*in_order[i], 18))));
  CHECK(told == std::vector<Index>{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2});
  CHECK(get_image_features(vision, {}).empty());

  Config config = fixture_model("images").config;
  const Ids ids = encode_prompt(small(), config, "", images);
  CHECK(std::count(ids.begin(), ids.end(), *config.image_token_index) == 4 * features[0].rows());
}

TEST_CASE("prompt: a trace of images has their pixels and every tensor of all images") {
  const Images images{{numbered_image(18), {numbered_image(5)}}};
  std::map<std::string, std::vector<Index>> shapes;
  std::string first;
  const Trace trace{.report = [&](const std::string& name, const std::vector<Index>& shape, const float*) {
    if (shapes.empty()) first = name;
    CHECK(shapes.emplace(name, shape).second);
  }};
  const std::vector<Matrix> features = get_image_features(fixture_vision(), images, {}, &trace);
  CHECK(same_bits(features[1], get_image_features(fixture_vision(), images)[1]));
  CHECK(first == "inputs.pixel_values");
  CHECK(shapes.size() == 31);
  CHECK(shapes.at("inputs.pixel_values") == std::vector<Index>{2, 3, 18, 18});
  CHECK(shapes.at(projector_path) == std::vector<Index>{2, 4, features[0].cols()});
}

}  // namespace test_prompt
