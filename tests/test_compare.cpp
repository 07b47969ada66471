// Comparing with a reference file: what is equal passes, and each way of not being equal is found and named.
#include "t5gemma2/analysis/compare.hpp"

#include "fixture.hpp"
#include "scratch.hpp"

namespace test_compare {

using namespace t5gemma2;

namespace {

using Change = std::function<void(OwnedTensors&)>;

/// The basic checkpoint against its reference file, with some change made after float64's tensors are dropped.
Comparison compare_changed(const Change& change, const Tolerances& tolerances = {}) {
  const ScratchFolder folder;
  OwnedTensors tensors = copy_of(fixture_reference().tensors);
  std::erase_if(tensors, [](const auto& entry) { return entry.first.starts_with(truth_prefix); });
  change(tensors);
  write_file(folder.path() / "changed.safetensors", tensors);
  return compare(fixture_model(), open_reference(folder.path() / "changed.safetensors"), tolerances);
}

/// The first tensor that is not ok; one named "" where all are.
TensorComparison first_bad(const Comparison& comparison) {
  for (const TensorComparison& tensor : comparison.tensors)
    if (tensor.verdict != Verdict::ok) return tensor;
  return {.name = "", .shape = {}, .verdict = Verdict::ok, .found = {}};
}

Index count_of(const Comparison& comparison, Verdict verdict) {
  return std::count_if(comparison.tensors.begin(), comparison.tensors.end(),
                       [&](const auto& tensor) { return tensor.verdict == verdict; });
}

float largest(OwnedTensor& tensor) {
  return Eigen::Map<Vector>(tensor.floats(), static_cast<Index>(tensor.bytes.size() / 4))
      .cwiseAbs()
      .maxCoeff();
}

const std::string up_proj = "model.decoder.layers.0.mlp.up_proj",
                  k_norm = "model.decoder.layers.1.self_attn.k_norm[1]";

}  // namespace

TEST_CASE("compare: the reference's own file passes, tensor by tensor in forward order") {
  const Comparison result = compare_changed([](OwnedTensors&) {});
  CHECK(result.passed());
  Recorder recorder;
  const Trace trace = recorder.trace();
  forward(fixture_model(), reference_ids("inputs.decoder_input_ids"),
          encode(fixture_model(), reference_ids("inputs.input_ids"), {}, &trace), {}, &trace);
  std::vector<std::string> names;
  for (const TensorComparison& tensor : result.tensors) names.push_back(tensor.name);
  CHECK(names == recorder.names);
  CHECK(names.size() == 86);
  CHECK(result.generated->tokens == 12);
  CHECK(result.logits->rows == 7);
  CHECK(result.logits->same_top == 7);
}

TEST_CASE("compare: one value changed by 1e-3 is found and named as the first, and as the only one") {
  for (const std::string& name : {up_proj, k_norm, std::string("logits"), encoder_path + "embed_tokens"}) {
    const Change change = [&](OwnedTensors& tensors) {
      OwnedTensor& tensor = tensors.at(name);
      tensor.floats()[tensor.bytes.size() / 4 - 1] += 1e-3f * largest(tensor);
    };
    const Comparison result = compare_changed(change);
    CAPTURE(name);
    CHECK(!result.passed());
    CHECK(first_bad(result).name == name);
    CHECK(first_bad(result).verdict == Verdict::over_tolerance);
    CHECK(first_bad(result).relative == doctest::Approx(1e-3).epsilon(0.01));
    CHECK(count_of(result, Verdict::over_tolerance) == 1);
    CHECK(compare_changed(change, 2e-3f).passed());
  }
}

TEST_CASE("compare: of two changes the one that comes first in the engine's order is named") {
  const Comparison result = compare_changed([](OwnedTensors& tensors) {
    tensors.at("lm_head").floats()[0] += 1;
    tensors.at("model.encoder.text_model.layers.1.self_attn").floats()[0] += 1;
  });
  CHECK(first_bad(result).name == "model.encoder.text_model.layers.1.self_attn");
  CHECK(count_of(result, Verdict::over_tolerance) == 2);
}

TEST_CASE("compare: a tensor that the engine never makes is missing, and listed last") {
  const Comparison result = compare_changed(
      [](OwnedTensors& tensors) { tensors["model.encoder.text_model.layers.2"] = tensors.at("logits"); });
  CHECK(!result.passed());
  CHECK(result.tensors.back().name == "model.encoder.text_model.layers.2");
  CHECK(result.tensors.back().verdict == Verdict::missing);
  CHECK(count_of(result, Verdict::ok) == 86);
}

TEST_CASE("compare: a NaN or an infinity in the reference never passes") {
  for (const float bad : {nan_value, HUGE_VALF})
    for (const std::string& name : {up_proj, std::string("logits")}) {
      const Comparison result =
          compare_changed([&](OwnedTensors& tensors) { tensors.at(name).floats()[5] = bad; }, 1e30f);
      CHECK(!result.passed());
      CHECK(first_bad(result).name == name);
      CHECK(first_bad(result).verdict == Verdict::not_a_number);
      CHECK(count_of(result, Verdict::ok) == 85);
    }
}

TEST_CASE("compare: a NaN of ours never passes, even where the reference holds one too") {
  Model model = fixture_model();
  model.encoder.layers[1].post_feedforward_layernorm[7] = nan_value;
  const Comparison result = compare(model, fixture_reference(), 1e30f);
  CHECK(!result.passed());
  CHECK(first_bad(result).name == "model.encoder.text_model.layers.1.post_feedforward_layernorm");
  CHECK(first_bad(result).verdict == Verdict::not_a_number);
  REQUIRE(result.generated.has_value());
  CHECK(result.generated->first_difference == 0);
  CHECK(result.generated->ours == -1);
  CHECK(std::isnan(result.generated->margin));
  const OwnedTensor nothing = owned(Dtype::f32, {1, 11, 24}, std::vector<float>(264, nan_value));
  const ScratchFolder folder;
  write_file(folder.path() / "nan.safetensors",
             {{"inputs.input_ids", copy_of(fixture_reference().tensors).at("inputs.input_ids")},
              {"model.encoder.text_model.norm", nothing}});
  CHECK(!compare(model, open_reference(folder.path() / "nan.safetensors"), 1e30f).passed());
}

TEST_CASE("compare: progress is told of one part after the other, to the end of each") {
  std::vector<std::string> told;
  const auto tell = [&](const std::string& part, Index done, Index all) {
    const bool begins = done == 0, ends = done == all;
    if (begins || ends) told.push_back(part + (begins ? " begins" : " ends"));
  };
  const std::vector<std::string> after_looking{"encoding begins", "encoding ends", "decoding begins",
                                               "decoding ends", "writing begins"};
  compare(fixture_model("images"), fixture_reference("images"), 1e-4f, tell);
  CHECK(told.front() == "looking begins");
  const auto encoding = std::ranges::find(told, "encoding begins");
  REQUIRE(encoding != told.end());
  CHECK(*(encoding - 1) == "looking ends");
  CHECK(std::vector<std::string>(encoding, told.end()) == after_looking);
  told.clear();
  compare(fixture_model(), fixture_reference(), 1e-4f, tell);
  CHECK(told == after_looking);
}

TEST_CASE("compare: another shape is wrong, though it holds as many numbers") {
  const Comparison result = compare_changed([](OwnedTensors& tensors) {
    tensors.at(up_proj).shape = {1, 28, 7};
  });
  CHECK(!result.passed());
  CHECK(first_bad(result).name == up_proj);
  CHECK(first_bad(result).verdict == Verdict::wrong_shape);
  CHECK(first_bad(result).shape == std::vector<Index>{1, 28, 7});
  CHECK(first_bad(result).found == std::vector<Index>{1, 7, 28});
  CHECK(first_bad(compare_changed([](OwnedTensors& tensors) {
          tensors.at(up_proj).shape = {7, 28};
        })).verdict == Verdict::wrong_shape);
}

TEST_CASE("compare: a difference from zeros is over any tolerance") {
  const Comparison result = compare_changed(
      [](OwnedTensors& tensors) { std::fill_n(tensors.at(up_proj).floats(), 7 * 28, 0.0f); }, 1e30f);
  CHECK(first_bad(result).verdict == Verdict::over_tolerance);
}

TEST_CASE("compare: NAME[-N:] holds the last N rows, of every head") {
  const auto last_rows = [](OwnedTensors& tensors, const std::string& name, Index kept, Index skip) {
    OwnedTensor whole = tensors.at(name);
    tensors.erase(name);
    const Index rows = whole.shape[whole.shape.size() - 2], cols = whole.shape.back(),
                matrices = static_cast<Index>(whole.bytes.size()) / 4 / (rows * cols);
    std::vector<float> numbers;
    for (Index i = 0; i < matrices; ++i) {
      const float* first = whole.floats() + (i * rows + rows - kept - skip) * cols;
      numbers.insert(numbers.end(), first, first + kept * cols);
    }
    whole.shape[whole.shape.size() - 2] = kept;
    tensors[name + "[-" + std::to_string(kept) + ":]"] = owned(Dtype::f32, whole.shape, numbers);
  };
  for (const std::string& name : {up_proj, k_norm, std::string("logits")}) {
    CAPTURE(name);
    const Comparison right = compare_changed([&](OwnedTensors& tensors) { last_rows(tensors, name, 3, 0); });
    CHECK(right.passed());
    CHECK(count_of(right, Verdict::ok) == 86);
    const Comparison others = compare_changed([&](OwnedTensors& tensors) { last_rows(tensors, name, 3, 1); });
    CHECK(first_bad(others).name == name + "[-3:]");
    CHECK(first_bad(others).verdict == Verdict::over_tolerance);
  }
}

TEST_CASE("compare: a file may hold a tensor whole and its last rows") {
  const Comparison result = compare_changed([](OwnedTensors& tensors) {
    OwnedTensor last = tensors.at("logits");
    last.bytes.erase(last.bytes.begin(), last.bytes.end() - 64 * 4);
    last.shape = {1, 1, 64};
    tensors["logits[-1:]"] = last;
  });
  CHECK(result.passed());
  CHECK(count_of(result, Verdict::ok) == 87);
}

TEST_CASE("compare: what is taken for [-N:] and what for a part of the name") {
  const auto same = [](const std::string& name) {
    return split_last_rows(name) == std::pair(name, Index{0});
  };
  CHECK(split_last_rows("a.k_norm[-64:]") == std::pair<std::string, Index>{"a.k_norm", 64});
  CHECK(split_last_rows("k_norm[1][-8:]") == std::pair<std::string, Index>{"k_norm[1]", 8});
  CHECK(same("logits"));
  CHECK(same("k_norm[1]"));
  CHECK(same("k_norm[-:]"));
  CHECK(same("k_norm[-x:]"));
  CHECK(same("k_norm[-8:].weight"));
  CHECK(same("k_norm[-99999999999999999999:]"));
}

TEST_CASE("compare: greedy tokens that differ give the step and how near the other token was") {
  // 4 ids of the decoder prompt; ids 4 and 5 as they are, id 6 another.
  const std::vector<TokenId> ids = reference_ids("generated");
  const TokenId ours = ids[6], other = ours == 9 ? 10 : 9;
  const Comparison result = compare_changed([&](OwnedTensors& tensors) {
    reinterpret_cast<std::int64_t*>(tensors.at("generated").bytes.data())[6] = other;
  });
  CHECK(!result.passed());
  CHECK(first_bad(result).name == "");
  REQUIRE(result.generated.has_value());
  CHECK(result.generated->first_difference == 2);
  CHECK(result.generated->ours == ours);
  CHECK(result.generated->reference == other);
  const Vector logits = forward(fixture_model(), std::span(ids).first(6),
                                encode(fixture_model(), reference_ids("inputs.input_ids")))
                            .row(5);
  CHECK(result.generated->margin > 0);
  CHECK(result.generated->margin == doctest::Approx(logits[ours] - logits[other]).epsilon(1e-4));
}

TEST_CASE("compare: generated ids that do not fit are refused") {
  const auto complaint = [](const Change& change) { return error_of([&] { compare_changed(change); }); };
  contains(complaint([](OwnedTensors& tensors) {
             reinterpret_cast<std::int64_t*>(tensors.at("generated").bytes.data())[2] = 9;
           }),
           "generated: expected ids that begin with inputs.generate_from");
  contains(complaint([](OwnedTensors& tensors) {
             reinterpret_cast<std::int64_t*>(tensors.at("generated").bytes.data())[6] = 64;
           }),
           "generated: expected token ids from 0 to 63, found 64");
  contains(complaint([](OwnedTensors& tensors) {
             reinterpret_cast<std::int64_t*>(tensors.at("generated").bytes.data())[6] = -1;
           }),
           "generated: expected token ids from 0 to 63, found -1");
}

TEST_CASE("compare: without generated ids nothing is generated, without decoder ids only the encoder runs") {
  CHECK(!compare_changed([](OwnedTensors& tensors) { tensors.erase("generated"); }).generated.has_value());
  const Comparison encoder_only = compare_changed([](OwnedTensors& tensors) {
    std::erase_if(tensors, [](const auto& entry) {
      return !entry.first.starts_with(encoder_path) && entry.first != "inputs.input_ids";
    });
  });
  CHECK(encoder_only.passed());
  CHECK(encoder_only.tensors.size() == 38);
  const Comparison no_decoder =
      compare_changed([](OwnedTensors& tensors) { tensors.erase("inputs.decoder_input_ids"); });
  CHECK(count_of(no_decoder, Verdict::missing) == 48);
  CHECK(count_of(no_decoder, Verdict::ok) == 38);
}

TEST_CASE("compare: missing and unfit inputs are refused") {
  const auto complaint = [](const Change& change) { return error_of([&] { compare_changed(change); }); };
  contains(complaint([](OwnedTensors& tensors) { tensors.erase("inputs.input_ids"); }),
           "inputs.input_ids: expected I64 [1, n], as t5gemma2-trace and weights_tool record write it, found "
           "nothing");
  contains(complaint([](OwnedTensors& tensors) { tensors.at("inputs.input_ids").shape = {11}; }),
           "inputs.input_ids: expected token ids [1, any], found I64 [11]");
  contains(
      complaint([](OwnedTensors& tensors) { tensors.at("inputs.decoder_input_ids") = tensors.at("logits"); }),
      "inputs.decoder_input_ids");
}

TEST_CASE("compare: divergence and agreement of logits by hand") {
  const Matrix reference{{std::log(0.5f), std::log(0.5f)}, {0, 3}},
      ours{{std::log(0.9f) + 7, std::log(0.1f) + 7}, {3, 0}};
  const LogitsComparison same = compare_logits(reference, reference), other = compare_logits(ours, reference);
  CHECK(same.mean_kl == doctest::Approx(0));
  CHECK(same.same_top == 2);
  CHECK(same.rows == 2);
  const double first = 0.5 * std::log(0.5 / 0.9) + 0.5 * std::log(0.5 / 0.1);
  const double p = std::exp(3.0) / (1 + std::exp(3.0)), second = 3 * p - 3 * (1 - p);
  CHECK(other.max_kl == doctest::Approx(second).epsilon(1e-5));
  CHECK(other.mean_kl == doctest::Approx((first + second) / 2).epsilon(1e-5));
  CHECK(other.same_top == 1);
}

TEST_CASE("compare: distances to float64 by hand, those that rounding alone may give taken as equal") {
  const Matrix truth{{1, 2, -4}};
  const auto off_by = [&](float distance) {
    Matrix x = truth;
    x(0, 0) += distance;
    return x;
  };
  CHECK(largest_distance(off_by(0.5f), truth) == 0.125f);
  CHECK(largest_distance(off_by(-2), truth) == 0.5f);
  CHECK(largest_distance(truth, truth) == 0);
  CHECK(rms_distance(off_by(0.5f), truth) == doctest::Approx(0.5 / std::sqrt(21.0)));
  CHECK(rms_distance(off_by(-2), truth) == doctest::Approx(2 / std::sqrt(21.0)));
  CHECK(rms_distance(Matrix{{1.3f, 2, -3.6f}}, truth) == doctest::Approx(0.5 / std::sqrt(21.0)));
  CHECK(rms_distance(truth, truth) == 0);
  CHECK(rms_distance(off_by(1) * 1e30f, truth * 1e30f) == doctest::Approx(1 / std::sqrt(21.0)));
  CHECK(truth_ratio(4e-5f, 1e-5f) == doctest::Approx(4));
  CHECK(truth_ratio(1e-5f, 4e-5f) == doctest::Approx(0.25));
  CHECK(truth_ratio(9e-8f, 0) == 1);
  CHECK(truth_ratio(0, 9e-8f) == 1);
  CHECK(truth_ratio(2e-7f, 5e-8f) == doctest::Approx(2));
}

TEST_CASE("compare: a distance to float64 that is no number is infinite, and so is the ratio") {
  const Matrix good{{1, 2}}, zeros{{0, 0}};
  for (const auto& distance : {largest_distance, rms_distance}) {
    for (const float bad : {nan_value, HUGE_VALF}) {
      CHECK(std::isinf(distance(Matrix{{bad, 2}}, good)));
      CHECK(std::isinf(distance(good, Matrix{{bad, 2}})));
      CHECK(std::isinf(distance(Matrix{{bad, 2}}, Matrix{{bad, 2}})));
    }
    CHECK(std::isinf(distance(good, zeros)));
    CHECK(distance(zeros, zeros) == 0);
  }
  CHECK(std::isinf(truth_ratio(HUGE_VALF, HUGE_VALF)));
  CHECK(std::isinf(truth_ratio(HUGE_VALF, 0)));
}

TEST_CASE("compare: a tensor with float64's beside it gets the ratio of both distances, others none") {
  const Comparison result = compare_changed([](OwnedTensors& tensors) {
    for (const std::string& name : {up_proj, k_norm}) {
      OwnedTensor& exact = tensors["truth." + name] = tensors.at(name);
      exact.floats()[3] += 1e-3f * largest(exact);
    }
    tensors.at(k_norm).floats()[3] += 0.5e-3f * largest(tensors.at(k_norm));  // nearer to it than we are
  });
  CHECK(result.tensors.size() == 86);
  for (const TensorComparison& tensor : result.tensors) {
    CAPTURE(tensor.name);
    CHECK(tensor.truth_ratio.has_value() == (tensor.name == up_proj || tensor.name == k_norm));
    if (tensor.truth_ratio)
      CHECK(*tensor.truth_ratio == doctest::Approx(tensor.name == up_proj ? 1 : 2).epsilon(0.01));
  }
}

TEST_CASE("compare: the median and the largest of the ratios, the upper one of two in the middle") {
  const auto truth_of = [](const std::vector<float>& ratios) {
    std::vector<TensorComparison> tensors{{.name = "without", .shape = {}, .found = {}}};
    for (const float ratio : ratios)
      tensors.push_back({.name = std::to_string(ratio), .shape = {}, .truth_ratio = ratio, .found = {}});
    return compare_truth(tensors);
  };
  CHECK(!truth_of({}).has_value());
  CHECK(truth_of({3, 1, 2})->median == 2);
  CHECK(truth_of({3, 1, 2, 4})->median == 3);
  CHECK(truth_of({3, 4, 2})->largest == 4);
  CHECK(truth_of({3, 4, 2})->name == std::to_string(4.0f));
  CHECK(std::isinf(truth_of({1, HUGE_VALF, 2})->largest));
}

TEST_CASE(
    "compare: twice the reference's own distance to float64 passes up to ten times the tolerance, unless one "
    "is named") {
  for (const float distance : {2e-4f, 3e-4f, 4e-5f, 6e-4f}) {
    const Change change = [&](OwnedTensors& tensors) {
      OwnedTensor& theirs = tensors.at(up_proj);
      tensors["truth." + up_proj] = theirs;
      const float scale = largest(theirs);
      theirs.floats()[0] += 5e-4f * scale;  // our distance to the reference
      tensors.at("truth." + up_proj).floats()[0] += (5e-4f - distance) * scale;  // its distance to float64
    };
    const Comparison result = compare_changed(change), named = compare_changed(change, 1e-4f);
    CAPTURE(distance);
    CHECK(result.passed() == (distance == 3e-4f));
    CHECK(!named.passed());
    for (const TensorComparison& tensor : result.tensors) {
      const bool raised = tensor.name == up_proj && distance > 1e-4f && distance < 5e-4f;
      CHECK(tensor.tolerance == doctest::Approx(raised ? 2 * distance : 1e-4f).epsilon(0.01));
    }
    for (const TensorComparison& tensor : named.tensors) CHECK(tensor.tolerance == 1e-4f);
  }
}

TEST_CASE("compare: a float64's tensor that is no number raises no tolerance, and its ratio is infinite") {
  for (const float bad : {nan_value, HUGE_VALF}) {
    const Comparison result = compare_changed([&](OwnedTensors& tensors) {
      tensors["truth." + up_proj] = tensors.at(up_proj);
      tensors.at("truth." + up_proj).floats()[0] = bad;
      tensors.at(up_proj).floats()[1] += 1e-3f * largest(tensors.at(up_proj));
    });
    CHECK(first_bad(result).name == up_proj);
    CHECK(first_bad(result).tolerance == 1e-4f);
    CHECK(std::isinf(first_bad(result).truth_ratio.value()));
  }
}

TEST_CASE("compare: float64's tensor alone, of another shape or type, is refused") {
  const auto complaint = [](const Change& change) { return error_of([&] { compare_changed(change); }); };
  contains(complaint([](OwnedTensors& tensors) { tensors["truth.other"] = tensors.at("logits"); }),
           "truth.other: expected the reference's own tensor beside it, found none");
  contains(complaint([](OwnedTensors& tensors) { tensors["truth.logits"] = tensors.at(up_proj); }),
           "truth.logits: expected F32 [1, 7, 64], found F32 [1, 7, 28]");
  contains(complaint([](OwnedTensors& tensors) { tensors["truth.generated"] = tensors.at("generated"); }),
           "truth.generated: expected F32 [1, 16], found I64 [1, 16]");
}

TEST_CASE("compare: its parts used alone refuse arguments that cannot be compared") {
  const ReferenceFile& reference = fixture_reference();
  for (const float tolerance : {nan_value, -1.0f})
    CHECK_THROWS_WITH_AS(Comparer(reference, tolerance),
                         doctest::Contains("Comparer tolerance: expected 0 or more"), std::invalid_argument);
  Comparer comparer(reference, 1);
  const float number = 1;
  CHECK_THROWS_WITH_AS(comparer.trace().report("logits", {1}, &number),
                       "axes of a traced tensor: expected 2 or more, found 1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(compare_logits(Matrix(2, 3), Matrix(2, 4)),
                       "compare_logits ours: expected [2, 4], found [2, 3]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(compare_logits(Matrix(2, 0), Matrix(2, 0)),
                       "compare_logits vocab: expected 1 or more, found 0", std::invalid_argument);
  const Matrix H = encode(fixture_model(), reference_ids("inputs.input_ids"));
  const std::vector<TokenId> prompt{2}, outside{2, 64};
  CHECK(error_of([&] { compare_generated(fixture_model(), H, prompt, outside); }) ==
        "generated: token id: expected 0 to 63, found 64");
  CHECK_THROWS_AS(compare_generated(fixture_model(), H, {}, prompt), std::invalid_argument);
}

}  // namespace test_compare
