// Reasons for what differs: each guess, planted into the numbers of a small model, is found again.
#include "t5gemma2/analysis/explain/explain.hpp"

#include "fixture.hpp"
#include "scratch.hpp"
#include "t5gemma2/analysis/compare.hpp"
#include "t5gemma2/analysis/report/report_json.hpp"
#include "t5gemma2/analysis/report/report_text.hpp"

namespace test_explain {

using namespace t5gemma2;

namespace {

const std::string weights = "model.decoder.layers.0.self_attn.weights",
                  k_norm_of_H = "model.decoder.layers.0.self_attn.k_norm[1]";

/// All tensors that a pass gives in which `guess` holds, in a scope, with the fixture's inputs.
OwnedTensors planted(const Model& model, const Guess& guess, const Scope& scope = everywhere(),
                     const std::string& fixture = "basic") {
  const StoredTensors& reference = fixture_reference(fixture).tensors;
  const auto ids = reference_ids("inputs.input_ids", fixture),
             decoder_ids = reference_ids("inputs.decoder_input_ids", fixture);
  OwnedTensors made;
  const OwnedTensors inputs = copy_of(reference);
  for (const char* name : {"inputs.input_ids", "inputs.decoder_input_ids"}) made[name] = inputs.at(name);
  Accepted accepted;
  accepted.add(guess, scope);
  const Exchange keep = [&](const std::string& name, Matrix x, bool stacked) {
    const auto found = reference.find(name);
    if (found == reference.end()) return x;
    const auto& shape = found->second.shape;
    const Matrix y = shape.size() == 4 && !stacked ? file_tensors_detail::stacked(x, shape[1]) : x;
    made[name] = owned(Dtype::f32, shape, std::vector<float>(y.data(), y.data() + y.size()));
    return x;
  };
  VariantPass(
      model, {ids, decoder_ids}, [&](const Step& step) -> const Variant& { return accepted.at(step); },
      [](const std::string&, Index, Index) { return std::optional<Matrix>(); }, keep)
      .all();
  return made;
}

Comparison compare_with(const Model& model, const OwnedTensors& tensors) {
  const ScratchFolder folder;
  write_file(folder.path() / "theirs.safetensors", tensors);
  const ReferenceFile file = open_reference(folder.path() / "theirs.safetensors");
  Comparison result = compare(model, file);
  explain(result, model, file);
  return result;
}

/// The guess with this beginning.
Guess guess_of(const std::string& text) {
  for (const Guess& guess : guesses(fixture_model(), 11))
    if (guess.text.starts_with(text)) return guess;
  FAIL("no guess begins with " << text);
  return {};
}

bool says(const Reason& reason, const std::string& text) {
  return reason.text == text || std::ranges::find(reason.others, text) != reason.others.end();
}

}  // namespace

TEST_CASE("explain: without a guess every tensor of the text model is transformers', from its own tensors") {
  for (const std::string name :
       {"basic", "unequal", "untied", "shards", "images", "no_encoder", "one_token"}) {
    CAPTURE(name);
    const Model& model = fixture_model(name);
    const StoredTensors& file = fixture_reference(name).tensors;
    const auto ids = reference_ids("inputs.input_ids", name),
               decoder_ids = reference_ids("inputs.decoder_input_ids", name);
    std::vector<Matrix> features;
    if (name == "images") {
      const StoredTensor& stored = file.at("model.encoder.multi_modal_projector");
      const Vector numbers = to_vector(stored);
      const Index rows = stored.shape[1], cols = stored.shape[2];
      for (Index i = 0; i < stored.shape[0]; ++i)
        features.emplace_back(Eigen::Map<const Matrix>(numbers.data() + i * rows * cols, rows, cols));
    }
    const Explanation found = explain(model, {ids, decoder_ids, features}, file);
    Index text_tensors = 0;
    for (const auto& [tensor, stored] : file)
      text_tensors += is_activation(tensor) && tensor.find("vision_tower") == std::string::npos &&
                      tensor.find("multi_modal") == std::string::npos;
    CHECK(std::ssize(found.own_errors) == text_tensors);
    CHECK(found.wrong.empty());
    CHECK(found.reasons.empty());
    for (const auto& own : found.own_errors) {
      CAPTURE(own.first);
      CHECK(own.second <= 2e-6f);
    }
  }
}

TEST_CASE("explain: each guess that changes a number is named when it is planted") {
  const Model& model = fixture_model();
  const OwnedTensors right = planted(model, {"nothing", [](Variant&) {}});
  const Guesses all = guesses(model, 11);
  Index tried = 0;
  for (std::size_t i = 0; i < all.size(); i += 4) {
    const OwnedTensors tensors = planted(model, all[i]);
    const Comparison result = compare_with(model, tensors);
    if (result.passed()) continue;  // makes no difference here
    const bool numbers = std::ranges::none_of(
        result.tensors, [](const auto& t) { return t.verdict == Verdict::not_a_number; });
    if (!numbers) continue;  // a query that sees no key
    ++tried;
    CAPTURE(all[i].text);
    REQUIRE(!result.reasons.empty());
    CHECK(says(result.reasons[0], all[i].text));
    CHECK(result.reasons[0].where == "");
    CHECK(result.reasons[0].still_wrong == 0);
  }
  CHECK(tried >= 30);
}

TEST_CASE("explain: what is wrong in some places alone is named with them") {
  const Model& model = fixture_model();
  const auto check_scope = [&](const std::string& text, const std::string& where) {
    CAPTURE(where);
    const Guess guess = guess_of(text);
    const std::vector<Scope> all = scopes(parse_name("model.decoder.layers.1.self_attn.q_norm"));
    const auto scope = std::ranges::find_if(all, [&](const Scope& s) { return s.text == where; });
    REQUIRE(scope != all.end());
    const Comparison result = compare_with(model, planted(model, guess, *scope));
    REQUIRE(!result.reasons.empty());
    CHECK(result.reasons[0].text == guess.text);
    CHECK(result.reasons[0].where == where);
    CHECK(result.reasons[0].still_wrong == 0);
  };
  check_scope("norm weights are used without 1 +", "in the decoder");
  check_scope("norm weights are used without 1 +", "in q_norm and k_norm alone");
  check_scope("norm weights are used without 1 +", "in q_norm and k_norm of the encoder alone");
  check_scope("gelu is the exact one", "in global layers");
  check_scope("weights are rounded to bfloat16", "in products alone");
}

TEST_CASE("explain: two bugs are named one after the other") {
  const Model& model = fixture_model();
  const Guess first = guess_of("gelu is the exact one"), second = guess_of("RoPE without its factor");
  const Guess both{"both", [&](Variant& v) {
                     first.apply(v);
                     second.apply(v);
                   }};
  const Comparison result = compare_with(model, planted(model, both));
  REQUIRE(result.reasons.size() == 2);
  CHECK(result.reasons[0].text == first.text);
  CHECK(result.reasons[0].still_wrong > 0);
  CHECK(result.reasons[1].text == second.text);
  CHECK(result.reasons[1].still_wrong == 0);
}

TEST_CASE("explain: what cannot be computed so is told by how it is related to ours") {
  const auto changed = [&](const std::function<void(OwnedTensors&)>& change) {
    OwnedTensors tensors = copy_of(fixture_reference().tensors);
    std::erase_if(tensors, [](const auto& entry) { return entry.first.starts_with(truth_prefix); });
    change(tensors);
    const Comparison result = compare_with(fixture_model(), tensors);
    return result.reasons.empty() ? std::string("none") : result.reasons[0].text;
  };
  const std::string up_proj = "model.decoder.layers.0.mlp.up_proj";
  const auto numbers = [&](OwnedTensors& tensors, auto change) {
    OwnedTensor& tensor = tensors.at(up_proj);
    Eigen::Map<Matrix> x(tensor.floats(), 7, 28);
    const Matrix y = change(Matrix(x));
    x = y;
  };
  CHECK(changed([&](auto& t) { t.at(up_proj).shape = {7, 28}; }) == "the batch axis is missing: [7, 28]");
  CHECK(changed([&](auto& t) {
          t.at(up_proj).shape = {1, 28, 7};
        }).starts_with("the same numbers in another shape"));
  CHECK(changed([&](auto& t) { numbers(t, [](const Matrix& x) -> Matrix { return 0.5f * x; }); }) ==
        "all numbers are multiplied by 0.5");
  CHECK(changed([&](auto& t) { numbers(t, [](const Matrix& x) -> Matrix { return 0 * x; }); }) ==
        "all numbers are 0");
  CHECK(changed([&](auto& t) {
          numbers(t, [](const Matrix& x) -> Matrix { return x.colwise().reverse(); });
        }) == "rows are in the opposite order");
  CHECK(changed([&](auto& t) {
          numbers(t, [](const Matrix& x) -> Matrix {
            return x.unaryExpr([](float v) { return static_cast<float>(Eigen::bfloat16(v)); });
          });
        }).find("bfloat16") != std::string::npos);
  CHECK(changed([&](auto& t) {
          numbers(t, [](const Matrix&) -> Matrix { return random_matrix(7, 28, 3); });
        }) == "none");
  CHECK(changed([&](auto& t) { t.at(up_proj).floats()[3] = nan_value; }) == "none");
}

TEST_CASE("explain: long texts and engines that round are not explained") {
  const std::vector<TokenId> ids(longest_explained, 3), one{2};
  CHECK(explain(fixture_model(), {ids, one}, fixture_reference().tensors).own_errors.empty());
}

TEST_CASE("report: the verdict first, the guess, the first that diverges, in 80 columns") {
  const Model& model = fixture_model();
  OwnedTensors tensors = planted(model, guess_of("the decoder's window is off by +1"));
  tensors.erase(k_norm_of_H);
  const Comparison result = compare_with(model, tensors);
  for (const bool all : {false, true}) {
    const std::string text = report_text(result, all);
    CAPTURE(text);
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 80);
    CHECK(text.starts_with("FAILED: 85 compared, "));
    const std::size_t guess = text.find("\nGUESS: the decoder's window is off by +1 token"),
                      first = text.find("\nFIRST that diverges: " + weights);
    CHECK(guess < first);
    CHECK(first != std::string::npos);
    contains(text, "worst at head ");
    contains(text, "1 of ours not in your file: " + k_norm_of_H);
    CHECK((text.find("  model.encoder.text_model.layers.0.mlp ") != std::string::npos) == all);
  }
  const auto json = nlohmann::json::parse(report_json(result).dump());
  CHECK(json.at("passed") == false);
  CHECK(json.at("first") == weights);
  CHECK(json.at("guesses").at(0).at("guess").get<std::string>().starts_with("the decoder's window"));
  CHECK(json.at("tensors").size() == 85);
  CHECK(json.at("not_in_file").at(0) == k_norm_of_H);
}

TEST_CASE("report: what passes says how near it is") {
  const std::string text = report_text(compare(fixture_model(), fixture_reference()), false);
  CHECK(text.starts_with("PASSED: 86 compared, 0 over tolerance, 0 missing\n"));
  contains(text, "largest difference: ");
  contains(text, "generated: all 12 tokens equal\n");
  CHECK(text.find("GUESS") == std::string::npos);
}

}  // namespace test_explain
