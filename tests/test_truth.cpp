// How far the engine is from float64, over how far transformers is: on every small checkpoint.
#include "fixture.hpp"
#include "t5gemma2/analysis/compare.hpp"

namespace test_truth {

using namespace t5gemma2;

TEST_CASE("truth: every reference file tells what float64 gives, and we are as near to it as transformers") {
  Index files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data_folder())) {
    if (!std::filesystem::exists(entry.path() / "reference.safetensors")) continue;
    const std::string name = entry.path().filename();
    CAPTURE(name);
    ++files;
    const Comparison result = compare(fixture_model(name), fixture_reference(name));
    for (const TensorComparison& tensor : result.tensors) {
      CAPTURE(tensor.name);
      REQUIRE(tensor.truth_ratio.has_value());
      CHECK(*tensor.truth_ratio <= 2);
      CHECK(tensor.tolerance == default_tolerance);  // transformers is near enough
    }
    CHECK(compare_truth(result.tensors).value().median <= 1);
  }
  CHECK(files >= 11);
}

}  // namespace test_truth
