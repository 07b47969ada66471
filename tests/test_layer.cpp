// A layer around what attends: norms before and after, the residual stream, and which rotation is whose.
#include "t5gemma2/layer.hpp"

#include "fixture.hpp"

namespace test_layer {

using namespace t5gemma2;

TEST_CASE("layer: given the reference's attention, a layer makes the reference's output on both sides") {
  for (const std::string& side : {encoder_path, decoder_path})
    for (const Index i : {0, 1}) {
      const std::string at = layer_path(side, i);
      CAPTURE(at);
      Recorder recorder;
      const Trace trace = recorder.trace();
      Matrix attended;
      const Matrix x = transformer_layer(fixture_layer(side, i), reference_layer_input(side, i),
                                         Tap(trace) / "here", [&](const Matrix& h) {
                                           attended = h;
                                           return reference_tensor(at + ".self_attn");
                                         });
      CHECK(difference(x, reference_tensor(at)) <= tight);
      CHECK(difference(attended, reference_tensor(at + ".pre_self_attn_layernorm")) <= tight);
      for (const auto& entry : recorder.tensors) {
        CAPTURE(entry.first);
        CHECK(difference(entry.second, reference_tensor(at + entry.first.substr(4))) <= tight);
      }
    }
}

TEST_CASE("layer: taps come in forward order, the layer itself last") {
  Recorder recorder;
  const Trace trace = recorder.trace();
  transformer_layer(fixture_layer(encoder_path, 0), random_matrix(3, 24, 1), Tap(trace) / "L",
                    [](const Matrix& h) { return h; });
  CHECK(recorder.names == std::vector<std::string>{"L.pre_self_attn_layernorm", "L.self_attn",
                                                   "L.post_self_attn_layernorm",
                                                   "L.pre_feedforward_layernorm", "L.mlp.gate_proj",
                                                   "L.mlp.act_fn", "L.mlp.up_proj", "L.mlp.down_proj",
                                                   "L.mlp", "L.post_feedforward_layernorm", "L"});
}

TEST_CASE("layer: what attention returns is normalised before it is added") {
  const Layer& w = fixture_layer(decoder_path, 0);
  const Matrix x = random_matrix(5, 24, 1), a = random_matrix(5, 24, 2) * 100;
  const auto run = [&](float factor) {
    return transformer_layer(w, x, {}, [&](const Matrix&) -> Matrix { return a * factor; });
  };
  CHECK(difference(run(1), run(1000)) <= 1e-5);
  CHECK(difference(run(1), run(-1)) > 0.1);
}

TEST_CASE("layer: each of the four norms uses the layer's eps") {
  Layer w = fixture_layer(encoder_path, 0);
  w.eps = 1e12f;  // every norm then gives next to nothing, and so the layer adds nothing
  const Matrix x = random_matrix(5, 24, 1);
  const Matrix y = transformer_layer(w, x, {}, [](const Matrix& h) {
    CHECK(h.cwiseAbs().maxCoeff() < 1e-4f);
    return Matrix::Ones(5, 24);
  });
  CHECK(difference(y, x) <= 1e-4);
}

TEST_CASE("layer: a NaN makes its row NaN and no other") {
  for (const Index row : {0, 4})
    CHECK(rows_with_nan(transformer_layer(fixture_layer(encoder_path, 1),
                                          with_nan(random_matrix(5, 24, 1), row, 3), {},
                                          [](const Matrix& h) { return h; })) == range(row, row));
}

TEST_CASE("layer: local layers rotate by sliding_attention's RoPE, global ones by full_attention's") {
  TextConfig config;
  config.head_dim = 8;
  config.sliding_attention = {.theta = 100, .factor = 1};
  config.full_attention = {.theta = 5000, .factor = 4};
  const Ropes ropes = ropes_at(config, 3, 10);
  const CosSin local = rope_at({.theta = 100, .factor = 1}, 8, 3, 10),
               global = rope_at({.theta = 5000, .factor = 4}, 8, 3, 10);
  CHECK(same_bits(ropes.of(LayerType::sliding_attention).cos, local.cos));
  CHECK(same_bits(ropes.of(LayerType::sliding_attention).sin, local.sin));
  CHECK(same_bits(ropes.of(LayerType::full_attention).cos, global.cos));
  CHECK(same_bits(ropes.of(LayerType::full_attention).sin, global.sin));
}

TEST_CASE("layer: a field that is not set is refused by name") {
  const Layer whole = fixture_layer(encoder_path, 0);
  const auto refused = [&](const auto& forget, const char* why) {
    Layer w = whole;
    forget(w);
    CHECK_THROWS_WITH_AS(transformer_layer(w, random_matrix(3, 24, 1), {}, [](const Matrix& h) { return h; }),
                         why, std::invalid_argument);
  };
  refused([](Layer& w) { w.type = {}; },
          "layer type: expected sliding_attention or full_attention, found none");
  refused([](Layer& w) { w.eps = Layer().eps; }, "layer eps: expected 0 or more, found nan");
  refused([](Layer& w) { w.pre_self_attn_layernorm = {}; },
          "pre_self_attn_layernorm: expected [24], found [0]");
  refused([](Layer& w) { w.post_self_attn_layernorm = {}; },
          "post_self_attn_layernorm: expected [24], found [0]");
  refused([](Layer& w) { w.pre_feedforward_layernorm = {}; },
          "pre_feedforward_layernorm: expected [24], found [0]");
  refused([](Layer& w) { w.post_feedforward_layernorm = {}; },
          "post_feedforward_layernorm: expected [24], found [0]");
  refused([](Layer& w) { w.mlp.gate_proj = {}; }, "gate_proj: expected [any, 24], found [0, 0]");
  CHECK_THROWS_WITH_AS(
      transformer_layer(whole, random_matrix(3, 24, 1), {}, [](const Matrix&) { return Matrix(3, 23); }),
      "what attends: expected [3, 24], found [3, 23]", std::invalid_argument);
}

}  // namespace test_layer
