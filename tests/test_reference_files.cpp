// The formats of reference files, and two of them without a model.
#include "fixture.hpp"
#include "scratch.hpp"
#include "t5gemma2/analysis/compare.hpp"
#include "t5gemma2/analysis/compare_files.hpp"
#include "t5gemma2/analysis/report/report_text.hpp"

namespace test_reference_files {

using namespace t5gemma2;

namespace {

/// A call of a module in a debug tree; `outputs` is JSON.
std::string call(const std::string& path, const std::string& outputs) {
  return R"({"module_path": "T5Gemma2ForConditionalGeneration.)" + path + R"(", "inputs": {"args": []}, )" +
         R"("outputs": )" + outputs + "}";
}

std::string tree(const std::string& children, const std::string& inputs = "{}") {
  return R"({"module_path": "T5Gemma2ForConditionalGeneration", "inputs": )" + inputs + R"(, "children": [)" +
         children + "]}";
}

const std::string two_by_two =
    R"json({"shape": "torch.Size([1, 2, 2])", "dtype": "torch.float32", "mean": "tensor(2.5000e+00)",)json"
    R"json("std": "tensor(1.2910e+00)", "min": "tensor(1.)", "max": "tensor(4.)"})json";

ReferenceFile opened(const std::string& json) {
  const ScratchFolder folder;
  return open_reference(folder.write("debug_tree.json", json));
}

std::string complaint(const std::string& json) {
  return error_of([&] { opened(json); });
}

ReferenceFile made(const ScratchFolder& folder, const std::string& name, const OwnedTensors& tensors) {
  write_file(folder.path() / name, tensors);
  return open_reference(folder.path() / name);
}

OwnedTensor matrix(const std::vector<Index>& shape, const std::vector<float>& numbers) {
  return owned(Dtype::f32, shape, numbers);
}

}  // namespace

TEST_CASE("statistics: torch's, and what differs is the worst of the four") {
  const Vector x{{1, 2, 3, 4}};
  const Statistics s = statistics_of(x);
  CHECK(s.mean == 2.5f);
  CHECK(s.std == doctest::Approx(std::sqrt(5.0 / 3)));
  CHECK(s.min == 1);
  CHECK(s.max == 4);
  CHECK(std::isnan(statistics_of(Vector{{1}}).std));
  CHECK(difference_of(s, s).largest == 0);
  CHECK(difference_of(s, Statistics{2.5f, s.std, -8, 4}).largest == 9);
  CHECK(difference_of(s, Statistics{2.5f, s.std, -8, 4}).scale == 8);
  CHECK(std::isnan(difference_of(s, Statistics{nan_value, 1, 1, 4}).largest));
  CHECK(difference_of(Statistics{1, nan_value, 1, 1}, Statistics{1, nan_value, 1, 1}).largest == 0);
}

TEST_CASE("debug tree: calls are numbered, statistics read, ids taken from what torch prints") {
  const std::string ids =
      R"json({"kwargs": {"input_ids": {"shape": "torch.Size([1, 3])", "dtype": "torch.int64",)json"
      R"json("value": ["tensor([[ 2, 893,", "          7]])"]}}})json";
  const ReferenceFile file =
      opened(tree(call("model.decoder.layers.0.self_attn.k_proj", two_by_two) + "," +
                      call("model.decoder.layers.0.self_attn.k_proj", two_by_two) + "," +
                      call("model.decoder.dropout", two_by_two) + "," + call("lm_head.out_proj", two_by_two),
                  ids));
  CHECK(file.tensors.size() == 1);
  CHECK(to_integers(file.tensors.at("inputs.input_ids")) == std::vector<Index>{2, 893, 7});
  std::vector<std::string> names;
  for (const auto& entry : file.statistics) names.push_back(entry.first);
  CHECK(names == std::vector<std::string>{"lm_head", "model.decoder.layers.0.self_attn.k_proj",
                                          "model.decoder.layers.0.self_attn.k_proj[1]"});
  CHECK(file.statistics.at("lm_head").values.mean == 2.5f);
  CHECK(file.statistics.at("lm_head").shape == std::vector<Index>{1, 2, 2});
}

TEST_CASE("debug tree: a whole tensor is that of the last call, and its file lies beside the tree") {
  const ScratchFolder folder;
  write_file(folder.path() / "k.safetensors", {{"data", matrix({1, 2, 2}, {1, 2, 3, 4})}});
  const auto whole = [&](const std::string& file) {
    return two_by_two.substr(0, two_by_two.size() - 1) + R"(, "value": ")" + file + "\"}";
  };
  const std::string k_proj = "model.decoder.layers.0.self_attn.k_proj";
  const auto both = call(k_proj, whole("./k.safetensors")) + "," + call(k_proj, whole("./k.safetensors"));
  const ReferenceFile file = open_reference(folder.write("x.json", tree(both)));
  CHECK(file.tensors.contains(k_proj + "[1]"));
  CHECK(!file.tensors.contains(k_proj));
  CHECK(file.statistics.contains(k_proj));
  const auto refused = [&](const std::string& name) {
    return error_of(
        [&] { open_reference(folder.write("x.json", tree(call("lm_head.out_proj", whole(name))))); });
  };
  contains(refused("../k.safetensors"), "outputs.value: expected a file beside this one");
  contains(refused("/etc/passwd"), "expected a file beside this one");
  contains(refused("./none.safetensors"), "none.safetensors");
  write_file(folder.path() / "k.safetensors", {{"data", matrix({1, 4}, {1, 2, 3, 4})}});
  contains(refused("./k.safetensors"), "expected a tensor of torch.Size([1, 2, 2]), found F32 [1, 4]");
  write_file(folder.path() / "k.safetensors", {{"other", matrix({1, 4}, {1, 2, 3, 4})}});
  contains(refused("./k.safetensors"), "data: expected a tensor, found nothing");
}

