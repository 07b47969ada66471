// Panels (tiles.inl) filled from stored rows, whose transpose they are, or from columns of float32.

/// `lanes` columns of a panel, `lanes` rows deep = the transpose of `lanes` numbers of `lanes` stored rows.
template <class Stored>
void load_square(const Stored* W, Index stride, float* panel) {
  Words rows[lanes];
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) rows[i] = as_words(to_floats(W + i * stride));
  transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) store(as_floats(rows[i]), panel + i * panel_cols);
}

/// The same for twice as many numbers of each row: pairs are transposed, then split.
inline void load_pairs(const BFloat16* W, Index stride, float* panel) {
  Words rows[lanes];
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) __builtin_memcpy(&rows[i], W + i * stride, sizeof(Words));
  transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) {
    store(as_floats(rows[i] << 16), panel + 2 * i * panel_cols);
    store(as_floats(rows[i] & 0xffff0000u), panel + (2 * i + 1) * panel_cols);
  }
}

/// panel [depth, panel_cols] = the transpose of `cols` stored rows; the columns from `cols` on are 0.
template <class Stored>
void load_transposed(const Stored* W, Index stride, Index depth, Index cols, float* panel) {
  Index k = 0;
  for (int half = 0; half < 2 && cols == panel_cols; ++half) {
    const Stored* from = W + half * lanes * stride;
    float* to = panel + half * lanes;
    k = 0;
    if constexpr (std::is_same_v<Stored, BFloat16>)
      for (; k + 2 * lanes <= depth; k += 2 * lanes) load_pairs(from + k, stride, to + k * panel_cols);
    for (; k + lanes <= depth; k += lanes) load_square(from + k, stride, to + k * panel_cols);
  }
  for (; k < depth; ++k)
    for (Index col = 0; col < panel_cols; ++col)
      panel[k * panel_cols + col] = col < cols ? to_float(W[col * stride + k]) : 0.0f;
}

/// SimdKernels::pack_transposed
inline void pack_transposed(Index depth, Index cols, const float* W, Index stride, float* panels) {
  for (Index col = 0; col < cols; col += panel_cols)
    load_transposed(W + col * stride, stride, depth, smaller(panel_cols, cols - col), panels + col * depth);
}

/// panel [depth, panel_cols] = `cols` columns of V; the others are 0.
inline void load_columns(const float* V, Index stride, Index depth, Index cols, float* panel) {
  for (Index k = 0; k < depth; ++k, V += stride, panel += panel_cols)
    if (cols == panel_cols) {
      store(load(V), panel);
      store(load(V + lanes), panel + lanes);
    } else {
      for (Index col = 0; col < panel_cols; ++col) panel[col] = col < cols ? V[col] : 0.0f;
    }
}

/// SimdKernels::pack_columns
inline void pack_columns(Index depth, Index cols, const float* V, Index stride, float* panels) {
  for (Index col = 0; col < cols; col += panel_cols)
    load_columns(V + col, stride, depth, smaller(panel_cols, cols - col), panels + col * depth);
}
