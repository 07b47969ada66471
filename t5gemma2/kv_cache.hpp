// What the decoder keeps between steps, one of these per layer (paper §2: encoder-side keys carry no decoder
// position):
//
//   encoder side   K and V of H, computed once, never changed
//   decoder side   global layers: all tokens so far, growing
//                  local layers: a ring of the last window - 1 tokens; with the query's own that makes
//                  `window`
//
//   ring of 3 (window 4) after tokens 0..4:    slot 0 1 2
//                                     position      3 4 2
//
// Reference: transformers EncoderDecoderCache(DynamicCache with sliding layers, DynamicCache).
#pragma once
#include <vector>

#include "mask.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// Keys (normalised, and turned by RoPE on the decoder side) and values, [rows, kv_heads*dh] each.
struct KeyValue {
  Matrix K, V;
};

/// The decoder side of one layer.
class KvCache {
 public:
  /// width = kv_heads*dh; window = `everything` in global layers.
  KvCache(Index width, Index window)
      : width_(width), capacity_(window == everything ? everything : window - 1) {}

  /// K, V [rows, width] of the tokens that follow the ones seen.
  void append(const Matrix& K, const Matrix& V) {
    check_shape(K, -1, width_, "KvCache K");
    check_shape(V, K.rows(), width_, "KvCache V");
    for (Index row = 0; row < K.rows(); ++row, ++seen_) {
      if (capacity_ == 0) continue;
      store(keys_, K.row(row));
      store(values_, V.row(row));
    }
  }

  Index rows() const { return std::min(seen_, capacity_); }
  Eigen::Map<const Matrix> K() const { return {keys_.data(), rows(), width_}; }
  Eigen::Map<const Matrix> V() const { return {values_.data(), rows(), width_}; }

  /// The position in the text of the token whose key lies in row `slot`.
  Index position(Index slot) const {
    if (seen_ <= capacity_) return slot;
    return seen_ - 1 - (seen_ - 1 - slot) % capacity_;
  }

 private:
  template <class Row>
  void store(std::vector<float>& rows, const Row& row) {
    if (seen_ < capacity_) rows.resize(rows.size() + static_cast<std::size_t>(width_));
    const Index slot = capacity_ == everything ? seen_ : seen_ % capacity_;
    Eigen::Map<Eigen::RowVectorXf>(rows.data() + slot * width_, width_) = row;
  }

  Index width_, capacity_, seen_ = 0;
  std::vector<float> keys_, values_;
};

/// Which of the kept tokens the queries see that stand at first_position and after: causality is given, the
/// window bites.
struct CacheMask {
  const KvCache& cache;
  Index first_position, window;

  bool operator()(Index query, Index slot) const {
    return first_position + query - cache.position(slot) < window;
  }
  KeyRange seen(Index, Index, Index keys) const { return {0, keys}; }
};

}  // namespace t5gemma2