TEST_CASE("debug tree: what is no tree is refused by its field") {
  contains(complaint("[]"), "expected an object");
  contains(complaint("{}"), "module_path: expected a text");
  contains(complaint(tree("1")), "children[0]");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = two_by_two;
    changed.replace(changed.find(from), from.size(), to);
    return complaint(tree(call("lm_head.out_proj", changed)));
  };
  contains(with("torch.Size([1, 2, 2])", "torch.Size([1, x])"), "shape: expected a shape, torch.Size([...])");
  contains(with("torch.Size([1, 2, 2])", "torch.Size([1, -2])"),
           "shape: expected a shape, torch.Size([...])");
  contains(with("torch.Size([1, 2, 2])", "[1]"), "shape: expected a shape, torch.Size([...])");
  contains(with("tensor(2.5000e+00)", "2.5"), "mean: expected a number, tensor(...)");
  contains(with("tensor(2.5000e+00)", "tensor("), "mean: expected a number, tensor(...)");
  CHECK(complaint(tree(call("lm_head.out_proj", two_by_two))) == "");
}

TEST_CASE("statistics: compared as such with the engine's tensors") {
  const ReferenceFile& reference = fixture_reference();
  ReferenceFile file{.path = reference.path};
  for (const auto& [name, tensor] : reference.tensors)
    if (name.starts_with("inputs."))
      file.tensors[name] = tensor;
    else if (is_activation(name))
      file.statistics[name] = {name, Dtype::f32, tensor.shape, statistics_of(to_vector(tensor))};
  const Comparison equal = compare(fixture_model(), file);
  CHECK(equal.passed());
  contains(report_text(equal, false),
           std::to_string(file.statistics.size()) + " by mean, std, min and max alone");
  const std::string name = "model.decoder.layers.1.mlp";
  file.statistics.at(name).values.std *= 1.01f;
  Comparison other = compare(fixture_model(), file);
  explain(other, fixture_model(), file);
  CHECK(!other.passed());
  const std::string text = report_text(other, false);
  contains(text, "FIRST that diverges: " + name + "\n");
  contains(text, "compared by these alone:\n    mean ours ");
  file.statistics.at(name).values.std = nan_value;
  CHECK(!compare(fixture_model(), file).passed());
}

