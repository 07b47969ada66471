// The whole model on every small checkpoint: each holds what transformers computed and wrote with it.
#include "t5gemma2/model.hpp"

#include <set>

#include "allowed_difference.hpp"
#include "fixture.hpp"
#include "scratch.hpp"
#include "t5gemma2/analysis/compare.hpp"

namespace test_model {

using namespace t5gemma2;

namespace {

using Ids = std::vector<TokenId>;

const std::set<std::string> known{"basic",     "long_even", "long_odd", "no_encoder", "old_keys",
                                  "one_token", "shards",    "unequal",  "untied"};

/// The folders of tests/data that hold a reference file.
std::set<std::string> fixtures() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(data_folder()))
    if (std::filesystem::exists(entry.path() / "reference.safetensors") &&
        !SafetensorsFile::open(entry.path() / "reference.safetensors")
             .tensors()
             .contains("inputs.pixel_values"))
      names.insert(entry.path().filename());
  return names;
}

}  // namespace

TEST_CASE("model: the small checkpoints are all there") {
  const std::set<std::string> found = fixtures();
  CHECK(std::includes(found.begin(), found.end(), known.begin(), known.end()));
}

TEST_CASE("model: every tensor and every greedy token of every small checkpoint is the reference's") {
  for (const std::string& name : fixtures()) {
    CAPTURE(name);
    const Comparison result = compare(fixture_model(name), fixture_reference(name));
    CHECK(result.tensors.size() >= 5);
    for (const TensorComparison& tensor : result.tensors) {
      CAPTURE(tensor.name);
      CHECK(tensor.relative <= allowed_difference(tensor.name, name));
      CHECK(tensor.verdict == Verdict::ok);
    }
    CHECK(result.passed());
    if (!known.contains(name)) continue;  // what else is there may hold less
    REQUIRE(result.logits.has_value());
    CHECK(result.logits->same_top == result.logits->rows);
    CHECK(result.logits->max_kl < 1e-9);
    REQUIRE(result.generated.has_value());
    CHECK(result.generated->tokens >= 8);
    CHECK(!result.generated->first_difference.has_value());
  }
}

TEST_CASE("model: all taps of the basic checkpoint are made, none besides") {
  Recorder recorder;
  const Trace trace = recorder.trace();
  const Model& model = fixture_model();
  const Matrix H = encode(model, reference_ids("inputs.input_ids"), {}, &trace);
  forward(model, reference_ids("inputs.decoder_input_ids"), H, {}, &trace);
  std::set<std::string> ours(recorder.names.begin(), recorder.names.end()), theirs;
  for (const auto& [name, tensor] : fixture_reference().tensors)
    if (!name.starts_with("inputs.") && !name.starts_with(truth_prefix) && name != "generated")
      theirs.insert(name);
  CHECK(ours == theirs);
  CHECK(recorder.names.size() == ours.size());
  CHECK(recorder.names.front() == "model.encoder.text_model.embed_tokens");
  CHECK(recorder.names.back() == "logits");
}

TEST_CASE("model: all storage types occur among the small checkpoints") {
  std::set<StorageType> types;
  for (const std::string& name : fixtures())
    types.insert(fixture_model(name).encoder.layers[0].mlp.up_proj.type);
  CHECK(types.size() == 3);
}

TEST_CASE("model: weights are used where they lie in the mapped files") {
  const Model& model = fixture_model();
  const auto& stored = model.checkpoint->tensors();
  CHECK(model.encoder.embed_tokens.weight.data ==
        stored.find("model.encoder.embed_tokens.weight")->second.data);
  CHECK(model.decoder.layers[1].mlp.down_proj.data ==
        stored.find("model.decoder.layers.1.mlp.down_proj.weight")->second.data);
}

TEST_CASE("model: a copy lives on when the first one is gone") {
  const Ids ids{2, 5, 9};
  std::optional<Model> first = load_model(data_folder("shards"));
  const Model second = *first;
  const Matrix H = encode(*first, ids);
  first.reset();
  CHECK(same_bits(encode(second, ids), H));
}

