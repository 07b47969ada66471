// Merged attention: against the reference, the cached step against the equations, and what the encoder side
// must and must not know.
#include "t5gemma2/merged_attention.hpp"

#include "fixture.hpp"

namespace test_merged_attention {

using namespace t5gemma2;

namespace {

const std::vector<Index> windows{1, 2, 5, 6, no_window};

/// Decoder layer 0's weights with another window.
Attention with_window(Index window) {
  Attention w = fixture_layer(decoder_path, 0).self_attn;
  w.window = window;
  return w;
}

CosSin rope(Index first, Index rows) {
  return ropes_at(fixture_model().config.decoder, first, rows).sliding_attention;
}

Matrix merged(const Attention& w, const Matrix& X, const Matrix& H, Index first = 0) {
  return merged_attention(w, X, H, rope(first, X.rows()));
}

/// The same with the cache, in blocks of these sizes over and over.
Matrix in_steps(const Attention& w, const Matrix& X, const Matrix& H, const std::vector<Index>& blocks) {
  KvCache past(w.k_proj.rows, w.window);
  const KeyValue encoder_kv = encoder_keys_values(w, H);
  Matrix O(X.rows(), X.cols());
  Index first = 0;
  for (std::size_t i = 0; first < X.rows(); ++i) {
    const Index count = std::min(blocks[i % blocks.size()], X.rows() - first);
    O.middleRows(first, count) =
        merged_attention_step(w, X.middleRows(first, count), rope(first, count), past, encoder_kv);
    first += count;
  }
  return O;
}

}  // namespace

TEST_CASE("merged_attention: gives every one of the reference's tensors, of the encoder side too") {
  const Matrix H = reference_tensor(encoder_path + "norm");
  for (const Index i : {0, 1}) {
    const Layer& layer = fixture_layer(decoder_path, i);
    const std::string at = layer_path(decoder_path, i);
    CAPTURE(at);
    Recorder recorder;
    const Trace trace = recorder.trace();
    const Matrix O =
        merged_attention(layer.self_attn, reference_tensor(at + ".pre_self_attn_layernorm"), H,
                         ropes_at(fixture_model().config.decoder, 0, 7).of(layer.type), Tap(trace));
    CHECK(difference(O, reference_tensor(at + ".self_attn")) <= tight);
    CHECK(recorder.names == std::vector<std::string>{"q_proj", "q_norm", "k_proj", "k_norm", "v_proj",
                                                     "k_proj[1]", "k_norm[1]", "v_proj[1]", "weights",
                                                     "cross_weights", "o_proj"});
    for (const auto& entry : recorder.tensors) {
      CAPTURE(entry.first);
      CHECK(difference(entry.second, reference_tensor(at + ".self_attn." + entry.first)) <= tight);
    }
  }
}

TEST_CASE("merged_attention: the cached step makes the reference's output") {
  const Matrix H = reference_tensor(encoder_path + "norm");
  for (const Index i : {0, 1}) {
    const Layer& layer = fixture_layer(decoder_path, i);
    const Attention& w = layer.self_attn;
    const std::string at = layer_path(decoder_path, i);
    const Matrix X = reference_tensor(at + ".pre_self_attn_layernorm");
    KvCache past(16, w.window);
    const KeyValue encoder_kv = encoder_keys_values(w, H);
    for (Index token = 0; token < 7; ++token) {
      const CosSin here = ropes_at(fixture_model().config.decoder, token, 1).of(layer.type);
      const Matrix O = merged_attention_step(w, X.row(token), here, past, encoder_kv);
      CHECK(difference(O, reference_tensor(at + ".self_attn").row(token)) <= 2 * tight);
    }
  }
}

TEST_CASE("merged_attention: the encoder side is normalised by k_norm, its values are not") {
  const Matrix H = reference_tensor(encoder_path + "norm");
  for (const Index i : {0, 1}) {
    const KeyValue encoder_kv = encoder_keys_values(fixture_layer(decoder_path, i).self_attn, H);
    const std::string at = layer_path(decoder_path, i) + ".self_attn.";
    CHECK(difference(encoder_kv.K, reference_heads(at + "k_norm[1]")) <= tight);
    CHECK(difference(encoder_kv.V, reference_tensor(at + "v_proj[1]")) <= tight);
  }
  const KeyValue once = encoder_keys_values(with_window(5), H),
                 larger = encoder_keys_values(with_window(5), H * 64);
  CHECK(difference(larger.K, once.K) <= 1e-5);
  CHECK(difference(larger.V, once.V * 64) <= 1e-5);
}

TEST_CASE("merged_attention: encoder keys carry no position: the order of H's rows does not matter") {
  const Matrix X = random_matrix(9, 24, 1), H = random_matrix(13, 24, 2);
  const Matrix reversed = H.colwise().reverse();
  Matrix shifted(13, 24);
  shifted << H.bottomRows(6), H.topRows(7);
  for (const Index window : windows) {
    const Attention w = with_window(window);
    CHECK(difference(merged(w, X, reversed), merged(w, X, H)) <= tight);
    CHECK(difference(merged(w, X, shifted), merged(w, X, H)) <= tight);
    CHECK(difference(in_steps(w, X, reversed, {1}), in_steps(w, X, H, {1})) <= tight);
  }
  const KeyValue encoder_kv = encoder_keys_values(with_window(5), H),
                 of_one = encoder_keys_values(with_window(5), H.row(7));
  CHECK(difference(encoder_kv.K.row(7), of_one.K) <= tight);
}

TEST_CASE("merged_attention: decoder positions count among themselves by distance, against H absolutely") {
  const Matrix X = random_matrix(9, 24, 1), H = random_matrix(13, 24, 2);
  const Attention w = with_window(no_window);
  CHECK(difference(merged(w, X, Matrix(0, 24), 50), merged(w, X, Matrix(0, 24))) <= 1e-5);
  CHECK(difference(merged(w, X, H, 50), merged(w, X, H)) > 1e-3);
  CHECK(difference(merged(w, X.colwise().reverse(), H), merged(w, X, H)) > 1e-3);
}

TEST_CASE("merged_attention: a decoder token reaches itself and the window - 1 tokens after it") {
  const Index m = 300;
  const Matrix X = random_matrix(m, 24, 1), H = random_matrix(5, 24, 2);
  for (const Index window : windows)
    for (const Index token : {0, 7, 127, 128, 299}) {
      Matrix changed = X;
      changed.row(token) = random_matrix(1, 24, 3);
      const Attention w = with_window(window);
      const Index last = window == no_window ? m - 1 : std::min(m - 1, token + window - 1);
      CAPTURE(window);
      CAPTURE(token);
      CHECK(rows_that_differ(merged(w, X, H), merged(w, changed, H)) == range(token, last));
      CHECK(rows_that_differ(in_steps(w, X, H, {1}), in_steps(w, changed, H, {1})) == range(token, last));
      CHECK(rows_that_differ(in_steps(w, X, H, {7, 140}), in_steps(w, changed, H, {7, 140})) ==
            range(token, last));
    }
}

TEST_CASE("merged_attention: every row of H reaches every decoder token, whatever the window") {
  const Matrix X = random_matrix(40, 24, 1), H = random_matrix(50, 24, 2);
  for (const Index window : windows)
    for (const Index row : {0, 25, 49}) {
      Matrix changed = H;
      changed.row(row) = random_matrix(1, 24, 3);
      const Attention w = with_window(window);
      CHECK(rows_that_differ(merged(w, X, H), merged(w, X, changed)) == range(0, 39));
      CHECK(rows_that_differ(in_steps(w, X, H, {1}), in_steps(w, X, changed, {1})) == range(0, 39));
    }
}

TEST_CASE("merged_attention: cached steps equal the equations, for all windows, blocks and sizes of H") {
  const Matrix X = random_matrix(37, 24, 1);
  for (const Index window : windows)
    for (const Index n : {0, 1, 11})
      for (const std::vector<Index>& blocks :
           std::vector<std::vector<Index>>{{1}, {2}, {7}, {37}, {1, 2, 7}, {5, 1, 1, 13}}) {
        const Attention w = with_window(window);
        const Matrix H = random_matrix(n, 24, 2);
        CAPTURE(window);
        CAPTURE(n);
        CAPTURE(blocks[0]);
        CHECK(difference(in_steps(w, X, H, blocks), merged(w, X, H)) <= tight);
      }
}

TEST_CASE("merged_attention: equals the plain form of equation (4) over the concatenated keys") {
  const Matrix X = random_matrix(12, 24, 1), H = random_matrix(10, 24, 2);
  for (const Index window : windows) {
    const Attention w = with_window(window);
    const auto heads = [&](const Matrix& x, const Weight& W, const Vector& norm) {
      return rms_norm_heads(linear(x, W), norm, w.eps);
    };
    Matrix K(22, 16), V(22, 16);
    K << apply_rope(heads(X, w.k_proj, w.k_norm), rope(0, 12)), heads(H, w.k_proj, w.k_norm);
    V << linear(X, w.v_proj), linear(H, w.v_proj);
    const Matrix A =
        plain_attention(apply_rope(heads(X, w.q_proj, w.q_norm), rope(0, 12)), K, V, w.heads, w.scale,
                        [&](Index q, Index k) { return k >= 12 || (k <= q && q - k < window); });
    CHECK(difference(merged(w, X, H), linear(A, w.o_proj)) <= tight);
  }
}

TEST_CASE("merged_attention: no encoder rows are the same as encoder rows that nobody sees") {
  const Matrix X = random_matrix(12, 24, 1), H = random_matrix(10, 24, 2);
  for (const Index window : windows) {
    const Attention w = with_window(window);
    Matrix K(22, 16), V(22, 16);
    K << apply_rope(rms_norm_heads(linear(X, w.k_proj), w.k_norm, w.eps), rope(0, 12)),
        encoder_keys_values(w, H).K;
    V << linear(X, w.v_proj), encoder_keys_values(w, H).V;
    const Matrix Q = apply_rope(rms_norm_heads(linear(X, w.q_proj), w.q_norm, w.eps), rope(0, 12));
    const Matrix A = plain_attention(Q, K, V, w.heads, w.scale,
                                     [&](Index q, Index k) { return k < 12 && DecoderMask{window}(q, k); });
    CHECK(difference(merged(w, X, Matrix(0, 24)), linear(A, w.o_proj)) <= tight);
  }
}

TEST_CASE("merged_attention: without encoder rows no tensor of the encoder side is reported") {
  Recorder recorder;
  const Trace trace = recorder.trace();
  merged_attention(with_window(5), random_matrix(3, 24, 1), Matrix(0, 24), rope(0, 3), Tap(trace));
  CHECK(recorder.names ==
        std::vector<std::string>{"q_proj", "q_norm", "k_proj", "k_norm", "v_proj", "weights", "o_proj"});
}

TEST_CASE("merged_attention: a NaN in H reaches every token, one in a token all that see it, cached too") {
  const Matrix X = random_matrix(20, 24, 1), H = random_matrix(6, 24, 2);
  for (const Index window : windows) {
    const Attention w = with_window(window);
    for (const Index row : {0, 5}) {
      CHECK(rows_with_nan(merged(w, X, with_nan(H, row, 3))) == range(0, 19));
      for (const std::vector<Index>& blocks : std::vector<std::vector<Index>>{{1}, {7, 2}})
        CHECK(rows_with_nan(in_steps(w, X, with_nan(H, row, 3), blocks)) == range(0, 19));
    }
    const Matrix broken = with_nan(X, 8, 3);
    for (const Matrix& O :
         {merged(w, broken, H), in_steps(w, broken, H, {1}), in_steps(w, broken, H, {7, 2})})
      for (Index row = 8; row < 20; ++row)
        if (DecoderMask{window}(row, 8)) CHECK(O.row(row).hasNaN());
  }
}

TEST_CASE("merged_attention: an H of another width is refused") {
  CHECK_THROWS_WITH_AS(merged(with_window(5), Matrix(3, 24), Matrix(2, 23)),
                       "merged_attention H: expected [any, 24], found [2, 23]", std::invalid_argument);
}

TEST_CASE("merged_attention: the same numbers for any number of threads") {
  const Matrix X = random_matrix(150, 24, 1), H = random_matrix(210, 24, 2);
  CHECK(same_for_any_threads([&] { return merged(with_window(6), X, H); }));
  CHECK(same_for_any_threads([&] { return in_steps(with_window(6), X, H, {1, 60}); }));
}

TEST_CASE(
    "merged_attention: a cache of another window or width, and encoder keys of another width are refused") {
  const Attention w = with_window(5);
  const Matrix X = random_matrix(2, 24, 1);
  const KeyValue none = encoder_keys_values(w, Matrix(0, 24));
  const auto step = [&](KvCache past, const KeyValue& encoder_kv) {
    return merged_attention_step(w, X, rope(0, 2), past, encoder_kv);
  };
  CHECK(step(KvCache(16, 5), none).rows() == 2);
  CHECK_THROWS_WITH_AS(step(KvCache(16, 4), none), "KvCache window: expected the layer's, found 4",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(step(KvCache(8, 5), none), "attention K: expected [any, 16], found [0, 8]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(step(KvCache(16, 5), {}), "attention K: expected [any, 16], found [0, 0]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(step(KvCache(16, 5), {Matrix(3, 16), Matrix(2, 16)}),
                       "attention V: expected [3, 16], found [2, 16]", std::invalid_argument);
}

}  // namespace test_merged_attention
