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
#include "kernels/key_range.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// `window` of a global layer, which has none.
constexpr Index no_window = std::numeric_limits<Index>::max();

/// The window of layers of this type, in tokens.
inline Index window_of(const TextConfig& config, LayerType type) {
  return type == LayerType::sliding_attention ? config.sliding_window : no_window;
}

/// The encoder: bidirectional; in local layers about half the window to each side.
struct EncoderMask {
  Index window = no_window;

  bool operator()(Index query, Index key) const {
    if (window == no_window) return true;
    return key <= query ? query - key < (window + 1) / 2 : key - query < window / 2 + 1;
  }
};

/// The decoder side: causal; the last `window` tokens, the query's own included.
struct DecoderMask {
  Index window = no_window;

  bool operator()(Index query, Index key) const { return key <= query && query - key < window; }
};

/// M of merged attention: keys are [X; H], the m decoder tokens, then all encoder tokens.
struct MergedMask {
  Index window = no_window, m = -1;

  bool operator()(Index query, Index key) const { return key >= m || DecoderMask{window}(query, key); }
};

/// Every key is visible to every query.
struct AllVisible {
  bool operator()(Index, Index) const { return true; }
};

// ---- checks ----

/// Throws std::invalid_argument unless the mask's fields are set and fit so many keys.
inline void check(EncoderMask mask, Index) {
  check_argument(mask.window > 0, "EncoderMask window", "1 or more", mask.window);
}
inline void check(DecoderMask mask, Index) {
  check_argument(mask.window > 0, "DecoderMask window", "1 or more", mask.window);
}
inline void check(MergedMask mask, Index keys) {
  check_argument(mask.window > 0, "MergedMask window", "1 or more", mask.window);
  check_argument(mask.m >= 0 && mask.m <= keys, "MergedMask m", "0 to the number of keys", mask.m);
}
inline void check(AllVisible, Index) {}

// ---- ranges of visible keys ----

/// visible_keys(mask, first, last, keys): the smallest range of the `keys` keys that contains every key
/// visible to any of the queries first .. last. Attention skips the others.
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

/// all_visible(mask, first, last, keys): whether every key of a range is visible to every query first .. last.
/// Attention asks the mask for single keys of the other ranges only.
inline bool all_visible(EncoderMask mask, Index first, Index last, const KeyRange& keys) {
  return mask(first, keys.end - 1) && mask(last, keys.begin);
}

inline bool all_visible(DecoderMask mask, Index first, Index last, const KeyRange& keys) {
  return mask(first, keys.end - 1) && mask(last, keys.begin);
}

inline bool all_visible(MergedMask mask, Index first, Index last, const KeyRange& keys) {
  if (keys.begin >= mask.m) return true;
  return keys.end <= mask.m && all_visible(DecoderMask{mask.window}, first, last, keys);
}

inline bool all_visible(AllVisible, Index, Index, const KeyRange&) { return true; }

}  // namespace t5gemma2
