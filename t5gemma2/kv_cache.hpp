// Keys and values kept from one decoding step to the next, for each layer. The paper leaves out caches.
//
//   encoder side   K and V of H, computed once, never changed
//   decoder side   global layers: K and V of all tokens so far
//                  local layers: K and V of the last window - 1 tokens, in a ring buffer; with the token of
//                  the query itself they are the window
//
//   window 4, ring buffer of 3 rows, after tokens 0..4:       row 0 1 2
//                                                        position 3 4 2
//
// Reference: transformers cache_utils.py EncoderDecoderCache, DynamicCache, DynamicSlidingWindowLayer
#pragma once
#include <algorithm>
#include <vector>

#include "mask.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// The decoder side of one layer: keys, after k_norm and RoPE, and values.
class KvCache {
 public:
  /// width = kv heads*dh; window = no_window in global layers. Throws std::invalid_argument unless both are
  /// at least 1.
  KvCache(Index width, Index window) : width_(width), window_(window) {
    check_argument(width > 0, "KvCache width", "1 or more", width);
    check_argument(window > 0, "KvCache window", "1 or more", window);
  }

  /// Appends K, V [rows, width] of the next tokens. Throws std::invalid_argument where shapes do not fit.
  void append(const Matrix& K, const Matrix& V) {
    check_shape(K, -1, width_, "KvCache K");
    check_shape(V, K.rows(), width_, "KvCache V");
    for (Index row = 0; row < K.rows(); ++row, ++tokens_) {
      if (capacity() == 0) continue;
      store(keys_, K.row(row));
      store(values_, V.row(row));
    }
  }

  Index tokens() const { return tokens_; }  // appended so far: the position of the next
  Index window() const { return window_; }
  Index kept() const { return std::min(tokens_, capacity()); }
  Eigen::Map<const Matrix> K() const { return {keys_.data(), kept(), width_}; }
  Eigen::Map<const Matrix> V() const { return {values_.data(), kept(), width_}; }

  /// The position of the token whose key is in row `slot`.
  Index position(Index slot) const {
    check_argument(slot >= 0 && slot < kept(), "KvCache slot", "one of its rows", slot);
    if (tokens_ <= capacity()) return slot;
    return tokens_ - 1 - (tokens_ - 1 - slot) % capacity();
  }

 private:
  Index capacity() const { return window_ == no_window ? no_window : window_ - 1; }

  template <class Row>
  void store(std::vector<float>& rows, const Row& row) {
    if (tokens_ < capacity()) rows.resize(rows.size() + static_cast<std::size_t>(width_));
    const Index slot = capacity() == no_window ? tokens_ : tokens_ % capacity();
    Eigen::Map<Eigen::RowVectorXf>(rows.data() + slot * width_, width_) = row;
  }

  Index width_, window_, tokens_ = 0;
  std::vector<float> keys_, values_;
};

/// Which keys in the cache are visible to the next tokens: all precede them, so only the window limits.
struct CacheMask {
  const KvCache& cache;

  bool operator()(Index query, Index slot) const {
    return cache.tokens() + query - cache.position(slot) < cache.window();
  }
};

inline void check(const CacheMask& mask, Index keys) {
  check_argument(keys == mask.cache.kept(), "CacheMask keys", "the cache's", keys);
}

inline KeyRange visible_keys(const CacheMask&, Index, Index, Index keys) { return {0, keys}; }

inline bool all_visible(const CacheMask& mask, Index, Index last, const KeyRange&) {
  return last < mask.cache.window() - mask.cache.kept();  // the oldest key is kept() tokens before query 0
}

}  // namespace t5gemma2
