// Measures of a difference, by hand; places in the tensor's own terms; tolerances by name.
#include "t5gemma2/analysis/difference.hpp"

#include <numeric>

#include "fixture.hpp"
#include "t5gemma2/analysis/tolerances.hpp"

namespace test_difference {

using namespace t5gemma2;

TEST_CASE("difference: measures by hand") {
  const Matrix ours{{1, 2}, {3, 5}}, theirs{{1, 2}, {3, 4}};
  const Difference d = difference_of(ours, theirs, Dtype::f32, 0, 0.5f);
  CHECK(d.worst_row == 1);
  CHECK(d.worst_col == 1);
  CHECK(d.ours == 5);
  CHECK(d.theirs == 4);
  CHECK(d.wrong_rows == 1);
  CHECK(d.first_wrong_row == 1);
  CHECK(d.cosine == doctest::Approx(34 / std::sqrt(39.0 * 30.0)));
  CHECK(d.snr == doctest::Approx(10 * std::log10(30.0)));
  CHECK(d.median_ulp == 0);
  CHECK(d.largest_ulp == 1 << 21);  // a quarter of the numbers from 4 to 8
  CHECK(std::accumulate(d.histogram.begin(), d.histogram.end(), Index{0}) == 4);
  CHECK(d.histogram[0] == 3);
  const Difference none = difference_of(theirs, theirs, Dtype::f32, 0, 0);
  CHECK(none.wrong_rows == 0);
  CHECK(std::isinf(none.snr));
  CHECK(none.cosine == doctest::Approx(1));
}

TEST_CASE("difference: units in the last place count across 0, and in the format of the file") {
  const float tiny = std::numeric_limits<float>::denorm_min();
  const auto largest = [](float x, float y, Dtype dtype) {
    return difference_of(Matrix{{x}}, Matrix{{y}}, dtype, 0, 0).largest_ulp;
  };
  CHECK(largest(tiny, -tiny, Dtype::f32) == 2);
  CHECK(largest(0.0f, -0.0f, Dtype::f32) == 0);
  CHECK(largest(1.0f, 1.0f + 0x1p-7f, Dtype::bf16) == 1);
  CHECK(largest(1.0f, 1.0f + 0x1p-10f, Dtype::f16) == 1);
  CHECK(largest(1.0f, 1.0f + 0x1p-7f, Dtype::f32) == 1 << 16);
}

TEST_CASE(
    "difference: a NaN is the worst element, and its row is wrong, heads are those of the second axis") {
  Matrix ours = random_matrix(6, 3, 1);
  const Matrix theirs = ours;
  ours(4, 1) = nan_value;
  ours(1, 0) += 5;
  const Difference d = difference_of(ours, theirs, Dtype::f32, 3, 1e-3f);
  CHECK(d.worst_row == 4);
  CHECK(d.worst_col == 1);
  CHECK(std::isnan(d.ours));
  CHECK(d.wrong_rows == 2);
  CHECK(d.wrong_heads == std::vector<Index>{0, 2});
}

TEST_CASE("difference: a place is told in the tensor's own terms") {
  const std::string layer = "model.decoder.layers.0.self_attn.";
  CHECK(place_text(layer + "weights", {1, 4, 26, 26}, 2 * 26 + 5, 0) == "head 2, query 5, key 0");
  CHECK(place_text(layer + "weights", {1, 4, 26, 26}, 2 * 26 + 5, -1) == "head 2, query 5");
  CHECK(place_text(layer + "k_norm[1]", {1, 2, 7, 8}, 7 + 3, 4) == "head 1, encoder token 3, number 4");
  CHECK(place_text("logits", {1, 5, 64}, 3, 17) == "token 3, id 17");
  CHECK(place_text("model.encoder.vision_tower.embeddings", {2, 16, 8}, 17, 1) ==
        "image 1, patch 1, feature 1");
  CHECK(place_text("mine", {3, 5}, 2, 1) == "axis 0 2, axis 1 1");
}

TEST_CASE("difference: patterns of names, the last that fits, and formats") {
  CHECK(fits("*", ""));
  CHECK(fits("a*c?", "abbcd"));
  CHECK(!fits("a*c?", "abbc"));
  CHECK(fits("*k_norm[1]", "model.decoder.layers.0.self_attn.k_norm[1]"));
  CHECK(!fits("k_norm", "model.k_norm"));
  CHECK(!fits(std::string(40, '*') + "b", std::string(4000, 'a')));  // and not after 4000^40 steps
  Tolerances tolerances(0.5f);
  tolerances.by_pattern = {{"*norm", 0.1f}, {"a.*", 0.2f}};
  CHECK(tolerances.of("b.norm") == 0.1f);
  CHECK(tolerances.of("a.norm") == 0.2f);
  CHECK(tolerances.of("logits") == 0.5f);
  CHECK(!Tolerances().of("logits").has_value());
  CHECK(default_tolerance(Dtype::f32) == 1e-4f);
  CHECK(default_tolerance(Dtype::f16) == 1e-3f);
  CHECK(default_tolerance(Dtype::bf16) == 1e-2f);
}

TEST_CASE("difference: arguments that cannot be compared are refused") {
  CHECK_THROWS_WITH_AS(difference_of(Matrix(2, 3), Matrix(3, 2), Dtype::f32, 0, 1),
                       "difference_of theirs: expected [2, 3], found [3, 2]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(difference_of(Matrix(0, 3), Matrix(0, 3), Dtype::f32, 0, 1),
                       "difference_of ours: expected a number or more, found none", std::invalid_argument);
}

}  // namespace test_difference
