// The pocket model at its tasks: held-out items of every task must get the very tokens that transformers made
// of them (tests/data/pocket, written by weights_tool answers). What each part computes is tested elsewhere;
// a kernel, a mask or a tokenizer that goes wrong in any of them shows here, too.
#include <algorithm>
#include <fstream>
#include <map>

#include "fixture.hpp"
#include "t5gemma2/t5gemma2.hpp"

using namespace t5gemma2;

namespace {

struct Item {
  std::string task, prompt, answer;
  std::vector<std::filesystem::path> images;
  std::vector<TokenId> ids;  // transformers' answer
};

std::map<std::string, std::vector<Item>> read_items() {
  std::ifstream file(data_folder("pocket") / "items.jsonl");
  REQUIRE(file.is_open());
  std::map<std::string, std::vector<Item>> tasks;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line);
    Item item{json.at("task"), json.at("prompt"), json.at("answer"), {}, json.at("ids")};
    for (const std::string name : json.at("images")) item.images.push_back(data_folder("pocket") / name);
    tasks[item.task].push_back(item);
  }
  return tasks;
}

/// The whole engine, from files to text.
class Pocket {
 public:
  std::vector<TokenId> answer(const Item& item) const {
    std::vector<Image> images;
    for (const auto& file : item.images) images.push_back(load_image(file));
    const ImageFeatures features = encode_images(vision_, images);
    const Matrix H = encode(model_, encode_prompt(tokenizer_, model_.config, item.prompt, features.crops),
                            features.tokens);
    GenerateOptions options;
    options.max_new_tokens = 48;
    options.eos.assign(model_.config.eos_token_id.begin(), model_.config.eos_token_id.end());
    std::vector<TokenId> ids{tokenizer_.bos_id()};
    generate_ids(model_.decoder, H, ids, options, [](TokenId) { return true; });
    const auto end = std::find_first_of(ids.begin(), ids.end(), options.eos.begin(), options.eos.end());
    return {ids.begin() + 1, end};
  }

  std::string text(const std::vector<TokenId>& ids) const { return tokenizer_.decode(ids, true); }

 private:
  std::filesystem::path folder_ = pocket_model();
  Model model_ = load_model(folder_);
  Tokenizer tokenizer_ = Tokenizer::load(folder_);
  Vision vision_ = load_vision(model_.config, *model_.checkpoint);
};

/// Answers the first `count` items of every task; returns how many are right, not only as in transformers.
Index answer_items(std::size_t count) {
  const Pocket pocket;
  const auto tasks = read_items();
  CHECK(tasks.size() == 9);
  Index right = 0;
  for (const auto& [task, items] : tasks) {
    CAPTURE(task);
    REQUIRE(items.size() >= count);
    for (std::size_t i = 0; i < count; ++i) {
      CAPTURE(items[i].prompt);
      const std::vector<TokenId> found = pocket.answer(items[i]);
      CHECK(found == items[i].ids);
      right += pocket.text(found) == items[i].answer;
    }
  }
  return right;
}

}  // namespace

TEST_CASE("pocket: an item of each task") { CHECK(answer_items(1) == 9); }

TEST_CASE("pocket: a dozen items of each task") { CHECK(answer_items(12) >= 100); }
