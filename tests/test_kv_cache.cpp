// The ring of local layers and the growing cache of global ones.
#include "t5gemma2/kv_cache.hpp"

#include <set>

#include "fixture.hpp"

namespace test_kv_cache {

using namespace t5gemma2;

namespace {

/// Keys that hold their token's position in each column, for tokens first .. first + count - 1.
Matrix numbered(Index first, Index count) {
  Matrix x(count, 3);
  for (Index row = 0; row < count; ++row) x.row(row).setConstant(static_cast<float>(first + row));
  return x;
}

/// A cache that has seen `tokens` tokens, appended in blocks of `block`; values are keys + 1000.
KvCache filled(Index window, Index tokens, Index block) {
  KvCache cache(3, window);
  for (Index first = 0; first < tokens; first += block) {
    const Matrix K = numbered(first, std::min(block, tokens - first));
    cache.append(K, K.array() + 1000);
  }
  return cache;
}

}  // namespace

TEST_CASE("kv_cache: the ring of the picture: window 4 after tokens 0 to 4") {
  const KvCache cache = filled(4, 5, 1);
  CHECK(same_bits(cache.K(), Matrix{{3, 3, 3}, {4, 4, 4}, {2, 2, 2}}));
  CHECK(cache.position(0) == 3);
  CHECK(cache.position(1) == 4);
  CHECK(cache.position(2) == 2);
}

TEST_CASE("kv_cache: a ring keeps exactly the last window - 1 tokens, and knows their positions") {
  for (const Index window : {1, 2, 3, 5, 6})
    for (Index tokens = 0; tokens <= 20; ++tokens)
      for (const Index block : {1, 2, 4, 7, 20}) {
        const KvCache cache = filled(window, tokens, block);
        CAPTURE(window);
        CAPTURE(tokens);
        CAPTURE(block);
        REQUIRE(cache.kept() == std::min(tokens, window - 1));
        std::set<Index> kept;
        for (Index slot = 0; slot < cache.kept(); ++slot) {
          kept.insert(cache.position(slot));
          CHECK(same_bits(cache.K().row(slot), numbered(cache.position(slot), 1)));
          CHECK(same_bits(cache.V().row(slot), numbered(cache.position(slot) + 1000, 1)));
        }
        const std::vector<Index> last = range(tokens - cache.kept(), tokens - 1);
        CHECK(kept == std::set<Index>(last.begin(), last.end()));
      }
}

TEST_CASE("kv_cache: a global layer keeps all, in order") {
  for (const Index block : {1, 7, 100}) {
    const KvCache cache = filled(no_window, 100, block);
    CHECK(same_bits(cache.K(), numbered(0, 100)));
    CHECK(same_bits(cache.V(), numbered(1000, 100)));
    for (const Index slot : {0, 50, 99}) CHECK(cache.position(slot) == slot);
  }
}

TEST_CASE("kv_cache: with window 1 nothing is kept") {
  const KvCache cache = filled(1, 9, 2);
  CHECK(cache.kept() == 0);
  CHECK(cache.K().cols() == 3);
}

TEST_CASE("kv_cache: the mask shows each query the kept tokens inside its window and no other") {
  for (const Index window : {2, 3, 5, 6})
    for (Index tokens = 0; tokens <= 15; ++tokens) {
      const KvCache cache = filled(window, tokens, 1);
      const CacheMask mask{cache};
      for (Index query = 0; query < 8; ++query)
        for (Index slot = 0; slot < cache.kept(); ++slot)
          CHECK(mask(query, slot) == DecoderMask{window}(tokens + query, cache.position(slot)));
      CHECK(visible_keys(mask, 0, 7, cache.kept()).begin == 0);
      CHECK(visible_keys(mask, 0, 7, cache.kept()).end == cache.kept());
    }
  const KvCache all = filled(no_window, 30, 1);
  CHECK(CacheMask{all}(0, 0));
}

TEST_CASE("kv_cache: all_visible is true where every query sees every kept token, and only there") {
  for (const Index window : {Index{2}, Index{3}, Index{5}, Index{6}, no_window})
    for (const Index tokens : {1, 2, 3, 4, 5, 6, 13}) {
      const KvCache cache = filled(window, tokens, 1);
      const CacheMask mask{cache};
      CAPTURE(window);
      CAPTURE(tokens);
      for (Index first = 0; first < 8; ++first)
        for (Index last = first; last < 8; ++last)
          for (Index begin = 0; begin < cache.kept(); ++begin)
            for (Index end = begin + 1; end <= cache.kept(); ++end) {
              bool all = true;
              for (Index query = first; query <= last; ++query)
                for (Index slot = begin; slot < end; ++slot) all = all && mask(query, slot);
              const bool claimed = all_visible(mask, first, last, {begin, end});
              CHECK((!claimed || all));
              if (end - begin == cache.kept()) CHECK(claimed == all);
            }
    }
}

TEST_CASE("kv_cache: keys and values of another shape are refused") {
  KvCache cache(3, 5);
  CHECK_THROWS_AS(cache.append(Matrix(2, 4), Matrix(2, 4)), std::invalid_argument);
  CHECK_THROWS_AS(cache.append(Matrix(2, 3), Matrix(1, 3)), std::invalid_argument);
}

TEST_CASE("kv_cache: a window or a width of nothing is refused") {
  CHECK_THROWS_WITH_AS(KvCache(3, 0), "KvCache window: expected 1 or more, found 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(KvCache(0, 5), "KvCache width: expected 1 or more, found 0", std::invalid_argument);
}

TEST_CASE("kv_cache: a slot that holds no token has no position") {
  CHECK_THROWS_WITH_AS(filled(1, 9, 2).position(0), "KvCache slot: expected one of its rows, found 0",
                       std::invalid_argument);
  for (const Index slot : {-1, 4}) CHECK_THROWS_AS(filled(5, 9, 2).position(slot), std::invalid_argument);
}

}  // namespace test_kv_cache
