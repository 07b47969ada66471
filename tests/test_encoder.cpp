// The encoder: self-attention, a layer and the whole against the reference, and how far a token reaches.
#include "t5gemma2/encoder.hpp"

#include "fixture.hpp"

namespace test_encoder {

using namespace t5gemma2;

namespace {

/// Layer 0's self-attention with another window, over X.
Matrix attend(const Matrix& X, Index window) {
  Attention w = fixture_layer(encoder_path, 0).self_attn;
  w.window = window;
  return self_attention(w, X, ropes_at(fixture_model().config.encoder, 0, X.rows()).sliding_attention);
}

}  // namespace

TEST_CASE("encoder: self_attention gives every one of the reference's tensors") {
  for (const Index i : {0, 1}) {
    const Layer& layer = fixture_layer(encoder_path, i);
    const std::string at = layer_path(encoder_path, i);
    CAPTURE(at);
    Recorder recorder;
    const Trace trace = recorder.trace();
    const Matrix O =
        self_attention(layer.self_attn, reference_tensor(at + ".pre_self_attn_layernorm"),
                       ropes_at(fixture_model().config.encoder, 0, 11).of(layer.type), Tap(trace));
    CHECK(difference(O, reference_tensor(at + ".self_attn")) <= tight);
    CHECK(recorder.names ==
          std::vector<std::string>{"q_proj", "q_norm", "k_proj", "k_norm", "v_proj", "weights", "o_proj"});
    for (const auto& entry : recorder.tensors) {
      CAPTURE(entry.first);
      CHECK(difference(entry.second, reference_tensor(at + ".self_attn." + entry.first)) <= tight);
    }
  }
}

TEST_CASE("encoder: one layer makes the reference's output") {
  for (const Index i : {0, 1}) {
    const Layer& layer = fixture_layer(encoder_path, i);
    const Matrix x =
        transformer_layer(layer, reference_layer_input(encoder_path, i), {}, [&](const Matrix& X) {
          return self_attention(layer.self_attn, X,
                                ropes_at(fixture_model().config.encoder, 0, 11).of(layer.type));
        });
    CHECK(difference(x, reference_tensor(layer_path(encoder_path, i))) <= tight);
  }
}

TEST_CASE("encoder: the whole encoder makes the reference's output, the last norm included") {
  const Matrix H = encoder(fixture_model().encoder, reference_tensor(encoder_path + "embed_tokens"));
  CHECK(difference(H, reference_tensor(encoder_path + "norm")) <= tight);
  CHECK(difference(reference_tensor(layer_path(encoder_path, 1)), H) > 0.1);
}

TEST_CASE("encoder: the last norm has the side's eps") {
  Encoder w = fixture_model().encoder;
  w.config.rms_norm_eps = 3;
  CHECK(difference(encoder(w, reference_tensor(encoder_path + "embed_tokens")),
                   rms_norm(reference_tensor(layer_path(encoder_path, 1)), w.norm, 3)) <= tight);
}

TEST_CASE("encoder: a token reaches w/2 rows back and (w-1)/2 ahead, for even and odd windows") {
  const Index n = 300;
  const Matrix X = random_matrix(n, 24, 1);
  for (const Index w : {1, 2, 3, 4, 5, 6, 17, 64})
    for (const Index token : {0, 3, 40, 127, 128, 299}) {
      Matrix changed = X;
      changed.row(token) = random_matrix(1, 24, 2);
      CAPTURE(w);
      CAPTURE(token);
      CHECK(rows_that_differ(attend(X, w), attend(changed, w)) ==
            range(std::max<Index>(0, token - w / 2), std::min(n - 1, token + (w - 1) / 2)));
    }
}

TEST_CASE("encoder: in a global layer every token reaches all") {
  const Matrix X = random_matrix(90, 24, 1);
  for (const Index token : {0, 45, 89}) {
    Matrix changed = X;
    changed.row(token) = random_matrix(1, 24, 2);
    CHECK(rows_that_differ(attend(X, no_window), attend(changed, no_window)) == range(0, 89));
  }
}

TEST_CASE(
    "encoder: positions count: the same tokens in another order give other rows, shifted ones the same") {
  const Matrix X = random_matrix(6, 24, 1);
  const Attention& w = fixture_layer(encoder_path, 1).self_attn;
  const auto at = [&](Index first, const Matrix& x) {
    return self_attention(w, x, ropes_at(fixture_model().config.encoder, first, 6).sliding_attention);
  };
  CHECK(difference(at(100, X), at(0, X)) <= 1e-5);
  CHECK(difference(at(0, X.colwise().reverse()).colwise().reverse().eval(), at(0, X)) > 1e-3);
}

TEST_CASE("encoder: each layer takes the window and the RoPE of its own type") {
  Encoder w = fixture_model().encoder;
  const Matrix x = random_matrix(40, 24, 1) * 3, H = encoder(w, x);
  w.layers[0].type = LayerType::full_attention;  // the window stays, the RoPE changes
  CHECK(difference(encoder(w, x), H) > 1e-3);
  w = fixture_model().encoder;
  w.layers[0].self_attn.window = no_window;
  CHECK(difference(encoder(w, x), H) > 1e-3);
}

TEST_CASE("encoder: a NaN in one token makes H NaN in it, and in all tokens behind a global layer") {
  for (const Index row : {0, 20, 39})
    CHECK(rows_with_nan(encoder(fixture_model().encoder, with_nan(random_matrix(40, 24, 1), row, 7))) ==
          range(0, 39));
  Encoder local = fixture_model().encoder;
  local.layers.resize(1);
  local.config.num_hidden_layers = 1;
  const std::vector<Index> rows = rows_with_nan(encoder(local, with_nan(random_matrix(40, 24, 1), 20, 7)));
  for (const Index row : range(18, 22)) CHECK(std::count(rows.begin(), rows.end(), row) == 1);
}

TEST_CASE("encoder: a trace changes no number, and weights are made only for who wants them") {
  const Matrix x = random_matrix(10, 24, 1);
  Recorder recorder;
  recorder.wanted = false;
  const Trace trace = recorder.trace();
  CHECK(same_bits(encoder(fixture_model().encoder, x, Tap(trace)), encoder(fixture_model().encoder, x)));
  CHECK(recorder.asked ==
        std::vector<std::string>{"layers.0.self_attn.weights", "layers.1.self_attn.weights"});
  CHECK(recorder.tensors.contains("layers.1.self_attn.o_proj"));
  CHECK(!recorder.tensors.contains("layers.1.self_attn.weights"));
}

TEST_CASE("encoder: many tokens come in chunks, and these change no bit") {
  const Index n = 300;
  const Matrix x = random_matrix(n, 24, 1);
  for (const Index i : {0, 1}) {
    const Layer& layer = fixture_layer(encoder_path, i);
    const CosSin rope = ropes_at(fixture_model().config.encoder, 0, n).of(layer.type);
    const Matrix whole = transformer_layer(
        layer, x, {}, [&](const Matrix& X) { return self_attention(layer.self_attn, X, rope); });
    for (const Index blocks : {1, 2, 3, 5, 6}) {
      const Index size = blocks * kernel::block_queries(layer.self_attn.heads);
      CAPTURE(size);
      const Progress progress;
      WeightedProgress work(progress, 0, 0);
      CHECK(same_bits(encoder_layer_in_chunks(layer, x, rope, chunks_of_size(n, size), work), whole));
    }
  }
}

TEST_CASE(
    "encoder: the same bits with a trace, which takes all tokens at once, and for any number of threads") {
  const Index n = 2 * chunk_rows + 3;
  const Matrix x = random_matrix(n, 24, 1);
  Recorder recorder;
  recorder.wanted = false;
  const Trace trace = recorder.trace();
  const Matrix whole = encoder(fixture_model().encoder, x, Tap(trace));
  CHECK(same_for_any_threads([&] {
    Matrix H = encoder(fixture_model().encoder, x);
    CHECK(same_bits(H, whole));
    return H;
  }));
}

TEST_CASE("encoder: progress counts tokens, by the work of layers, and may stop the work by throwing") {
  const auto told_of = [](Index n) {
    std::vector<Index> told;
    encoder(fixture_model().encoder, random_matrix(n, 24, 1), {}, [&](Index finished, Index all) {
      CHECK(all == n);
      told.push_back(finished);
    });
    CHECK(told.front() == 0);
    CHECK(told.back() == n);
    CHECK(std::is_sorted(told.begin(), told.end()));
    return told;
  };
  CHECK(told_of(4) == std::vector<Index>{0, 2, 4});
  const std::vector<Index> many = told_of(3000);
  REQUIRE(many.size() > 2 * (3 + 3));             // for each layer, keys in chunks, then the rest
  CHECK(many[(many.size() - 1) / 2] < 3000 / 4);  // the first layer is a local one
  const Progress stop = [](Index finished, Index) {
    if (finished > 0) throw Error("stopped");
  };
  CHECK_THROWS_AS(encoder(fixture_model().encoder, random_matrix(4, 24, 1), {}, stop), Error);
}

TEST_CASE("encoder: another width is refused") {
  CHECK_THROWS_WITH_AS(encoder(fixture_model().encoder, Matrix(3, 25)),
                       "encoder x: expected [any, 24], found [3, 25]", std::invalid_argument);
}

TEST_CASE("encoder: the same numbers for any number of threads") {
  const Matrix x = random_matrix(210, 24, 1);
  CHECK(same_for_any_threads([&] { return encoder(fixture_model().encoder, x); }));
}

TEST_CASE("encoder: a field that is not set is refused by name") {
  const auto refused = [&](const auto& forget, const char* why) {
    Encoder w = fixture_model().encoder;
    forget(w);
    CHECK_THROWS_WITH_AS(encoder(w, random_matrix(3, 24, 1)), why, std::invalid_argument);
  };
  refused([](Encoder& w) { w.layers.clear(); },
          "encoder layers: expected as many as num_hidden_layers, found 0");
  refused([](Encoder& w) { w.norm = {}; }, "encoder norm: expected [24], found [0]");
  refused([](Encoder& w) { w.config.rms_norm_eps = TextConfig().rms_norm_eps; },
          "encoder rms_norm_eps: expected 0 or more, found nan");
  refused([](Encoder& w) { w.config.sliding_attention = {}; },
          "rope theta: expected a number above 0, found 0");
}

}  // namespace test_encoder
