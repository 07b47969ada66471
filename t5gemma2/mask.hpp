// Who sees whom (paper §2: local and global layers 5:1; merged attention's mask M). A mask is a predicate
// sees(query row, key row); no matrix is ever stored. Window w = 4, x = visible:
//
//   encoder, local layer             decoder, local layer, merged: keys = [ decoder | encoder ]
//     key 0 1 2 3 4 5                  key 0 1 2 3 4 5 | 0 1 2
//   q 0   x x x . . .                q 0   x . . . . . | x x x      the encoder side is visible
//     1   x x x x . .                  1   x x . . . . | x x x      to every token in every layer
//     2   . x x x x .                  2   x x x . . . | x x x
//     3   . . x x x x                  3   x x x x . . | x x x
//     4   . . . x x x                  4   . x x x x . | x x x
//   0 <= q-k < (w+1)/2               0 <= q-k < w
//   or 0 < k-q < w/2 + 1
//
// Beside each predicate stands seen(first, last, keys): a range of keys outside which the query rows [first,
// last] see nothing, so that attention can pass over the rest. Reference: transformers
// sliding_window_mask_function, T5Gemma2Decoder.forward.
#pragma once
#include <algorithm>
#include <limits>

#include "config.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// The window of a global layer.
constexpr Index everything = std::numeric_limits<Index>::max();

inline Index window_of(const TextConfig& config, LayerType type) {
  return type == LayerType::sliding_attention ? config.sliding_window : everything;
}

/// Keys [begin, end).
struct KeyRange {
  Index begin, end;

  Index size() const { return std::max<Index>(0, end - begin); }
};

/// The encoder: bidirectional, about half the window to each side in local layers.
struct EncoderMask {
  Index window;

  bool operator()(Index query, Index key) const {
    if (window == everything) return true;
    return key <= query ? query - key < (window + 1) / 2 : key - query < window / 2 + 1;
  }
  KeyRange seen(Index first, Index last, Index keys) const {
    if (window == everything) return {0, keys};
    return {std::max<Index>(0, first - (window + 1) / 2 + 1), std::min(keys, last + window / 2 + 1)};
  }
};

/// The decoder among its own tokens: causal, the last `window` of them (the query itself is one).
struct DecoderMask {
  Index window;

  bool operator()(Index query, Index key) const { return key <= query && query - key < window; }
  KeyRange seen(Index first, Index last, Index keys) const {
    return {first < window ? 0 : first - window + 1, std::min(keys, last + 1)};
  }
};

/// M: keys are [X; H], the decoder's m own tokens and then all of the encoder's.
struct MergedMask {
  Index window, m;

  bool operator()(Index query, Index key) const { return key >= m || DecoderMask{window}(query, key); }
  KeyRange seen(Index first, Index last, Index keys) const {
    const KeyRange own = DecoderMask{window}.seen(first, last, m);
    return {own.begin, keys > m ? keys : own.end};
  }
};

/// Every query sees every key.
struct AllVisible {
  bool operator()(Index, Index) const { return true; }
  KeyRange seen(Index, Index, Index keys) const { return {0, keys}; }
};

}  // namespace t5gemma2
