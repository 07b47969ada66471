// LoRA: the change of a product and of a matrix, and what an adapter's files say. That all of it is peft's is tested with it
// (tests/against_transformers/test_lora.py).
#include "argument_error.hpp"
#include "fixture.hpp"
#include "scratch.hpp"
#include "t5gemma2/lora/apply_adapter.hpp"
#include "t5gemma2/precision.hpp"

namespace test_lora {

using namespace t5gemma2;
using nlohmann::json;

namespace {

std::shared_ptr<const LowRank> random_change(Index out, Index in, Index rank, unsigned seed) {
  return std::make_shared<const LowRank>(
      LowRank{random_matrix(rank, in, seed), random_matrix(out, rank, seed + 1), 0.25f});
}

const json config = {{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 6}};
const std::string module = "base_model.model.model.decoder.layers.1.self_attn.q_proj";

/// An adapter's folder.
class AdapterFolder {
 public:
  explicit AdapterFolder(const OwnedTensors& tensors, const json& settings = config) {
    write_file(folder_.path() / "adapter_model.safetensors", tensors);
    folder_.write("adapter_config.json", settings.dump());
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  ScratchFolder folder_;
};

OwnedTensor tensor(const Matrix& x) {
  return owned(Dtype::f32, {x.rows(), x.cols()}, std::vector<float>(x.data(), x.data() + x.size()));
}

/// Factors of a change of the fixture's q_proj.
OwnedTensors factors() {
  const Weight& W = fixture_model().decoder.layers[1].self_attn.q_proj;
  return {{module + ".lora_A.weight", tensor(random_matrix(2, W.cols, 1))},
          {module + ".lora_B.weight", tensor(random_matrix(W.rows, 2, 2))}};
}

std::string error(const OwnedTensors& tensors, const json& settings = config) {
  const AdapterFolder folder(tensors, settings);
  return error_of([&] {
    Model model = load_model(data_folder("basic"));
    apply_adapter(model, std::make_shared<const Adapter>(load_adapter(folder.path())));
  });
}

json with(const char* key, const json& value) {
  json changed = config;
  changed[key] = value;
  return changed;
}

}  // namespace

TEST_CASE("lora: a changed matrix is W + s B A, in any storage type and number of rows") {
  const Matrix numbers = random_matrix(70, 64, 1);
  for (const StorageType type : {StorageType::float32, StorageType::bfloat16, StorageType::float16}) {
    const StoredMatrix stored(numbers, type);
    Weight W = stored.weight();
    const Matrix before = to_matrix(W, 0, 70);
    W.changes = {random_change(70, 64, 3, 7), random_change(70, 64, 1, 9)};
    Matrix expected = before;
    for (const auto& change : W.changes) expected += change->scale * (change->B * change->A);
    CHECK(difference(to_matrix(W, 0, 70), expected) <= tight);
    CHECK(same_bits(to_matrix(W, 5, 9), to_matrix(W, 0, 70).middleRows(5, 9)));
    for (const Index rows : {1, 3, 40}) {
      const Matrix x = random_matrix(rows, 64, 5);
      CHECK(difference(linear(x, W), x * expected.transpose()) <= tight);
      CHECK(difference(linear(x, W), plain_linear(x, W)) <= tight);
    }
  }
}

TEST_CASE("lora: rounding W leaves its changes as they are") {
  const StoredMatrix stored(random_matrix(70, 64, 1));
  const Matrix x = random_matrix(9, 64, 5);
  const auto change = random_change(70, 64, 3, 7);
  for (const StorageType type : {StorageType::bfloat16, StorageType::int8_blocks}) {
    const Weight plain = converted_to(type, stored.weight(), [] {});
    Weight W = stored.weight();
    W.changes = {change};
    const Weight rounded = converted_to(type, W, [] {});
    const Matrix expected =
        linear(x, plain) + change->scale * (x * change->A.transpose()) * change->B.transpose();
    CHECK(difference(linear(x, rounded), expected) <= tight);
  }
}

TEST_CASE("lora: an embedding's rows change before they are scaled, the end-of-image token's too") {
  Embedding w = fixture_model().encoder.embed_tokens;
  const auto eoi = static_cast<TokenId>(w.eoi_token_index.value());
  const std::vector<TokenId> ids{5, eoi, 9};
  const Matrix before = embed(w, ids);
  const auto change = random_change(w.weight.rows, w.weight.cols, 2, 3);
  w.weight.changes = {change};
  const Matrix after = embed(w, ids);
  for (Index i = 0; i < 3; ++i) {
    const Matrix added = change->B.row(ids[static_cast<std::size_t>(i)]) * change->A;
    CHECK(difference(after.row(i), before.row(i) + change->scale * std::sqrt(float(w.weight.cols)) * added) <=
          tight);
  }
}

TEST_CASE("lora: changes of another shape are refused") {
  const StoredMatrix stored(random_matrix(7, 6, 1));
  Weight W = stored.weight();
  W.changes = {random_change(7, 5, 2, 3)};
  CHECK(!argument_error([&] { linear(random_matrix(2, 6, 1), W); }).empty());
  W.changes = {random_change(8, 6, 2, 3)};
  CHECK(!argument_error([&] { linear(random_matrix(2, 6, 1), W); }).empty());
  W.changes = {std::make_shared<const LowRank>(LowRank{random_matrix(2, 6, 1), random_matrix(7, 2, 1)})};
  CHECK(!argument_error([&] { linear(random_matrix(2, 6, 1), W); }).empty());  // no scale
}

TEST_CASE("lora: ranks and scales of adapter_config.json") {
  const auto read = [](const json& settings) { return AdapterConfig::parse(settings.dump(), "file"); };
  CHECK(read(config).scale_of("a.q_proj") == 3);
  CHECK(read(with("use_rslora", true)).scale_of("a") == static_cast<float>(6 / std::sqrt(2.0)));
  json patterns = with("rank_pattern", {{"q_proj", 4}, {R"(layers\.\d+\.v_proj)", 3}});
  patterns["alpha_pattern"] = {{"decoder.*", 12}};
  const AdapterConfig made = read(patterns);
  CHECK(made.rank_of("model.decoder.layers.1.q_proj") == 4);
  CHECK(made.rank_of("model.decoder.layers.1.my_q_proj") == 2);  // from a dot on
  CHECK(made.rank_of("q_proj") == 4);
  CHECK(made.rank_of("layers.12.v_proj") == 3);
  CHECK(made.scale_of("model.decoder.layers.1.q_proj") == 3);
  CHECK(made.scale_of("model.encoder.layers.1.q_proj") == 1.5f);
  const AdapterConfig slow = read(with("rank_pattern", {{"(x+x+)+y", 3}}));
  CHECK(slow.rank_of(std::string(200, 'x')) == 2);  // not after 2^200 steps
}

TEST_CASE("lora: an adapter finds what it changes") {
  const AdapterFolder folder(factors());
  Model model = load_model(data_folder("basic"));
  apply_adapter(model, std::make_shared<const Adapter>(load_adapter(folder.path(), 0.5f)));
  const Weight& W = model.decoder.layers[1].self_attn.q_proj;
  REQUIRE(W.changes.size() == 1);
  CHECK(W.changes[0]->scale == 1.5f);
  CHECK(model.decoder.layers[0].self_attn.q_proj.changes.empty());
  CHECK(model.encoder.layers[1].self_attn.q_proj.changes.empty());
  CHECK(W.data == model.checkpoint->tensors().at("model.decoder.layers.1.self_attn.q_proj.weight").data);
  Model encoder = load_encoder(data_folder("basic"));  // the decoder's part is left out
  apply_adapter(encoder, model.adapters.at(0));
}

TEST_CASE("lora: every parameter of a checkpoint is known by its name") {
  Model model = load_model(data_folder("untied"));
  const lora_detail::Parameters known = lora_detail::parameters_of(model);
  for (const auto& stored : model.checkpoint->tensors()) {
    const std::string name = canonical_name(stored.first);
    CAPTURE(name);
    if (!is_vision(name)) CHECK(known.contains(name));
  }
}

TEST_CASE("lora: whole tensors replace those of one module, the base's those of all that are tied") {
  Model model = load_model(data_folder("basic"));
  const Index rows = model.decoder.lm_head.rows, cols = model.decoder.lm_head.cols;
  const Matrix head = random_matrix(rows, cols, 3), base = random_matrix(rows, cols, 4);
  const AdapterFolder folder(
      {{"base_model.model.lm_head.out_proj.weight", tensor(head)},
       {"base_model.model.model.encoder.text_model.embed_tokens.base_layer.weight", tensor(base)}},
      with("modules_to_save", {"lm_head"}));
  apply_adapter(model, std::make_shared<const Adapter>(load_adapter(folder.path())));
  CHECK(same_bits(to_matrix(model.decoder.lm_head, 0, rows), head));
  CHECK(same_bits(to_matrix(model.encoder.embed_tokens.weight, 0, rows), base));
  CHECK(same_bits(to_matrix(model.decoder.embed_tokens.weight, 0, rows), base));
}

TEST_CASE("lora: what is broken or of another kind is refused by name") {
  const auto changed = [](const std::string& end, const Matrix& x) {
    OwnedTensors tensors = factors();
    tensors[module + end] = tensor(x);
    return tensors;
  };
  const Weight& W = fixture_model().decoder.layers[1].self_attn.q_proj;
  CHECK(error(factors()).empty());
  CHECK(contains(error(factors(), with("r", 0)), "r: expected a whole number from 1"));
  CHECK(contains(error(factors(), with("r", 3)), "expected factors of rank 3, as adapter_config.json says"));
  CHECK(contains(error(factors(), with("use_dora", true)), "use_dora: expected false: that kind of LoRA"));
  CHECK(contains(error(factors(), with("peft_type", "IA3")), "peft_type: expected \"LORA\", found \"IA3\""));
  CHECK(contains(error(factors(), with("init_lora_weights", "olora")), "init_lora_weights: expected true"));
  CHECK(contains(error(factors(), with("rank_pattern", {{"[", 2}})), "expected a regular expression"));
  CHECK(contains(error(factors(), with("rank_pattern", {{std::string(201, 'a'), 2}})),
                 "a pattern of at most 200 bytes"));
  CHECK(contains(error(changed(".lora_A.weight", with_nan(random_matrix(2, W.cols, 1), 0, 0))),
                 "finite numbers"));
  CHECK(contains(error(changed(".lora_A.weight", random_matrix(2, W.cols + 1, 1))),
                 "is it another base model's?"));
  CHECK(contains(error(changed(".lora_magnitude_vector.weight", random_matrix(1, 2, 1))),
                 "another kind of adapter"));
  CHECK(contains(error(changed("x.lora_A.weight", random_matrix(2, 3, 1))),
                 "q_projx.lora_B.weight: expected a tensor"));
  CHECK(contains(error({}), "expected the weights of an adapter, found none"));
  const ScratchFolder empty;
  CHECK(contains(error_of([&] { load_adapter(empty.path()); }), "expected a LoRA adapter's folder"));
  empty.write("adapter_config.json", config.dump());
  empty.write("adapter_model.bin", "");
  CHECK(contains(error_of([&] { load_adapter(empty.path()); }), "found adapter_model.bin"));
}

}  // namespace test_lora
