// How far the engine is from float64, over how far transformers is: on every small checkpoint, with the
// instruction set in use.
#include "fixture.hpp"
#include "t5gemma2/analysis/compare.hpp"

namespace test_truth {

using namespace t5gemma2;

TEST_CASE("truth: every reference file tells what float64 gives, and we are as near to it as transformers") {
  Index files = 0;
  std::vector<TensorComparison> all;
  for (const auto& entry : std::filesystem::directory_iterator(data_folder())) {
    if (!std::filesystem::exists(entry.path() / "reference.safetensors")) continue;
    const std::string name = entry.path().filename();
    CAPTURE(name);
    ++files;
    const std::vector<TensorComparison> tensors =
        compare(fixture_model(name), fixture_reference(name)).tensors;
    for (const TensorComparison& tensor : tensors) {
      CAPTURE(tensor.name);
      REQUIRE(tensor.truth_ratio.has_value());
      CHECK(*tensor.truth_ratio <= 2);
      CHECK(tensor.tolerance == default_tolerance(Dtype::f32));  // transformers is near enough
    }
    // Errors go from tensor to tensor: ten that follow each other are little more than one draw.
    if (tensors.size() >= 20) CHECK(compare_truth(tensors).value().median <= 1);
    all.insert(all.end(), tensors.begin(), tensors.end());
  }
  CHECK(files >= 11);
  CHECK(compare_truth(all).value().median <= 1);
}

}  // namespace test_truth
