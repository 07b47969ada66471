// The pocket model at its tasks: held-out items of every task must get the very tokens that transformers
// made of them, and be as sure of each (tests/data/pocket, written by weights_tool answers). What each
// part computes is tested elsewhere; a kernel, a mask or a tokenizer that goes wrong in any of them shows
// here, too.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <map>

#include "fixture.hpp"
#include "t5gemma2/t5gemma2.hpp"

namespace test_behaviour {

using namespace t5gemma2;

namespace {

struct Item {
  std::string task, prompt, answer;
  std::vector<std::filesystem::path> images;
  std::vector<TokenId> ids;    // transformers' answer
  std::vector<float> margins;  // at each id and at eos: its logit less the next best
};

std::map<std::string, std::vector<Item>> read_items() {
  std::ifstream file(data_folder("pocket") / "items.jsonl");
  REQUIRE(file.is_open());
  std::map<std::string, std::vector<Item>> tasks;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line);
    Item item{json.at("task"), json.at("prompt"), json.at("answer"), {}, json.at("ids"), json.at("margins")};
    for (const std::string name : json.at("images")) item.images.push_back(data_folder("pocket") / name);
    tasks[item.task].push_back(item);
  }
  return tasks;
}

/// In each row, the largest less the next.
std::vector<float> margins_of(const Matrix& logits) {
  std::vector<float> margins;
  for (const auto& row : logits.rowwise()) {
    std::vector<float> sorted(row.begin(), row.end());
    std::partial_sort(sorted.begin(), sorted.begin() + 2, sorted.end(), std::greater<>());
    margins.push_back(sorted[0] - sorted[1]);
  }
  return margins;
}

/// The whole engine, from files to text.
class Pocket {
 public:
  Matrix read(const Item& item) const {
    const std::vector<PromptImage> images = load_images(item.images);
    const std::vector<TokenId> ids = encode_prompt(tokenizer_, model_.config, item.prompt, images);
    return encode(model_, ids, get_image_features(vision_, images));
  }

  std::vector<TokenId> answer(const Matrix& H) const {
    GenerateOptions options;
    options.config = model_.generation_config;
    options.config.max_new_tokens = 48;
    const auto go_on = [](std::string_view) { return true; };
    const Generated made = generate(model_, tokenizer_, H, {tokenizer_.bos_id()}, options, go_on);
    return {made.ids.begin() + 1, made.ids.end() - (made.reason == FinishReason::eos ? 1 : 0)};
  }

  /// Without the cache.
  std::vector<float> margins(const Matrix& H, std::vector<TokenId> answer) const {
    answer.insert(answer.begin(), tokenizer_.bos_id());
    return margins_of(forward(model_, answer, H));
  }

  std::string text(const std::vector<TokenId>& ids) const { return tokenizer_.decode(ids, true); }

 private:
  std::filesystem::path folder_ = pocket_model();
  Model model_ = load_model(folder_);
  Tokenizer tokenizer_ = Tokenizer::load(folder_);
  Vision vision_ = load_vision(model_.config, *model_.checkpoint);
};

/// The largest difference; infinite when there are not as many, or one is no number.
float difference(const std::vector<float>& found, const std::vector<float>& expected) {
  float largest = found.size() == expected.size() ? 0 : std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < found.size() && i < expected.size(); ++i) {
    const float one = std::abs(found[i] - expected[i]);
    largest = one <= largest ? largest : std::isnan(one) ? std::numeric_limits<float>::infinity() : one;
  }
  return largest;
}

/// Whether the answer is right, too, not only as in transformers.
bool check_answer(const Pocket& pocket, const Item& item) {
  CAPTURE(item.task);
  CAPTURE(item.prompt);
  const Matrix H = pocket.read(item);
  const std::vector<TokenId> found = pocket.answer(H);
  CHECK(found == item.ids);
  CHECK(difference(pocket.margins(H, item.ids), item.margins) <= 1e-3f);
  return pocket.text(found) == item.answer;
}

/// Answers the first `count` items of every task; returns how many answers are right.
Index answer_items(std::size_t count) {
  const Pocket pocket;
  const auto tasks = read_items();
  CHECK(tasks.size() == 9);
  Index right = 0;
  for (const auto& entry : tasks) {
    const std::vector<Item>& items = entry.second;
    REQUIRE(items.size() >= count);
    for (std::size_t i = 0; i < count; ++i) right += check_answer(pocket, items[i]);
  }
  return right;
}

}  // namespace

TEST_CASE("pocket: an item of each task") { CHECK(answer_items(1) == 9); }

TEST_CASE("pocket: a dozen items of each task") { CHECK(answer_items(12) >= 100); }

}  // namespace test_behaviour
