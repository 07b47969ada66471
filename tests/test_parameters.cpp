// Counts of parameters: the published sizes and the paper's savings.
#include "t5gemma2/analysis/parameters.hpp"

#include <algorithm>
#include <cmath>

#include "fixture.hpp"
#include "scratch.hpp"
#include "t5gemma2/checkpoint/config_json.hpp"

namespace test_parameters {

using namespace t5gemma2;

namespace {

Config sizes(Index layers, Index d, Index heads, Index kv_heads, Index head_dim, Index mlp,
             Index vocabulary) {
  Config config;
  TextConfig& e = config.encoder;
  e.hidden_size = d;
  e.num_hidden_layers = layers;
  e.num_attention_heads = heads;
  e.num_key_value_heads = kv_heads;
  e.head_dim = head_dim;
  e.intermediate_size = mlp;
  e.vocab_size = vocabulary;
  config.decoder = e;
  return config;
}

double percent(Index part, Index whole) {
  return 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

TEST_CASE("parameters: with Gemma 2 2B's sizes tying saves 10.5 % and merging 6.6 % of the baseline") {
  const ParameterCount count = count_parameters(sizes(26, 2304, 8, 4, 256, 9216, 256128));
  CHECK(count.cross_attention == 26 * (2 * 8 * 256 * 2304 + 2 * 4 * 256 * 2304));
  CHECK(percent(count.embedding, count.baseline()) == doctest::Approx(10.5).epsilon(0.005));
  CHECK(percent(count.cross_attention, count.baseline()) == doctest::Approx(6.6).epsilon(0.008));
}

TEST_CASE("parameters: the published sizes: 270M, 1B and 4B a side") {
  // SigLIP: embeddings, 27 layers of two norms, four square matrices and an MLP, the last norm;
  // the projector.
  const Index v = 1152, patches = v * 3 * 14 * 14 + v + 4096 * v, mlp = 2 * v * 4304 + 4304 + v;
  const auto vision = [&](Index d) {
    return patches + 27 * (4 * v + 4 * (v * v + v) + mlp) + 2 * v + v + v * d;
  };
  CHECK(std::abs(static_cast<double>(vision(640)) - 417e6) < 1e6);
  const ParameterCount small = count_parameters(sizes(18, 640, 4, 1, 256, 2048, 262144));
  CHECK(small.text() == 786029296 - vision(640));
  CHECK(small.embedding == 262144 * 640 + 640);
  CHECK(small.encoder == small.decoder);
  CHECK(count_parameters(sizes(26, 1152, 4, 1, 256, 6912, 262144)).text() == 2115977456 - vision(1152));
  CHECK(count_parameters(sizes(34, 2560, 8, 4, 256, 10240, 262144)).text() == 7508928880 - vision(2560));
}

TEST_CASE("parameters: the count of a small checkpoint is the count of the numbers it stores") {
  // Of `shards` the head is stored too, of `untied` the head, the decoder's embedding and its
  // end-of-image vector.
  for (const auto& [fixture, stored_twice] : {std::pair<std::string, Index>{"basic", 0},
                                              {"unequal", 0},
                                              {"old_keys", 0},
                                              {"shards", 64 * 24},
                                              {"untied", 2 * 64 * 24 + 24}}) {
    const std::string& name = fixture;
    const Index untied = stored_twice;
    Index stored = 0;
    for (const auto& [tensor_name, tensor] : fixture_model(name).checkpoint->tensors())
      stored += static_cast<Index>(tensor.bytes * 8 / bits_of(tensor.dtype));
    const ParameterCount count = count_parameters(fixture_model(name));
    CAPTURE(name);
    CHECK(count.text() + count.vision == stored);
    CHECK(count.untied == untied);
  }
}

TEST_CASE(
    "parameters: config.json alone counts what its checkpoint stores, vision and untied embeddings too") {
  for (const std::string name : {"basic", "unequal", "old_keys", "untied", "images"}) {
    const ParameterCount sizes = count_parameters(load_config(data_folder(name))),
                         stored = count_parameters(fixture_model(name));
    CAPTURE(name);
    CHECK(sizes.text() == stored.text());
    CHECK(sizes.untied == stored.untied);
    CHECK((stored.vision == 0 || sizes.vision == stored.vision));
    CHECK((stored.vision > 0) == (name == "images"));
  }
  Config config = sizes(18, 640, 4, 1, 256, 2048, 262144);
  config.vision = {.hidden_size = 1152,
                   .num_hidden_layers = 27,
                   .num_attention_heads = 16,
                   .intermediate_size = 4304,
                   .image_size = 896,
                   .patch_size = 14,
                   .num_channels = 3};
  CHECK(count_parameters(config).all() == 786029296);
}

TEST_CASE("parameters: the largest sizes that config.json may have can be counted") {
  using namespace config_detail;
  Config config =
      sizes(most_layers, most_features, most_heads, most_heads, most_in_head, most_features, most_ids);
  config.tie_word_embeddings = false;
  config.vision = {.hidden_size = most_features,
                   .num_hidden_layers = most_layers,
                   .num_attention_heads = most_heads,
                   .intermediate_size = most_features,
                   .image_size = 1 << 16,
                   .patch_size = 1,
                   .num_channels = most_channels};
  for (const Index patch : {1, 1 << 16}) {
    config.vision->patch_size = patch;
    const ParameterCount count = count_parameters(config);
    const double about = static_cast<double>(count.encoder) + static_cast<double>(count.decoder);
    CHECK(static_cast<double>(count.all()) > about);
    CHECK(about ==
          doctest::Approx(2.0 * 1024 * std::pow(2.0, 20) * (std::pow(2.0, 28) + 3 * std::pow(2.0, 20)))
              .epsilon(1e-4));
    CHECK(4.0 * static_cast<double>(std::max(count.all(), count.baseline())) < std::pow(2.0, 63));
  }
}

TEST_CASE("parameters: a tied embedding that is stored under another's name is no second one") {
  const ScratchFolder folder;
  OwnedTensors tensors = copy_of(Checkpoint::open(data_folder("basic")).tensors());
  for (const auto& [from, to] :
       {std::pair("encoder.embed_tokens.weight", "lm_head.out_proj.weight"),
        {"encoder.embed_tokens.eoi_embedding", "model.decoder.embed_tokens.eoi_embedding"}}) {
    auto node = tensors.extract("model." + std::string(from));
    node.key() = to;
    tensors.insert(std::move(node));
  }
  write_file(folder.path() / "model.safetensors", tensors);
  std::filesystem::copy(data_folder("basic") / "config.json", folder.path() / "config.json");
  const ParameterCount count = count_parameters(load_model(folder.path()));
  CHECK(count.untied == 0);
  CHECK(count.text() == count_parameters(fixture_model()).text());
}

TEST_CASE("parameters: vision tensors are counted apart, in either spelling") {
  const ScratchFolder folder;
  OwnedTensors tensors = copy_of(Checkpoint::open(data_folder("basic")).tensors());
  Model model = fixture_model();
  tensors["model.encoder.vision_tower.a.weight"] = owned(Dtype::f32, {3, 5}, std::vector<float>(15));
  tensors["encoder.vision_tower.vision_model.b"] = owned(Dtype::bf16, {7}, std::vector<std::uint16_t>(7));
  tensors["model.encoder.multi_modal_projector.c"] = owned(Dtype::f32, {2}, std::vector<float>(2));
  write_file(folder.path() / "model.safetensors", tensors);
  model.checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(folder.path()));
  const ParameterCount count = count_parameters(model), before = count_parameters(fixture_model());
  CHECK(count.vision == before.vision + 24);
  CHECK(count.text() == before.text());
}

TEST_CASE("parameters: sizes that are not set are refused") {
  Config no_patches = sizes(18, 640, 4, 1, 256, 2048, 9);
  no_patches.vision = {.hidden_size = 8};
  CHECK_THROWS_WITH_AS(count_parameters(no_patches), "vision_config.patch_size: expected 1 or more, found 0",
                       std::invalid_argument);
  Model model = fixture_model();
  model.checkpoint.reset();
  CHECK_THROWS_WITH_AS(count_parameters(model),
                       "Model checkpoint: expected one that load_model opened, found none",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(count_parameters(Config{}), "heads.kv: expected 1 or more, found 0",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(count_parameters(sizes(18, 640, 4, 1, 256, 2048, 0)),
                       "vocab_size: expected 1 or more, found 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(count_parameters(sizes(0, 640, 4, 1, 256, 2048, 9)),
                       "num_hidden_layers: expected 1 or more, found 0", std::invalid_argument);
}

}  // namespace test_parameters