TEST_CASE("files: the same passes, in forward order, and what one alone has is listed") {
  const ReferenceFile& reference = fixture_reference();
  const Comparison same = compare_files(reference, reference);
  CHECK(same.passed());
  CHECK(same.tensors.front().name == "inputs.decoder_input_ids");
  const Comparison with_model = compare(fixture_model(), reference);
  std::vector<std::string> names, in_pass;
  for (const TensorComparison& tensor : same.tensors)
    if (is_activation(tensor.name)) names.push_back(tensor.name);
  for (const TensorComparison& tensor : with_model.tensors) in_pass.push_back(tensor.name);
  CHECK(names == in_pass);
  ReferenceFile less = reference;
  less.tensors.erase("logits");
  less.tensors.erase("truth.logits");
  CHECK(compare_files(reference, less).not_in_file == std::vector<std::string>{"logits"});
  const Comparison more = compare_files(less, reference);
  CHECK(more.passed());
  CHECK(more.not_ours == std::vector<std::string>{"logits"});
  contains(report_text(more, false), "1 in B alone: logits");
}

TEST_CASE("files: ids must be equal, and other forms of the same numbers are named") {
  const ScratchFolder folder;
  const auto ids = [](std::int64_t last) {
    return owned(Dtype::i64, {1, 2}, std::vector<std::int64_t>{2, last});
  };
  const OwnedTensors a{{"inputs.input_ids", ids(7)}, {"mine.x", matrix({1, 2, 3}, {1, 2, 3, 4, 5, 6})}};
  OwnedTensors b = copy_of(made(folder, "a", a).tensors);
  b.at("inputs.input_ids") = ids(8);
  const Comparison other_ids = compare_files(made(folder, "a", a), made(folder, "b", b));
  CHECK(!other_ids.passed());
  contains(report_text(other_ids, false), "worst at token 1: A 7, B 8");
  b.at("inputs.input_ids") = ids(7);
  b.at("mine.x") = matrix({1, 3, 2}, {1, 4, 2, 5, 3, 6});
  const Comparison turned = compare_files(made(folder, "a", a), made(folder, "b", b));
  contains(report_text(turned, false), "GUESS: the last two axes are transposed");
  contains(report_text(turned, false), "shape [1, 3, 2], A is [1, 2, 3]");
  b.at("mine.x") = matrix({1, 2, 3}, {2, 4, 6, 8, 10, 12});
  contains(report_text(compare_files(made(folder, "a", a), made(folder, "b", b)), false),
           "GUESS: all numbers are multiplied by 2");
  const Comparison nothing = compare_files(made(folder, "a", {{"x", matrix({1, 1}, {1})}}),
                                           made(folder, "b", {{"y", matrix({1, 1}, {1})}}));
  CHECK(!nothing.passed());
}

TEST_CASE("files: the tolerance is that of the coarser of the two number formats") {
  const ScratchFolder folder;
  const auto half = [](float x) {
    return owned(Dtype::bf16, {1, 1, 1}, std::vector<Eigen::bfloat16>{Eigen::bfloat16(x)});
  };
  const ReferenceFile coarse = made(folder, "a", {{"x", half(1.0f)}}),
                      fine = made(folder, "b", {{"x", matrix({1, 1, 1}, {1.005f})}});
  CHECK(compare_files(coarse, fine).passed());
  CHECK(compare_files(fine, coarse).passed());
  CHECK(!compare_files(coarse, fine, 1e-3f).passed());
}

