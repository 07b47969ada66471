// Keys and values in panels, for many blocks of queries (simd/tiles.inl): the panels are filled once, and every
// block multiplies by them.
//
// Keys are cut into tiles of tile_keys. A tile holds the panels of K^T [dh, tile_keys], then of V [tile_keys, dh].
#pragma once
#include <algorithm>
#include <vector>

#include "../config.hpp"
#include "../tensor.hpp"
#include "key_range.hpp"
#include "parallel.hpp"
#include "product.hpp"

namespace t5gemma2::kernel {

constexpr Index tile_keys = 128;

class KeyPanels {
 public:
  /// Panels of so many keys, which `put` fills.
  KeyPanels(Index keys, const Heads& heads)
      : keys_(keys), kv_heads_(heads.kv), dim_(heads.dim), tiles_((keys_ + tile_keys - 1) / tile_keys) {
    panels_.resize(static_cast<std::size_t>(kv_heads_ * tiles_ * tile_size()));
  }

  /// Panels of K and V [keys, kv heads*dh].
  KeyPanels(const Rows& K, const Rows& V, const Heads& heads) : KeyPanels(K.rows(), heads) { put(0, K, V); }

  /// Copies K and V [rows, kv heads*dh] of the keys from `first` on: whole tiles, or all that follow.
  void put(Index first, const Rows& K, const Rows& V) {
    const Index first_tile = first / tile_keys, tiles = (K.rows() + tile_keys - 1) / tile_keys;
    parallel_tasks(kv_heads_ * tiles, [&](Index task) {
      const Index head = task / tiles, row = task % tiles * tile_keys, col = head * dim_;
      const Index tile = first_tile + task % tiles;
      float* to = panels_.data() + (head * tiles_ + tile) * tile_size();
      simd().pack_transposed(dim_, depth(tile), K.data() + row * K.outerStride() + col, K.outerStride(), to);
      simd().pack_columns(depth(tile), dim_, V.data() + row * V.outerStride() + col, V.outerStride(),
                          to + tile_keys * dim_);
    });
  }

  Index keys() const { return keys_; }

  /// dh, rounded up to whole panels.
  static Index width(Index dim) { return round_up(dim, simd().panel_cols); }

  /// The panels of one key/value head.
  struct Head {
    const KeyPanels& panels;
    Index head;

    static constexpr Index alignment = 32;  // of a tile's first key: where a panel begins

    /// S [rows, tile_keys] = x K^T over the keys of a tile, in its first columns.
    void scores(const Matrix& x, const KeyRange& tile, Matrix& S) const {
      const Index dim = panels.dim_, cols = simd().panel_cols;
      simd().multiply_panels(x.rows(), dim, round_up(tile.size(), cols), x.data(), dim,
                             panels.tile(head, tile) + tile.begin % tile_keys * dim, dim * cols, S.data(),
                             S.cols(), false);
    }

    /// A [rows, width] += S V
    void add_values(const Matrix& S, const KeyRange& tile, Matrix& A) const {
      const Index cols = simd().panel_cols;
      const float* values = panels.tile(head, tile) + tile_keys * panels.dim_;
      simd().multiply_panels(S.rows(), tile.size(), A.cols(), S.data(), S.cols(),
                             values + tile.begin % tile_keys * cols,
                             panels.depth(tile.begin / tile_keys) * cols, A.data(), A.cols(), true);
    }
  };
  Head head(Index kv_head) const { return {*this, kv_head}; }

 private:
  static Index round_up(Index size, Index step) { return (size + step - 1) / step * step; }
  Index tile_size() const { return tile_keys * (dim_ + width(dim_)); }
  Index depth(Index tile) const { return std::min(tile_keys, keys_ - tile * tile_keys); }
  const float* tile(Index head, const KeyRange& tile) const {
    return panels_.data() + (head * tiles_ + tile.begin / tile_keys) * tile_size();
  }

  Index keys_, kv_heads_, dim_, tiles_;
  std::vector<float> panels_;
};

}  // namespace t5gemma2::kernel
