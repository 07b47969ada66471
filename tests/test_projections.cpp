// Queries, keys and values: that they are what the equations say, and that nothing is computed from an
// Attention with a field that is not set.
#include "t5gemma2/projections.hpp"

#include "fixture.hpp"
#include "t5gemma2/encoder.hpp"
#include "t5gemma2/merged_attention.hpp"

namespace test_projections {

using namespace t5gemma2;

namespace {

const Attention& whole() { return fixture_layer(decoder_path, 0).self_attn; }

CosSin rope(Index rows) { return ropes_at(fixture_model().config.decoder, 3, rows).sliding_attention; }

/// `w` is refused by every function that takes one.
void check_refused(const Attention& w, const char* why) {
  const Matrix X = random_matrix(3, 24, 1), H = random_matrix(4, 24, 2);
  const KeyValue encoder_kv = encoder_keys_values(whole(), H);
  CHECK_THROWS_WITH_AS(queries(w, X, rope(3)), why, std::invalid_argument);
  CHECK_THROWS_WITH_AS(keys_values(w, X, rope(3)), why, std::invalid_argument);
  CHECK_THROWS_WITH_AS(encoder_keys_values(w, H), why, std::invalid_argument);
  CHECK_THROWS_WITH_AS(self_attention(w, X, rope(3)), why, std::invalid_argument);
  CHECK_THROWS_WITH_AS(merged_attention(w, X, H, rope(3)), why, std::invalid_argument);
  if (w.window < 1) return;  // the cache refuses it
  KvCache past(16, w.window);
  CHECK_THROWS_WITH_AS(merged_attention_step(w, X, rope(3), past, encoder_kv), why, std::invalid_argument);
}

template <class Change>
Attention changed(const Change& change) {
  Attention w = whole();
  change(w);
  return w;
}

}  // namespace

TEST_CASE("projections: queries and own keys are rotated, the encoder side's keys are not, values never") {
  const Attention& w = whole();
  const Matrix X = random_matrix(5, 24, 1);
  const KeyValue own = keys_values(w, X, rope(5)), encoder_side = encoder_keys_values(w, X);
  CHECK(same_bits(own.K, apply_rope(encoder_side.K, rope(5))));
  CHECK(difference(own.K, encoder_side.K) > 0.1);
  CHECK(same_bits(own.V, encoder_side.V));
  const Matrix Q = rms_norm_heads(linear(X, w.q_proj), w.q_norm, w.eps);
  CHECK(same_bits(queries(w, X, rope(5)), apply_rope(Q, rope(5))));
}

TEST_CASE("projections: no rows make no keys, and nothing is reported of them") {
  Recorder recorder;
  const Trace trace = recorder.trace();
  const KeyValue none = encoder_keys_values(whole(), Matrix(0, 24), Tap(trace));
  CHECK(none.K.rows() == 0);
  CHECK(none.K.cols() == 16);
  CHECK(none.V.cols() == 16);
  CHECK(recorder.names.empty());
}

TEST_CASE("projections: a field that is not set is refused by name, by all that take an Attention") {
  check_refused({}, "heads.kv: expected 1 or more, found 0");
  check_refused(changed([](Attention& w) { w.heads.query = 0; }),
                "heads.query: expected a multiple of heads.kv, found 0");
  check_refused(changed([](Attention& w) { w.heads.dim = 0; }), "heads.dim: expected 1 or more, found 0");
  check_refused(changed([](Attention& w) { w.eps = Attention().eps; }), "eps: expected 0 or more, found nan");
  check_refused(changed([](Attention& w) { w.scale = Attention().scale; }),
                "scale: expected a number above 0, found nan");
  check_refused(changed([](Attention& w) { w.scale = 0; }), "scale: expected a number above 0, found 0");
  check_refused(changed([](Attention& w) { w.window = 0; }), "window: expected 1 or more, found 0");
  check_refused(changed([](Attention& w) { w.q_norm = {}; }), "q_norm: expected [8], found [0]");
  check_refused(changed([](Attention& w) { w.k_norm = {}; }), "k_norm: expected [8], found [0]");
  check_refused(changed([](Attention& w) { w.q_proj = {}; }), "q_proj: expected [32, 24], found [0, 0]");
  check_refused(changed([](Attention& w) { w.k_proj = {}; }), "k_proj: expected [16, 24], found [0, 0]");
  check_refused(changed([](Attention& w) { w.v_proj = {}; }), "v_proj: expected [16, 24], found [0, 0]");
  check_refused(changed([](Attention& w) { w.o_proj = {}; }), "o_proj: expected [24, 32], found [0, 0]");
}

TEST_CASE("projections: heads of another size than the matrices' are refused") {
  check_refused(changed([](Attention& w) { w.heads = {8, 4, 4}; }), "q_norm: expected [4], found [8]");
  check_refused(changed([](Attention& w) {
                  w.heads = {4, 4, 8};
                }),
                "k_proj: expected [32, 24], found [16, 24]");
}

TEST_CASE("projections: a rope of other rows or another head size is refused") {
  const Matrix X = random_matrix(3, 24, 1);
  const RopeConfig config{.theta = 10000, .factor = 1};
  for (const CosSin& other : {CosSin{}, rope(2), rope_at(config, 4, 0, 3), rope_at(config, 16, 0, 3)}) {
    CHECK_THROWS_WITH_AS(queries(whole(), X, other), doctest::Contains("rope cos: expected [3, 4], found ["),
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(keys_values(whole(), X, other), doctest::Contains("rope cos: expected [3, 4]"),
                         std::invalid_argument);
  }
}

TEST_CASE("projections: heads of odd size cannot be rotated, and matrices without data are refused by name") {
  const Matrix X = random_matrix(3, 24, 1);
  const StoredMatrix Q(random_matrix(20, 24, 2)), O(random_matrix(24, 20, 3));
  Attention w = whole();
  w.heads = {4, 4, 5};
  w.q_proj = w.k_proj = w.v_proj = Q.weight();
  w.o_proj = O.weight();
  w.q_norm = w.k_norm = Vector::Zero(5);
  CHECK_THROWS_WITH_AS(queries(w, X, rope_at({.theta = 10000, .factor = 1}, 4, 0, 3)),
                       "heads.dim: expected an even number, for RoPE, found 5", std::invalid_argument);
  check_refused(changed([](Attention& a) { a.o_proj.data = nullptr; }),
                "o_proj: expected a stored matrix, found none");
  check_refused(changed([](Attention& a) { a.q_proj.type = {}; }),
                "q_proj: expected a storage type, found none");
  check_refused(changed([](Attention& a) { a.eps = std::numeric_limits<float>::infinity(); }),
                "eps: expected 0 or more, found inf");
}

}  // namespace test_projections
