// SigLIP: patches, attention, MLP, a layer and the whole against the reference, and which patch is where.
#include "t5gemma2/vision/siglip.hpp"

#include <set>

#include "vision_fixture.hpp"

namespace test_siglip {

using namespace t5gemma2;

namespace {

/// An image whose pixels are their own index in [channels, size, size].
Matrix own_index(Index channels, Index size) {
  Matrix pixels(channels, size * size);
  for (Index i = 0; i < pixels.size(); ++i) pixels.data()[i] = static_cast<float>(i);
  return pixels;
}

VisionConfig sizes(Index size, Index patch, Index channels) {
  return {.image_size = size, .patch_size = patch, .num_channels = channels};
}

/// 24 x 24 patches, more than one block of queries.
constexpr VisionConfig large{.hidden_size = 20,
                             .num_hidden_layers = 2,
                             .num_attention_heads = 4,
                             .intermediate_size = 30,
                             .image_size = 48,
                             .patch_size = 2,
                             .num_channels = 3,
                             .layer_norm_eps = 1e-6f};

/// A tower of one layer of the fixture `images` into which `x` goes, whatever the image.
Matrix run_layer(Index layer, const Matrix& x) {
  const StoredMatrix input(x), nothing(Matrix::Zero(9, 27));
  Siglip w = fixture_vision().vision_tower;
  w.patch_embedding = {nothing.weight(), Vector::Zero(9)};
  w.position_embedding = input.weight();
  w.layers = {fixture_siglip_layer(layer)};
  w.config.num_hidden_layers = 1;
  Recorder recorder;
  const Trace trace = recorder.trace();
  siglip(w, Matrix::Zero(3, 18 * 18), Tap(trace));
  return recorder.tensors.at("encoder.layers.0");
}

}  // namespace

TEST_CASE("siglip: a patch is channel after channel, row after row of it, and patches go row by row") {
  const Matrix patches = patches_of(sizes(6, 2, 3), own_index(3, 6));
  CHECK(same_bits(patches.row(0), Matrix{{0, 1, 6, 7, 36, 37, 42, 43, 72, 73, 78, 79}}));
  CHECK(same_bits(patches.row(1), Matrix{{2, 3, 8, 9, 38, 39, 44, 45, 74, 75, 80, 81}}));
  CHECK(same_bits(patches.row(3), Matrix{{12, 13, 18, 19, 48, 49, 54, 55, 84, 85, 90, 91}}));
  CHECK(same_bits(patches.row(8), Matrix{{28, 29, 34, 35, 64, 65, 70, 71, 100, 101, 106, 107}}));
}

TEST_CASE("siglip: every pixel is in one patch, whatever the sizes") {
  for (const auto& [size, patch, channels] :
       {std::array<Index, 3>{6, 1, 1}, {6, 6, 2}, {15, 5, 4}, {8, 2, 3}}) {
    const VisionConfig c = sizes(size, patch, channels);
    const Matrix patches = patches_of(c, own_index(channels, size));
    const Index side = size / patch;
    REQUIRE(patches.rows() == side * side);
    REQUIRE(patches.cols() == channels * patch * patch);
    Index wrong = 0;
    for (Index channel = 0; channel < channels; ++channel)
      for (Index y = 0; y < size; ++y)
        for (Index x = 0; x < size; ++x)
          wrong += patches(y / patch * side + x / patch, (channel * patch + y % patch) * patch + x % patch) !=
                   static_cast<float>((channel * size + y) * size + x);
    CHECK(wrong == 0);
  }
}

TEST_CASE("siglip: an image of another size is refused") {
  CHECK_THROWS_WITH_AS(patches_of(sizes(6, 2, 3), Matrix(3, 35)),
                       "siglip pixels: expected [3, 36], found [3, 35]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(patches_of(sizes(6, 2, 3), Matrix(1, 36)),
                       "siglip pixels: expected [3, 36], found [1, 36]", std::invalid_argument);
}

TEST_CASE("siglip: sizes that make no patches or heads are refused with the field") {
  const auto patches = [](Index size, Index patch, Index channels) {
    return argument_error([&] { patches_of(sizes(size, patch, channels), Matrix::Zero(3, 36)); });
  };
  CHECK(patches(6, 2, 3).empty());
  CHECK(patches(0, 2, 3) == "image_size: expected 1 or more, found 0");
  CHECK(patches(-6, 2, 3) == "image_size: expected 1 or more, found -6");
  for (const Index patch : {-2, 0, 4, 7})
    CHECK(patches(6, patch, 3) ==
          "patch_size: expected a divisor of image_size 6, found " + std::to_string(patch));
  CHECK(patches(6, 2, 0) == "num_channels: expected 1 or more, found 0");
  for (const Index heads : {-3, 0, 2, 18})
    CHECK(argument_error([&] { siglip_attention(fixture_siglip_layer(0), Matrix::Zero(4, 9), heads); }) ==
          "num_attention_heads: expected a divisor of hidden_size 9, found " + std::to_string(heads));
}

TEST_CASE("siglip: a tower that lacks something is refused with the field") {
  const auto message = [](auto change) {
    Siglip w = fixture_vision().vision_tower;
    change(w);
    return argument_error([&] { siglip(w, image_pixels(0)); });
  };
  CHECK(message([](Siglip&) {}).empty());
  CHECK(message([](Siglip& w) { w.config = {}; }) == "num_channels: expected 1 or more, found 0");
  CHECK(message([](Siglip& w) { w.config.image_size = 12; }) ==
        "position_embedding: expected [16, 9], found [36, 9]");
  CHECK(message([](Siglip& w) { w.config.hidden_size = 0; }) ==
        "num_attention_heads: expected a divisor of hidden_size 0, found 3");
  CHECK(message([](Siglip& w) { w.patch_embedding.weight = {}; }) ==
        "patch_embedding weight: expected [9, 27], found [0, 0]");
  CHECK(message([](Siglip& w) { w.patch_embedding.weight.data = nullptr; }) ==
        "patch_embedding weight: expected a stored matrix, found none");
  CHECK(message([](Siglip& w) { w.patch_embedding.bias = {}; }) ==
        "patch_embedding bias: expected [9], found [0]");
  CHECK(message([](Siglip& w) { w.position_embedding = {}; }) ==
        "position_embedding: expected [36, 9], found [0, 0]");
  CHECK(message([](Siglip& w) { w.position_embedding.data = nullptr; }) ==
        "position_embedding: expected a stored matrix, found none");
  CHECK(message([](Siglip& w) { w.layers.pop_back(); }) == "layers: expected num_hidden_layers 2, found 1");
  CHECK(message([](Siglip& w) { w.post_layernorm.eps = LayerNorm().eps; }) ==
        "post_layernorm eps: expected 0 or more, found nan");
  CHECK(message([](Siglip& w) { w.post_layernorm.weight = Vector::Ones(8); }) ==
        "post_layernorm weight: expected [9], found [8]");
  CHECK(message([](Siglip& w) { w.layers[1].layer_norm1.bias = {}; }) ==
        "layer_norm1 bias: expected [9], found [0]");
  CHECK(message([](Siglip& w) { w.layers[1].layer_norm2 = {}; }) ==
        "layer_norm2 weight: expected [9], found [0]");
}

TEST_CASE("siglip: a linear layer that a layer lacks is refused with its name") {
  const std::array names{
      std::pair("q_proj", &SiglipLayer::q_proj), std::pair("k_proj", &SiglipLayer::k_proj),
      std::pair("v_proj", &SiglipLayer::v_proj), std::pair("out_proj", &SiglipLayer::out_proj),
      std::pair("fc1", &SiglipLayer::fc1),       std::pair("fc2", &SiglipLayer::fc2)};
  for (const auto& [name, linear_layer] : names) {
    for (const bool bias_only : {false, true}) {
      Siglip w = fixture_vision().vision_tower;
      BiasedLinear& lacking = w.layers[1].*linear_layer;
      lacking = bias_only ? BiasedLinear{lacking.weight, {}} : BiasedLinear{};
      const std::string message = argument_error([&] { siglip(w, image_pixels(0)); });
      CAPTURE(message);
      CHECK(
          message.starts_with(std::string(name) + (bias_only ? " bias: expected [" : " weight: expected ")));
    }
  }
  const StoredMatrix W(whole_numbers(3, 4, 1));
  CHECK(argument_error([&] {
          linear(Matrix::Zero(2, 4), BiasedLinear{W.weight(), Vector::Zero(2)});
        }) == "linear bias: expected [3], found [2]");
}

TEST_CASE("siglip: a linear layer adds its bias to every row") {
  const StoredMatrix W(whole_numbers(3, 4, 1));
  const Matrix x = whole_numbers(5, 4, 2);
  const Vector bias{{1, -2, 3}};
  const Matrix y = linear(x, BiasedLinear{W.weight(), bias});
  CHECK(same_bits(y, plain_linear(x, W.weight()).rowwise() + bias.transpose()));
}

TEST_CASE("siglip: the reference's pixels give the reference's patch embedding") {
  const Siglip& w = fixture_vision().vision_tower;
  for (const Index image : fixture_images()) {
    const Matrix x = linear(patches_of(w.config, image_pixels(image)), w.patch_embedding);
    CHECK(difference(x.transpose(), image_channels(tower_path + "embeddings.patch_embedding", image)) <=
          tight);
  }
}

TEST_CASE("siglip: without layers it is patch embedding, positions and the last norm") {
  Siglip w = fixture_vision().vision_tower;
  w.layers.clear();
  w.config.num_hidden_layers = 0;
  for (const Index image : fixture_images()) {
    Recorder recorder;
    const Trace trace = recorder.trace();
    const Matrix x = siglip(w, image_pixels(image), Tap(trace));
    CHECK(recorder.names ==
          std::vector<std::string>{"embeddings.patch_embedding", "embeddings", "post_layernorm"});
    const Matrix embeddings = image_tensor(tower_path + "embeddings", image);
    CHECK(difference(recorder.tensors.at("embeddings"), embeddings) <= tight);
    CHECK(difference(recorder.tensors.at("embeddings.patch_embedding"),
                     image_tensor(tower_path + "embeddings.patch_embedding", image)) <= tight);
    CHECK(difference(x, layer_norm(w.post_layernorm, embeddings)) <= 1e-5);
  }
}

TEST_CASE("siglip: attention gives every one of the reference's tensors") {
  for (const Index image : fixture_images())
    for (const Index i : {0, 1}) {
      const std::string at = siglip_layer_path(i);
      CAPTURE(at);
      Recorder recorder;
      const Trace trace = recorder.trace();
      const Matrix O =
          siglip_attention(fixture_siglip_layer(i), image_tensor(at + ".layer_norm1", image), 3, Tap(trace));
      CHECK(difference(O, image_tensor(at + ".self_attn", image)) <= tight);
      CHECK(recorder.names == std::vector<std::string>{"q_proj", "k_proj", "v_proj", "out_proj"});
      for (const auto& [reported, tensor] : recorder.tensors) {
        const std::string name = reported;
        CAPTURE(name);
        CHECK(difference(tensor, image_tensor(at + ".self_attn." + name, image)) <= tight);
      }
    }
}

TEST_CASE("siglip: the MLP gives every one of the reference's tensors") {
  for (const Index image : fixture_images())
    for (const Index i : {0, 1}) {
      const std::string at = siglip_layer_path(i);
      CAPTURE(at);
      Recorder recorder;
      const Trace trace = recorder.trace();
      const Matrix y =
          siglip_mlp(fixture_siglip_layer(i), image_tensor(at + ".layer_norm2", image), Tap(trace));
      CHECK(difference(y, image_tensor(at + ".mlp", image)) <= tight);
      CHECK(recorder.names == std::vector<std::string>{"fc1", "activation_fn", "fc2"});
      for (const auto& [reported, tensor] : recorder.tensors) {
        const std::string name = reported;
        CAPTURE(name);
        CHECK(difference(tensor, image_tensor(at + ".mlp." + name, image)) <= tight);
      }
    }
}

TEST_CASE("siglip: one layer makes the reference's output from the reference's input") {
  for (const Index image : fixture_images()) {
    CHECK(difference(run_layer(0, image_tensor(tower_path + "embeddings", image)),
                     image_tensor(siglip_layer_path(0), image)) <= tight);
    CHECK(difference(run_layer(1, image_tensor(siglip_layer_path(0), image)),
                     image_tensor(siglip_layer_path(1), image)) <= tight);
  }
}

TEST_CASE("siglip: the whole tower makes the reference's tensors, and none besides") {
  std::set<std::string> theirs;
  for (const auto& [name, tensor] : fixture_reference("images").tensors)
    if (name.starts_with(tower_path)) theirs.insert(name);
  for (const Index image : fixture_images()) {
    Recorder recorder;
    const Trace trace = recorder.trace();
    const Matrix x =
        siglip(fixture_vision().vision_tower, image_pixels(image), Tap(trace) / "model.encoder.vision_tower");
    CHECK(difference(x, image_tensor(tower_path + "post_layernorm", image)) <= 5e-6);
    CHECK(std::set<std::string>(recorder.names.begin(), recorder.names.end()) == theirs);
    CHECK(recorder.names.size() == theirs.size());
    for (const auto& [reported, tensor] : recorder.tensors) {
      const std::string name = reported;
      CAPTURE(name);
      CHECK(difference(tensor, image_tensor(name, image)) <= 5e-6);
    }
  }
}

TEST_CASE("siglip: attention by hand: scores over the root of head_dim, each head by itself") {
  const StoredMatrix one(Matrix::Identity(8, 8));
  const BiasedLinear same{one.weight(), Vector::Zero(8)};
  SiglipLayer w;
  w.q_proj = w.k_proj = w.v_proj = w.out_proj = same;
  const Matrix X = random_matrix(5, 8, 1) * 2;
  Eigen::MatrixXd expected(5, 8);
  for (const Index first : {0, 4}) {
    const Eigen::MatrixXd x = X.middleCols(first, 4).cast<double>();
    Eigen::MatrixXd weights = (x * x.transpose() / 2).array().exp();  // head_dim 4
    weights.array().colwise() /= weights.rowwise().sum().array();
    expected.middleCols(first, 4) = weights * x;
  }
  CHECK(difference(siglip_attention(w, X, 2), expected) <= tight);
}

TEST_CASE("siglip: attention over many patches is the plain one") {
  RandomVision random(large, 4, 8);
  const SiglipLayer& w = random.vision().vision_tower.layers[0];
  const Matrix X = random_matrix(600, 20, 7);
  const Matrix plain = plain_attention(linear(X, w.q_proj), linear(X, w.k_proj), linear(X, w.v_proj),
                                       {4, 4, 5}, 1 / std::sqrt(5.0f), AllVisible{});
  CHECK(difference(siglip_attention(w, X, 4), linear(plain, w.out_proj)) <= 1e-5);
}

TEST_CASE("siglip: many patches come in chunks, and these change no bit") {
  RandomVision random(large, 4, 8);
  const SiglipLayer& w = random.vision().vision_tower.layers[0];
  const Index patches = 600;
  const Matrix x = random_matrix(patches, 20, 7);
  const Matrix whole = siglip_layer(w, x, {}, [&](const Matrix& X) { return siglip_attention(w, X, 4); });
  const Heads heads = siglip_heads(4, 20);
  for (const Index blocks : {1, 2, 4, 7}) {
    const Progress progress;
    WeightedProgress work(progress, 0, 0);
    const std::vector<Chunk> chunks = chunks_of_size(patches, blocks * kernel::block_queries(heads));
    CAPTURE(chunks.size());
    CHECK(same_bits(siglip_layer_in_chunks(w, x, heads, chunks, work), whole));
  }
}

TEST_CASE("siglip: every patch sees every other, and its own position") {
  RandomVision random(large, 4, 8);
  Siglip& w = random.vision().vision_tower;
  const Matrix pixels = random_matrix(3, 48 * 48, 1), x = siglip(w, pixels);
  Matrix changed = pixels;
  changed(2, 48 * 48 - 1) += 1;
  CHECK(rows_that_differ(siglip(w, changed), x) == range(0, 575));
  CHECK(siglip(w, with_nan(pixels, 0, 0)).hasNaN());

  w.layers.clear();
  w.config.num_hidden_layers = 0;
  CHECK(rows_that_differ(siglip(w, changed), siglip(w, pixels)) == std::vector<Index>{575});
  const Matrix grey = siglip(w, Matrix::Zero(3, 48 * 48));
  CHECK(difference(grey.row(0), grey.row(1)) > 0.1);
}

TEST_CASE("siglip: each norm has its own eps") {
  Siglip w = fixture_vision().vision_tower;
  CHECK(w.post_layernorm.eps == 0.02f);
  for (const SiglipLayer& layer : w.layers) {
    CHECK(layer.layer_norm1.eps == 0.02f);
    CHECK(layer.layer_norm2.eps == 0.02f);
  }
  const Matrix x = siglip(w, image_pixels(0));
  w.layers[1].layer_norm2.eps = 1;
  CHECK(difference(siglip(w, image_pixels(0)), x) > 1e-3);
}

TEST_CASE("siglip: many patches in chunks, the same bits as with a trace, and progress is told after each") {
  VisionConfig c = large;
  c.image_size = 80;
  RandomVision random(c, 4, 8);
  const Siglip& w = random.vision().vision_tower;
  const Matrix pixels = random_matrix(3, 80 * 80, 1);
  Recorder recorder;
  recorder.wanted = false;
  const Trace trace = recorder.trace();
  std::vector<Index> told;
  const Matrix x = siglip(w, pixels, {}, [&](Index finished, Index) { told.push_back(finished); });
  CHECK(same_bits(x, siglip(w, pixels, Tap(trace))));
  CHECK(told.size() > 2 * (2 + 2));  // for each layer, keys in chunks, then the rest
  CHECK(std::is_sorted(told.begin(), told.end()));
  CHECK(told.back() == 2);
}

TEST_CASE("siglip: a trace changes no number") {
  Recorder recorder;
  const Trace trace = recorder.trace();
  const Siglip& w = fixture_vision().vision_tower;
  CHECK(same_bits(siglip(w, image_pixels(1), Tap(trace)), siglip(w, image_pixels(1))));
}

TEST_CASE(
    "siglip: progress is told before the first layer and after each, and may stop the work by throwing") {
  std::vector<Index> told;
  const Siglip& w = fixture_vision().vision_tower;
  siglip(w, image_pixels(0), {}, [&](Index finished, Index layers) {
    CHECK(layers == 2);
    told.push_back(finished);
  });
  CHECK(told == std::vector<Index>{0, 1, 2});
  const Progress stop = [](Index finished, Index) {
    if (finished == 1) throw Error("stopped");
  };
  CHECK_THROWS_AS(siglip(w, image_pixels(0), {}, stop), Error);
}

TEST_CASE("siglip: the same numbers for any number of threads") {
  VisionConfig c = large;
  c.image_size = 80;  // several chunks, which begin elsewhere for another number of threads
  RandomVision random(c, 4, 8);
  const Matrix pixels = random_matrix(3, 80 * 80, 1);
  CHECK(same_for_any_threads([&] { return siglip(random.vision().vision_tower, pixels); }));
}

}  // namespace test_siglip
