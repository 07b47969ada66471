// Which keys a query may attend to (paper §2: local and global layers 5:1; merged attention's mask M). A mask
// is a predicate mask(query row, key row); no matrix is ever stored. Window w = 4, x = visible:
//
//   encoder, local layer             decoder, local layer, merged: keys = [ decoder | encoder ]
//     key 0 1 2 3 4 5                  key 0 1 2 3 4 5 | 0 1 2
//   q 0   x x x . . .                q 0   x . . . . . | x x x      the encoder side is visible
//     1   x x x x . .                  1   x x . . . . | x x x      to every token in every layer
//     2   . x x x x .                  2   x x x . . . | x x x
//     3   . . x x x x                  3   x x x x . . | x x x
//     4   . . . x x x                  4   . x x x x . | x x x
//   0 <= q-k < (w+1)/2               0 <= q-k < w
//   or 0 < k-q < w/2 + 1             (divisions are integer divisions)
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py sliding_window_mask_function, T5Gemma2Decoder
#pragma once
#include <algorithm>
#include <limits>

#include "config.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// The window of a global layer.
constexpr Index no_window = std::numeric_limits<Index>::max();

inline Index window_of(const TextConfig& config, LayerType type) {
  return type == LayerType::sliding_attention ? config.sliding_window : no_window;
}

/// The encoder: bidirectional; in local layers about half the window to each side.
struct EncoderMask {
  Index window;

  bool operator()(Index query, Index key) const {
    if (window == no_window) return true;
    return key <= query ? query - key < (window + 1) / 2 : key - query < window / 2 + 1;
  }
};

/// The decoder among its own tokens: causal, the last `window` of them (the query itself is one).
struct DecoderMask {
  Index window;

  bool operator()(Index query, Index key) const { return key <= query && query - key < window; }
};

/// M: keys are [X; H], the decoder's own m tokens and then all of the encoder's.
struct MergedMask {
  Index window, m;

  bool operator()(Index query, Index key) const { return key >= m || DecoderMask{window}(query, key); }
};

/// Every key is visible to every query.
struct AllVisible {
  bool operator()(Index, Index) const { return true; }
};

// ---- what attention may skip ----

/// Keys [begin, end).
struct KeyRange {
  Index begin, end;

  Index size() const { return std::max<Index>(0, end - begin); }
};

/// visible_keys(mask, first, last, keys): a range of the `keys` keys outside which queries first .. last see
/// nothing. The tightest there is.
inline KeyRange visible_keys(EncoderMask mask, Index first, Index last, Index keys) {
  if (mask.window == no_window) return {0, keys};
  return {std::max<Index>(0, first - (mask.window + 1) / 2 + 1), std::min(keys, last + mask.window / 2 + 1)};
}

inline KeyRange visible_keys(DecoderMask mask, Index first, Index last, Index keys) {
  return {first < mask.window ? 0 : first - mask.window + 1, std::min(keys, last + 1)};
}

inline KeyRange visible_keys(MergedMask mask, Index first, Index last, Index keys) {
  const KeyRange own = visible_keys(DecoderMask{mask.window}, first, last, mask.m);
  return {own.begin, keys > mask.m ? keys : own.end};
}

inline KeyRange visible_keys(AllVisible, Index, Index, Index keys) { return {0, keys}; }

}  // namespace t5gemma2
