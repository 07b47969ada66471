// GeGLU: every part against the reference.
#include "t5gemma2/feed_forward.hpp"

#include "fixture.hpp"

namespace test_feed_forward {

using namespace t5gemma2;

TEST_CASE("feed_forward: the reference's input gives every one of the reference's tensors") {
  for (const std::string& side : {encoder_path, decoder_path})
    for (const Index i : {0, 1}) {
      const std::string at = layer_path(side, i);
      CAPTURE(at);
      Recorder recorder;
      const Trace trace = recorder.trace();
      const Matrix y = feed_forward(fixture_layer(side, i).mlp,
                                    reference_tensor(at + ".pre_feedforward_layernorm"), Tap(trace));
      CHECK(difference(y, reference_tensor(at + ".mlp")) <= tight);
      CHECK(recorder.names == std::vector<std::string>{"gate_proj", "act_fn", "up_proj", "down_proj"});
      for (const auto& entry : recorder.tensors) {
        CAPTURE(entry.first);
        CHECK(difference(entry.second, reference_tensor(at + ".mlp." + entry.first)) <= tight);
      }
    }
}

TEST_CASE("feed_forward: gelu_tanh alone gives the reference's act_fn") {
  for (const std::string& side : {encoder_path, decoder_path})
    CHECK(difference(gelu_tanh(reference_tensor(side + "layers.0.mlp.gate_proj")),
                     reference_tensor(side + "layers.0.mlp.act_fn")) <= tight);
}

TEST_CASE("feed_forward: gelu_tanh equals the plain form, where it is cut into tasks too") {
  for (const Index cols : {1, 7, 130, 6000}) {
    const Matrix x = random_matrix(3, cols, 1) * 6;
    CAPTURE(cols);
    CHECK(difference(gelu_tanh(x), plain_gelu_tanh(x)) <= 3e-7);
  }
}

TEST_CASE("feed_forward: by hand, one number wide") {
  const StoredMatrix gate(Matrix{{1}}), up(Matrix{{10}}), down(Matrix{{3}});
  const FeedForward w{gate.weight(), up.weight(), down.weight()};
  CHECK(feed_forward(w, Matrix{{1}})(0, 0) == doctest::Approx(0.8411919906 * 30).epsilon(1e-6));
}

TEST_CASE("feed_forward: gelu_tanh treats all rows alike, also beyond the first block") {
  const Matrix x = random_matrix(53, 7, 1) * 3, y = gelu_tanh(x);
  for (Index row = 0; row < 53; ++row) CHECK(same_bits(y.row(row), gelu_tanh(x.row(row))));
}

TEST_CASE("feed_forward: a NaN makes its row NaN and no other") {
  const FeedForward& w = fixture_model().encoder.layers[0].mlp;
  for (const Index row : {0, 16, 39}) {
    CHECK(rows_with_nan(gelu_tanh(with_nan(random_matrix(40, 9, 1), row, 4))) == range(row, row));
    CHECK(rows_with_nan(feed_forward(w, with_nan(random_matrix(40, 24, 1), row, 4))) == range(row, row));
  }
}

TEST_CASE("feed_forward: the same numbers for any number of threads") {
  const Matrix x = random_matrix(250, 24, 1);
  CHECK(same_for_any_threads([&] { return feed_forward(fixture_model().decoder.layers[1].mlp, x); }));
}

TEST_CASE("feed_forward: matrices that are not set or do not fit each other are refused by name") {
  const FeedForward whole = fixture_layer(encoder_path, 0).mlp;
  const auto refused = [&](const auto& change, const char* why) {
    FeedForward w = whole;
    change(w);
    CHECK_THROWS_WITH_AS(feed_forward(w, random_matrix(3, 24, 1)), doctest::Contains(why),
                         std::invalid_argument);
  };
  refused([](FeedForward& w) { w.gate_proj = {}; }, "gate_proj: expected [any, 24], found [0, 0]");
  refused([](FeedForward& w) { w.up_proj = {}; }, "up_proj: expected [");
  refused([](FeedForward& w) { w.down_proj = {}; }, "down_proj: expected [24, ");
  refused([](FeedForward& w) { --w.up_proj.rows; }, "up_proj: expected [");
}

}  // namespace test_feed_forward