TEST_CASE("model: no ids make an empty H, and the decoder then runs alone") {
  const Model& model = fixture_model("no_encoder");
  const Matrix H = encode(model, Ids{});
  CHECK(H.rows() == 0);
  CHECK(H.cols() == 24);
  const Ids ids = reference_ids("inputs.decoder_input_ids", "no_encoder");
  CHECK(difference(forward(model, ids, H), reference_tensor("logits", "no_encoder")) <= 1e-5);
  CHECK(difference(forward(model, ids, encode(model, Ids{2})), reference_tensor("logits", "no_encoder")) >
        1e-3);
}

TEST_CASE("model: the end-of-image token has its own vector on both sides") {
  Model model = fixture_model();
  const Ids ids{2, 62, 7};
  const Matrix H = encode(model, ids), logits = forward(model, ids, H);
  model.encoder.embed_tokens.eoi_token_index.reset();
  CHECK(difference(encode(model, ids), H) > 1e-3);
  CHECK(same_bits(forward(model, ids, H), logits));
  model.decoder.embed_tokens.eoi_token_index.reset();
  CHECK(difference(forward(model, ids, H), logits) > 1e-3);
}

TEST_CASE("model: ids outside the vocabulary are refused on both sides") {
  const Model& model = fixture_model();
  contains(error_of([&] { encode(model, Ids{2, 64}); }), "token id: expected 0 to 63, found 64");
  contains(error_of([&] {
             forward(model, Ids{2, -1}, Matrix(0, 24));
           }),
           "token id: expected 0 to 63, found -1");
}

TEST_CASE("model: a NaN in one weight comes out as NaN") {
  for (const std::string name :
       {"model.encoder.layers.0.mlp.gate_proj.weight", "model.encoder.norm.weight",
        "model.encoder.layers.1.self_attn.k_norm.weight", "model.decoder.layers.0.self_attn.v_proj.weight",
        "model.decoder.norm.weight"}) {
    const ScratchFolder folder;
    OwnedTensors tensors = copy_of(Checkpoint::open(data_folder("basic")).tensors());
    tensors.at(name).floats()[3] = nan_value;
    write_file(folder.path() / "model.safetensors", tensors);
    std::filesystem::copy(data_folder("basic") / "config.json", folder.path() / "config.json");
    const Model model = load_model(folder.path());
    CAPTURE(name);
    CHECK(forward(model, Ids{2, 7}, encode(model, Ids{2, 5, 9})).hasNaN());
  }
}

TEST_CASE("model: unknown tensors and unusual fields are noted") {
  CHECK(fixture_model().notes.empty());
  const ScratchFolder folder;
  OwnedTensors tensors = copy_of(Checkpoint::open(data_folder("basic")).tensors());
  tensors["model.extra"] = owned<float>(Dtype::f32, {1}, {1});
  write_file(folder.path() / "model.safetensors", tensors);
  std::filesystem::copy(data_folder("basic") / "config.json", folder.path() / "config.json");
  CHECK(load_model(folder.path()).notes == std::vector<std::string>{"unknown tensor, not used: model.extra"});
  folder.write("adapter_config.json", "{}");
  contains(load_model(folder.path()).notes.front(), "an adapter beside the model is not applied");
  folder.write("generation_config.json", R"({"bos_token_id": 2, "eos_token_id": 1, "max_time": 2})");
  contains(load_model(folder.path()).notes.front(), "without effect here: max_time");
}

TEST_CASE("model: one that was never loaded is refused") {
  const Ids ids{2, 5};
  CHECK_THROWS_WITH_AS(encode(Model(), ids), "encoder rms_norm_eps: expected 0 or more, found nan",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(encode(Model(), Ids{}), "encoder rms_norm_eps: expected 0 or more, found nan",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(forward(Model(), ids, Matrix(0, 0)),
                       "decoder rms_norm_eps: expected 0 or more, found nan", std::invalid_argument);
  CHECK_THROWS_WITH_AS(compare(Model(), fixture_reference(), 1),
                       "Model checkpoint: expected one that load_model opened, found none",
                       std::invalid_argument);
}

}  // namespace test_model
