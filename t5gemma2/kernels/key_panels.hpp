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
  /// K and V [keys, kv heads*dh], which are copied.
  KeyPanels(const Rows& K, const Rows& V, const Heads& heads)
      : keys_(K.rows()), dim_(heads.dim), tiles_((keys_ + tile_keys - 1) / tile_keys) {
    panels_.resize(static_cast<std::size_t>(heads.kv * tiles_ * tile_size()));
    parallel_tasks(heads.kv * tiles_, [&](Index task) {
      const Index head = task / tiles_, tile = task % tiles_, first = tile * tile_keys, col = head * dim_;
      float* to = panels_.data() + task * tile_size();
      simd().pack_transposed(dim_, depth(tile), K.data() + first * K.outerStride() + col, K.outerStride(),
                             to);
      simd().pack_columns(depth(tile), dim_, V.data() + first * V.outerStride() + col, V.outerStride(),
                          to + tile_keys * dim_);
    });
  }

  Index keys() const { return keys_; }

  /// dh, rounded up to whole panels.
  Index width() const { return round_up(dim_, simd().panel_cols); }

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
  Index tile_size() const { return tile_keys * (dim_ + width()); }
  Index depth(Index tile) const { return std::min(tile_keys, keys_ - tile * tile_keys); }
  const float* tile(Index head, const KeyRange& tile) const {
    return panels_.data() + (head * tiles_ + tile.begin / tile_keys) * tile_size();
  }

  Index keys_, dim_, tiles_;
  std::vector<float> panels_;
};

}  // namespace t5gemma2::kernel
