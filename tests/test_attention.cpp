// Attention given Q, K and V: against the reference's weights, the engine's form against the plain one, and
// what a NaN does.
#include "t5gemma2/attention.hpp"

#include "fixture.hpp"

namespace test_attention {

using namespace t5gemma2;

namespace {

/// Of some queries and keys made up.
struct Inputs {
  Heads n;
  Matrix Q, K, V;

  Inputs(Index m, Index keys, const Heads& counts)
      : n(counts),
        Q(random_matrix(m, n.query * n.dim, 1) * 2),
        K(random_matrix(keys, n.kv * n.dim, 2) * 2),
        V(random_matrix(keys, n.kv * n.dim, 3)) {}

  template <class Mask>
  Matrix fast(Mask mask) const {
    return attention(Q, K, V, n, 0.7f, mask);
  }
  template <class Mask>
  Matrix plain(Mask mask) const {
    return plain_attention(Q, K, V, n, 0.7f, mask);
  }
};

/// The queries of a block of attention.
Index queries_of_block(const Heads& heads) { return kernel::block_rows / heads.group(); }

/// A mask over queries and keys that begin so far into those of `whole`.
template <class Mask>
struct Later {
  Mask whole;
  Index queries, keys;

  bool operator()(Index query, Index key) const { return whole(query + queries, key + keys); }
};

template <class Mask>
void check(const Later<Mask>&, Index) {}

template <class Mask>
KeyRange visible_keys(const Later<Mask>&, Index, Index, Index keys) {
  return {0, keys};
}

template <class Mask>
bool all_visible(const Later<Mask>&, Index, Index, const KeyRange&) {
  return false;
}

const std::vector<Heads> head_counts{{1, 1, 2}, {3, 1, 7}, {4, 2, 8}, {6, 3, 5}, {5, 5, 10}, {2, 1, 33}};

/// The reference's q_norm or k_norm, rotated.
Matrix rotated(const std::string& side, Index layer, const std::string& name) {
  const Matrix x = reference_heads(layer_path(side, layer) + ".self_attn." + name);
  const TextConfig& config =
      side == encoder_path ? fixture_model().config.encoder : fixture_model().config.decoder;
  return apply_rope(x, ropes_at(config, 0, x.rows()).of(fixture_layer(side, layer).type));
}

std::vector<float> softmax_of(std::vector<float> scores) {
  softmax(scores.data(), std::ssize(scores));
  return scores;
}

constexpr float infinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("attention: the reference's q and k give the encoder's weights, its v the output") {
  for (const Index i : {0, 1}) {
    const Attention& w = fixture_layer(encoder_path, i).self_attn;
    const std::string at = layer_path(encoder_path, i) + ".self_attn.";
    CAPTURE(at);
    const Matrix Q = rotated(encoder_path, i, "q_norm"), K = rotated(encoder_path, i, "k_norm"),
                 V = reference_tensor(at + "v_proj");
    const EncoderMask mask{w.window};
    CHECK(difference(attention_probabilities(Q, K, w.heads, w.scale, mask),
                     reference_tensor(at + "weights")) <= tight);
    const Matrix A = attention(Q, w.heads, w.scale, KeySegment{K, V, mask});
    CHECK(difference(linear(A, w.o_proj), reference_tensor(at + "o_proj")) <= tight);
  }
}

TEST_CASE("attention: the reference's q and k of both sides give the decoder's weights and cross_weights") {
  for (const Index i : {0, 1}) {
    const Attention& w = fixture_layer(decoder_path, i).self_attn;
    const std::string at = layer_path(decoder_path, i) + ".self_attn.";
    CAPTURE(at);
    const Matrix Q = rotated(decoder_path, i, "q_norm"), K_x = rotated(decoder_path, i, "k_norm"),
                 V_x = reference_tensor(at + "v_proj"), K_h = reference_heads(at + "k_norm[1]"),
                 V_h = reference_tensor(at + "v_proj[1]");
    Matrix K(18, 16);
    K << K_x, K_h;
    const Matrix weights = attention_probabilities(Q, K, w.heads, w.scale, MergedMask{w.window, 7});
    CHECK(difference(weights.leftCols(7), reference_tensor(at + "weights")) <= tight);
    CHECK(difference(weights.rightCols(11), reference_tensor(at + "cross_weights")) <= tight);
    const Matrix A = attention(Q, w.heads, w.scale, KeySegment{K_x, V_x, DecoderMask{w.window}},
                               KeySegment{K_h, V_h, AllVisible{}});
    CHECK(difference(linear(A, w.o_proj), reference_tensor(at + "o_proj")) <= tight);
  }
}

TEST_CASE("attention: softmax by hand") {
  const std::vector<float> p = softmax_of({std::log(1.0f), std::log(2.0f), -infinity, std::log(5.0f)});
  CHECK(p[0] == doctest::Approx(0.125).epsilon(1e-6));
  CHECK(p[1] == doctest::Approx(0.25).epsilon(1e-6));
  CHECK(p[2] == 0);
  CHECK(p[3] == doctest::Approx(0.625).epsilon(1e-6));
  CHECK(softmax_of({7}) == std::vector<float>{1});
  CHECK(softmax_of({3e38f, 3e38f, -3e38f}) == std::vector<float>{0.5f, 0.5f, 0});
}

TEST_CASE("attention: a NaN anywhere in a softmax makes all of it NaN") {
  for (const std::size_t size : {1u, 2u, 15u, 16u, 17u, 40u})
    for (std::size_t at = 0; at < size; ++at) {
      std::vector<float> scores(size, 0.25f);
      scores[at] = nan_value;
      for (const float p : softmax_of(scores)) CHECK(std::isnan(p));
    }
}

TEST_CASE(
    "attention: a softmax of nothing visible, or of an infinite score, is NaN and never a number made up") {
  for (const float p : softmax_of({-infinity, -infinity})) CHECK(std::isnan(p));
  CHECK(std::isnan(softmax_of({infinity, 0})[0]));
}

TEST_CASE("attention: weights of a row sum to 1 and are 0 where the mask hides the key") {
  const Inputs x(9, 9, {4, 2, 6});
  const EncoderMask mask{4};
  const Matrix weights = attention_probabilities(x.Q, x.K, x.n, 0.7f, mask);
  for (Index row = 0; row < weights.rows(); ++row) {
    CHECK(weights.row(row).sum() == doctest::Approx(1));
    for (Index key = 0; key < 9; ++key) CHECK((weights(row, key) > 0) == mask(row % 9, key));
  }
}

TEST_CASE("attention: consecutive query heads share a key/value head") {
  Inputs x(3, 5, {6, 2, 4});
  x.V.leftCols(4).setConstant(10);
  x.V.rightCols(4).setConstant(20);
  for (const Matrix& A : {x.fast(AllVisible{}), x.plain(AllVisible{})}) {
    CHECK(difference(A.leftCols(12), Matrix::Constant(3, 12, 10)) <= 1e-6);
    CHECK(difference(A.rightCols(12), Matrix::Constant(3, 12, 20)) <= 1e-6);
  }
  // The keys too: key 0 answers the first three heads alone, key 1 the others.
  x.Q.setOnes();
  x.K.setConstant(-50);
  x.K.row(0).head(4).setConstant(50);
  x.K.row(1).tail(4).setConstant(50);
  x.V.row(0).setConstant(1);
  x.V.row(1).setConstant(2);
  for (const Matrix& A : {x.fast(AllVisible{}), x.plain(AllVisible{})}) {
    CHECK(same_bits(A.leftCols(12), Matrix::Constant(3, 12, 1)));
    CHECK(same_bits(A.rightCols(12), Matrix::Constant(3, 12, 2)));
  }
}

TEST_CASE("attention: the engine's form equals the plain form with the encoder's and the decoder's mask") {
  for (const Heads& n : head_counts)
    for (const Index size : {1, 2, 5, 16, 17, 33, 70})
      for (const Index window : {Index{1}, Index{2}, Index{5}, Index{6}, Index{40}, no_window}) {
        const Inputs x(size, size, n);
        CAPTURE(n.query);
        CAPTURE(size);
        CAPTURE(window);
        CHECK(difference(x.fast(EncoderMask{window}), x.plain(EncoderMask{window})) <= tight);
        CHECK(difference(x.fast(DecoderMask{window}), x.plain(DecoderMask{window})) <= tight);
      }
}

TEST_CASE("attention: the engine's form equals the plain form where queries are cut into blocks") {
  for (const Heads& n : head_counts) {
    const Index block = queries_of_block(n);
    for (const Index size : {block - 1, block, block + 1, Index{200}}) {
      const Inputs x(size, size, n);
      CAPTURE(n.query);
      CAPTURE(size);
      CHECK(difference(x.fast(EncoderMask{20}), x.plain(EncoderMask{20})) <= tight);
      CHECK(difference(x.fast(DecoderMask{no_window}), x.plain(DecoderMask{no_window})) <= tight);
    }
  }
}

TEST_CASE("attention: keys in panels equal the plain form for heads of any size and any number of keys") {
  for (const Heads& n : std::vector<Heads>{{2, 1, 72}, {6, 2, 10}, {8, 1, 1}})
    for (const Index keys : {31, 128, 129, 161, 300}) {
      const Inputs x(queries_of_block(n) + 3, keys, n);
      CAPTURE(n.dim);
      CAPTURE(keys);
      CHECK(difference(x.fast(AllVisible{}), x.plain(AllVisible{})) <= 1e-5);
    }
}

TEST_CASE("attention: windows begin and end anywhere in a tile of keys") {
  const Heads n{4, 2, 10};
  const Inputs x(200, 200, n);
  for (const Index window : {1, 32, 33, 64, 128, 129, 180}) {
    CAPTURE(window);
    CHECK(difference(x.fast(EncoderMask{window}), x.plain(EncoderMask{window})) <= tight);
    CHECK(difference(x.fast(DecoderMask{window}), x.plain(DecoderMask{window})) <= tight);
  }
}

TEST_CASE("attention: one block of queries over keys that are cut into chunks equals the plain form") {
  for (const Heads& n : std::vector<Heads>{{4, 2, 10}, {2, 1, 72}})
    for (const Index m : {1, 5})
      for (const Index keys : {511, 512, 513, 1500}) {
        const Inputs x(m, keys, n);
        CAPTURE(n.dim);
        CAPTURE(m);
        CAPTURE(keys);
        CHECK(difference(x.fast(AllVisible{}), x.plain(AllVisible{})) <= 1e-5);
        const Later<EncoderMask> late{{300}, keys - 100, 0};
        CHECK(difference(x.fast(late), x.plain(late)) <= 1e-5);
      }
}

TEST_CASE("attention: a query gives the same in one block, as in decoding, and in many") {
  for (const Heads& n : std::vector<Heads>{{4, 2, 10}, {2, 1, 72}, {3, 1, 7}}) {
    const Inputs x(250, 650, n);
    const Index block = queries_of_block(n);
    REQUIRE(block < 250);
    for (const Index window : {Index{40}, Index{128}, no_window}) {
      const Matrix A = x.fast(MergedMask{window, 250});
      for (const Index first : {Index{0}, Index{90}, 250 - block}) {
        const Later<MergedMask> mask{{window, 250}, first, 0};
        CAPTURE(n.dim);
        CAPTURE(window);
        CHECK(difference(attention(x.Q.middleRows(first, block), x.K, x.V, n, 0.7f, mask),
                         A.middleRows(first, block)) <= tight);
      }
    }
  }
}

TEST_CASE("attention: some of the queries over keys in panels, filled in parts, give the same bits as all") {
  for (const Heads& n : std::vector<Heads>{{4, 2, 10}, {2, 1, 72}, {3, 1, 7}}) {
    const Inputs x(250, 300, n);
    const Index block = queries_of_block(n);
    kernel::KeyPanels keys(300, n);
    keys.put(0, x.K.topRows(128), x.V.topRows(128));
    keys.put(128, x.K.bottomRows(172), x.V.bottomRows(172));
    for (const Index window : {Index{40}, no_window}) {
      const EncoderMask mask{window};
      const Matrix A = x.fast(mask);
      for (const Index first : {Index{0}, block, 2 * block})
        for (const Index count : {block, 250 - first}) {
          CAPTURE(n.dim);
          CAPTURE(first);
          CHECK(same_bits(attention(x.Q.middleRows(first, count), first, keys, n, 0.7f, mask),
                          A.middleRows(first, count)));
        }
    }
  }
}

TEST_CASE("attention: probabilities far from each other and large scores stay as near to the plain form") {
  Inputs x(150, 400, {4, 2, 8});
  x.Q *= 10;  // scores to about 400
  for (const Index m : {2, 150}) {
    Inputs y = x;
    y.Q = x.Q.topRows(m);
    CHECK(difference(y.fast(AllVisible{}), y.plain(AllVisible{})) <= 1e-4);
  }
}

TEST_CASE("attention: the engine's form equals the plain form with merged attention's mask") {
  for (const Heads& n : head_counts)
    for (const Index m : {1, 3, 70})
      for (const Index keys : {1, 8, 19, 100}) {
        const Inputs x(m, m + keys, n);
        CAPTURE(n.query);
        CAPTURE(m);
        CAPTURE(keys);
        CHECK(difference(x.fast(MergedMask{4, m}), x.plain(MergedMask{4, m})) <= tight);
        CHECK(difference(x.fast(AllVisible{}), x.plain(AllVisible{})) <= tight);
      }
}

TEST_CASE("attention: several segments of keys are one softmax over them all") {
  const Index keys = 90;
  for (const Heads& n : head_counts)
    for (const Index m : {1, 7, 90})
      for (const auto& cuts :
           {std::pair<Index, Index>{0, 0}, {0, 90}, {1, 2}, {16, 33}, {40, 89}, {89, 90}}) {
        const Index first = cuts.first, second = cuts.second;
        const Inputs x(m, keys, n);
        const MergedMask mask{30, m};
        const auto K = [&](Index begin, Index end) { return x.K.middleRows(begin, end - begin); };
        const auto V = [&](Index begin, Index end) { return x.V.middleRows(begin, end - begin); };
        using Part = Later<MergedMask>;
        const Matrix A = attention(x.Q, n, 0.7f, KeySegment{K(0, first), V(0, first), Part{mask, 0, 0}},
                                   KeySegment{K(first, second), V(first, second), Part{mask, 0, first}},
                                   KeySegment{K(second, keys), V(second, keys), Part{mask, 0, second}});
        CAPTURE(first);
        CAPTURE(second);
        CHECK(difference(A, x.plain(mask)) <= tight);
      }
}

TEST_CASE("attention: keys that nobody sees are passed over, and change nothing but the order of sums") {
  // The same window, once with and once without the ranges that let attention pass over keys.
  for (const Heads& n : head_counts) {
    const Inputs x(200, 200, n);
    for (const Index window : {1, 6, 30})
      CHECK(difference(x.fast(DecoderMask{window}), x.fast(Later<DecoderMask>{{window}, 0, 0})) <= 1e-6);
  }
}

TEST_CASE("attention: keys by the ten thousands") {
  const Inputs x(30, 60000, {4, 1, 4});
  REQUIRE(queries_of_block(x.n) < 30);
  CHECK(difference(x.fast(AllVisible{}), x.plain(AllVisible{})) <= 1e-5);
  Inputs few = x;
  few.Q = x.Q.topRows(2);
  CHECK(difference(few.fast(AllVisible{}), few.plain(AllVisible{})) <= 1e-5);
}

TEST_CASE("attention: a NaN in Q makes NaN of its row's head, and of nothing else") {
  for (const Index m : {1, 5, 70, 150}) {
    Inputs x(m, 80, {4, 2, 6});
    x.Q(m - 1, 8) = nan_value;  // head 1
    for (const Matrix& A : {x.fast(AllVisible{}), x.plain(AllVisible{})}) {
      CHECK(rows_with_nan(A) == range(m - 1, m - 1));
      CHECK(rows_with_nan(A.transpose()) == range(6, 11));
    }
  }
}

TEST_CASE("attention: a NaN in a key or a value makes NaN of every row that sees it") {
  for (const Index size : {1, 5, 40, 130})
    for (const Index key : {Index{0}, size / 2, size - 1})
      for (const Index window : {Index{3}, no_window}) {
        Inputs bad_key(size, size, {4, 2, 6}), bad_value = bad_key;
        bad_key.K(key, 3) = nan_value;
        bad_value.V(key, 9) = nan_value;
        const DecoderMask mask{window};
        for (const Matrix& A :
             {bad_key.fast(mask), bad_key.plain(mask), bad_value.fast(mask), bad_value.plain(mask)})
          for (Index query = 0; query < size; ++query)
            if (mask(query, key)) CHECK(A.row(query).hasNaN());
      }
}

TEST_CASE("attention: a key that a row does not see cannot change it, however large") {
  const Inputs x(60, 60, {4, 2, 6});
  Inputs y = x;
  y.K.row(30).setConstant(1e15f);
  y.V.row(30).setConstant(-1e15f);
  CHECK(rows_that_differ(x.fast(DecoderMask{5}), y.fast(DecoderMask{5})) == range(30, 34));
  CHECK(rows_that_differ(x.fast(EncoderMask{5}), y.fast(EncoderMask{5})) == range(28, 32));
  CHECK(rows_that_differ(x.fast(EncoderMask{6}), y.fast(EncoderMask{6})) == range(27, 32));
}

TEST_CASE("attention: shapes that do not fit are refused, no queries are fine") {
  const Inputs x(4, 6, {4, 2, 6});
  const auto run = [&](const Matrix& Q, const Matrix& K, const Matrix& V) {
    return attention(Q, x.n, 1, KeySegment{K, V, AllVisible{}});
  };
  CHECK(run(Matrix(0, 24), x.K, x.V).rows() == 0);
  CHECK_THROWS_AS(run(x.Q.leftCols(18), x.K, x.V), std::invalid_argument);
  CHECK_THROWS_AS(run(x.Q, x.K.leftCols(6), x.V), std::invalid_argument);
  CHECK_THROWS_AS(run(x.Q, x.K, x.V.topRows(5)), std::invalid_argument);
  CHECK_THROWS_AS(attention_probabilities(x.Q, x.K.leftCols(6), x.n, 1, AllVisible{}), std::invalid_argument);
}

TEST_CASE("attention: the same numbers for any number of threads") {
  for (const Heads& n : head_counts) {
    const Inputs x(300, 300, n);
    CHECK(same_for_any_threads([&] { return x.fast(EncoderMask{50}); }));
  }
}

TEST_CASE("attention: heads, scales and shapes that do not fit are refused, in both forms") {
  const Matrix Q = random_matrix(3, 16, 1), K = random_matrix(5, 8, 2), V = random_matrix(5, 8, 3);
  const auto refused = [&](const Heads& heads, float scale, const Matrix& keys, const Matrix& values,
                           const char* why) {
    CHECK_THROWS_WITH_AS(attention(Q, keys, values, heads, scale, AllVisible{}), why, std::invalid_argument);
    CHECK_THROWS_WITH_AS(plain_attention(Q, keys, values, heads, scale, AllVisible{}), why,
                         std::invalid_argument);
  };
  CHECK(attention(Q, K, V, {4, 2, 4}, 0.5f, AllVisible{}).rows() == 3);
  refused({}, 0.5f, K, V, "heads.kv: expected 1 or more, found 0");
  refused({0, 2, 4}, 0.5f, K, V, "heads.query: expected a multiple of heads.kv, found 0");
  refused({3, 2, 4}, 0.5f, K, V, "heads.query: expected a multiple of heads.kv, found 3");
  refused({4, 2, 0}, 0.5f, K, V, "heads.dim: expected 1 or more, found 0");
  refused({4, 2, 4}, 0, K, V, "attention scale: expected a number above 0, found 0");
  refused({4, 2, 4}, unset, K, V, "attention scale: expected a number above 0, found nan");
  refused({4, 2, 4}, infinity, K, V, "attention scale: expected a number above 0, found inf");
  refused({4, 4, 4}, 0.5f, K, V, "attention K: expected [any, 16], found [5, 8]");
  refused({4, 2, 8}, 0.5f, K, V, "attention Q: expected [any, 32], found [3, 16]");
  refused({4, 2, 4}, 0.5f, K, V.topRows(4), "attention V: expected [5, 8], found [4, 8]");
  refused({4, 2, 4}, 0.5f, Matrix(0, 8), Matrix(0, 8), "attention K: expected a key or more, found none");
}

TEST_CASE("attention: a mask with a field that is not set, or without a visible key, is refused") {
  const Inputs x(3, 5, {4, 2, 4});
  const auto refused = [](const auto& attend, const char* why) {
    CHECK_THROWS_WITH_AS(attend(), why, std::invalid_argument);
  };
  refused([&] { x.fast(DecoderMask{0}); }, "DecoderMask window: expected 1 or more, found 0");
  refused([&] { x.fast(EncoderMask{-10}); }, "EncoderMask window: expected 1 or more, found -10");
  refused([&] { x.fast(MergedMask{0, 3}); }, "MergedMask window: expected 1 or more, found 0");
  refused([&] { x.fast(MergedMask{4}); }, "MergedMask m: expected 0 to the number of keys, found -1");
  refused([&] { x.fast(MergedMask{4, 6}); }, "MergedMask m: expected 0 to the number of keys, found 6");
  const Inputs longer(20, 5, {4, 2, 4});
  const kernel::KeyPanels keys(5, x.n), nothing(0, x.n);
  refused([&] { attention(x.Q, 0, keys, x.n, 0.7f, EncoderMask{0}); },
          "EncoderMask window: expected 1 or more, found 0");
  refused([&] { attention(x.Q, 0, keys, x.n, unset, EncoderMask{3}); },
          "attention scale: expected a number above 0, found nan");
  refused([&] { attention(x.Q, 0, nothing, x.n, 0.7f, EncoderMask{3}); },
          "attention K: expected a key or more, found none");
  const char* const none = "attention mask: expected a visible key for every query, found none";
  refused([&] { longer.fast(DecoderMask{4}); }, none);
  refused([&] { longer.plain(DecoderMask{4}); }, none);
}

}  // namespace test_attention