TEST_CASE("forward order: numbers in names count as numbers") {
  CHECK(comes_before("a.layers.9", "a.layers.10"));
  CHECK(comes_before("x9y", "x10y"));
  CHECK(!comes_before("x10y", "x9y"));
  CHECK(!comes_before("x", "x"));
  CHECK(comes_before("x", "x1"));
  CHECK(comes_before("model.encoder.text_model.norm", "model.decoder.embed_tokens"));
  CHECK(comes_before("model.decoder.layers.0.self_attn.q_proj", "model.decoder.layers.0.self_attn"));
  CHECK(comes_before("model.decoder.layers.1", "model.decoder.norm"));
}

TEST_CASE("hooks of TransformerLens become taps") {
  const ScratchFolder folder;
  const std::string of_H = "model.decoder.layers.3.self_attn.k_proj[1]",
                    layer = "model.encoder.text_model.layers.0", Q = layer + ".self_attn.q_proj";
  const OwnedTensor four = matrix({1, 2, 2}, {1, 2, 3, 4});
  const ReferenceFile file = made(folder, "cache",
                                  {{"decoder_blocks.3.self_attn.hook_k", matrix({1, 2, 2, 1}, {1, 2, 3, 4})},
                                   {"encoder_blocks.0.attn.hook_q", four},  // the encoder's own head size
                                   {"encoder_blocks.0.hook_resid_post", four},
                                   {"encoder_blocks.0.hook_out", four},
                                   {"encoder_blocks.0.attn.hook_z", four},
                                   {"decoder_ln_final.hook_out", four},
                                   {"logits", four}});
  CHECK(file.tensors.size() == 5);
  for (const std::string& tap : {of_H, Q, layer, std::string("model.decoder.norm"), std::string("logits")}) {
    CAPTURE(tap);
    REQUIRE(file.tensors.contains(tap));
    CHECK(file.tensors.at(tap).shape == std::vector<Index>{1, 2, 2});
  }
  CHECK(file.tensors.at(of_H).name == "decoder_blocks.3.self_attn.hook_k");
  CHECK(file.without_counterpart == std::vector<std::string>{"encoder_blocks.0.attn.hook_z"});
  const ReferenceFile batchless =
      made(folder, "batchless",
           {{"decoder_blocks.3.self_attn.hook_k", matrix({2, 2, 1}, {1, 2, 3, 4})},
            {"encoder_blocks.0.hook_resid_post", matrix({2, 2}, {1, 2, 3, 4})}});
  for (const std::string& tap : {of_H, layer})
    CHECK(batchless.tensors.at(tap).shape == std::vector<Index>{1, 2, 2});
}

TEST_CASE("files: tensors of one axis and of none, and whole numbers, are compared once") {
  const ScratchFolder folder;
  const auto file = [&](const std::string& name, float x) {
    return made(
        folder, name,
        {{"vector", matrix({3}, {1, x, 3})},
         {"scalar", matrix({}, {x})},
         {"whole", owned(Dtype::i32, {2}, std::vector<std::int32_t>{1, static_cast<std::int32_t>(x)})}});
  };
  const Comparison equal = compare_files(file("a", 2), file("b", 2));
  CHECK(equal.passed());
  CHECK(equal.tensors.size() == 3);
  CHECK(equal.not_ours.empty());
  const Comparison near = compare_files(file("a", 2), file("b", 2.001f), 0.1f);
  CHECK(near.passed());
  const Comparison other = compare_files(file("a", 2), file("b", 4));
  CHECK(std::ranges::count(other.tensors, Verdict::over_tolerance, &TensorComparison::verdict) == 3);
  contains(report_text(other, false), "worst at the number itself: A 2, B 4");
}

TEST_CASE("files: logits without their mean are named") {
  const ScratchFolder folder;
  const ReferenceFile a = made(folder, "a", {{"logits", matrix({1, 2, 2}, {1, 3, 0, 8})}}),
                      b = made(folder, "b", {{"logits", matrix({1, 2, 2}, {-1, 1, -4, 4})}});
  contains(report_text(compare_files(a, b), false), "GUESS: the mean of each row is subtracted");
}

}  // namespace test_reference_files
