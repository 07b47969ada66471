// Matrix products y = x W^T and y = y + x V over panels: panel_cols columns of W^T or V as float32 rows that lie
// side by side. A group of panels fits in the second cache and serves all rows of x; a tile of tile_rows rows of
// x, which stays in the first, meets all panels of the group. The sums of a tile stay in registers.

constexpr int tile_rows = registers == 32 ? 12 : 6, panel_cols = 2 * lanes;
constexpr Index group_cols = 64, depth_block = 640;  // of a group of panels: 160 KB

constexpr Index smaller(Index a, Index b) { return a < b ? a : b; }

/// How many products of a sum are added one after the other. Sums in several such chains round less.
constexpr Index chain_of(Index depth) {
  const Index quarter = (depth + 15) / 16 * 4;
  return depth <= 64 || quarter > 128 ? quarter : 128;
}

/// y [R, panel_cols] = x [R, depth] * panel [depth, panel_cols]; y + that where `add`. A sum is taken in chains.
template <int R>
void multiply_tile(const float* x, Index x_stride, const float* panel, Index panel_stride, Index depth,
                   Index chain, float* y, Index y_stride, bool add) {
  Index first = 0;
  do {
    const Index last = smaller(first + chain, depth);
    Floats low[R], high[R];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) low[r] = high[r] = Floats{};
#pragma GCC unroll 4
    for (Index k = first; k < last; ++k, panel += panel_stride) {
      const Floats left = load(panel), right = load(panel + lanes);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const Floats factor = all(x[r * x_stride + k]);
        low[r] = fma(factor, left, low[r]);
        high[r] = fma(factor, right, high[r]);
      }
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      float* to = y + r * y_stride;
      store(add || first > 0 ? load(to) + low[r] : low[r], to);
      store(add || first > 0 ? load(to + lanes) + high[r] : high[r], to + lanes);
    }
    first += chain;
  } while (first < depth);
}

/// The same for `rows` <= R rows.
template <int R>
void multiply_rows(Index rows, const float* x, Index x_stride, const float* panel, Index panel_stride,
                   Index depth, Index chain, float* y, Index y_stride, bool add) {
  if (rows == R) return multiply_tile<R>(x, x_stride, panel, panel_stride, depth, chain, y, y_stride, add);
  if constexpr (R > 1)
    multiply_rows<R - 1>(rows, x, x_stride, panel, panel_stride, depth, chain, y, y_stride, add);
}

/// The same for the `cols` < panel_cols columns of y that there are.
inline void multiply_narrow(Index rows, const float* x, Index x_stride, const float* panel, Index depth,
                            float* y, Index y_stride, Index cols, bool add) {
  float wide[tile_rows * panel_cols];
  multiply_rows<tile_rows>(rows, x, x_stride, panel, panel_cols, depth, chain_of(depth), wide, panel_cols,
                           false);
  for (Index r = 0; r < rows; ++r)
    for (Index col = 0; col < cols; ++col) {
      float& to = y[r * y_stride + col];
      to = add ? to + wide[r * panel_cols + col] : wide[r * panel_cols + col];
    }
}

/// y [rows, cols] = x [rows, depth] * panels [depth, panel_cols] that begin `distance` numbers apart; y + that
/// where `add`.
inline void multiply_panels(Index rows, Index depth, Index cols, const float* x, Index x_stride,
                            const float* panels, Index distance, float* y, Index y_stride, bool add) {
  for (Index row = 0; row < rows; row += tile_rows)
    for (Index col = 0; col < cols; col += panel_cols) {
      const Index count = smaller(rows - row, tile_rows);
      const float *tile = x + row * x_stride, *panel = panels + col / panel_cols * distance;
      float* to = y + row * y_stride + col;
      if (cols - col < panel_cols)
        multiply_narrow(count, tile, x_stride, panel, depth, to, y_stride, cols - col, add);
      else
        multiply_rows<tile_rows>(count, tile, x_stride, panel, panel_cols, depth, chain_of(depth), to,
                                 y_stride, add);
    }
}

/// The same, a group of panels at a time. SimdKernels::multiply_panels
inline void multiply_groups(Index rows, Index depth, Index cols, const float* x, Index x_stride,
                            const float* panels, Index distance, float* y, Index y_stride, bool add) {
  for (Index group = 0; group < cols; group += group_cols)
    multiply_panels(rows, depth, smaller(group_cols, cols - group), x, x_stride,
                    panels + group / panel_cols * distance, distance, y + group, y_stride, add);
}

/// Walks over groups of columns and blocks of the depth; load(panel, first k, depth, first column, columns) fills
/// one panel.
template <class LoadPanel>
void multiply_blocks(Index rows, Index depth, Index cols, const float* x, Index x_stride, float* y,
                     Index y_stride, bool add, const LoadPanel& load_panel) {
  alignas(64) float panels[group_cols * depth_block];
  for (Index group = 0; group < cols; group += group_cols) {
    const Index group_end = smaller(group + group_cols, cols);
    Index k = 0;
    do {
      const Index block = smaller(depth - k, depth_block);
      for (Index col = group; col < group_end; col += panel_cols)
        load_panel(panels + (col - group) * block, k, block, col, smaller(group_end - col, panel_cols));
      multiply_panels(rows, block, group_end - group, x + k, x_stride, panels, block * panel_cols, y + group,
                      y_stride, add || k > 0);
      k += depth_block;
    } while (k < depth);
  }
}

// ---- y = x W^T: a panel is the transpose of stored rows ----

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

/// For R rows of x: y [R, S], the products with S stored rows `step` rows apart. Memory delivers more where
/// several places are read at a time.
template <int R, int S, class Stored>
void dots(Index depth, const float* x, Index x_stride, const Stored* W, Index stride, Index step, float* y,
          Index y_stride) {
  constexpr int U = 8 / (R * S) > 0 ? 8 / (R * S) : 1;  // sums side by side hide the latency of one
  Floats sums[R][S][U] = {};
  Index k = 0;
  for (; k + U * lanes <= depth; k += U * lanes)
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u)
#pragma GCC unroll 4
      for (int s = 0; s < S; ++s) {
        const Floats w = to_floats(W + s * step * stride + k + u * lanes);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r)
          sums[r][s][u] = fma(w, load(x + r * x_stride + k + u * lanes), sums[r][s][u]);
      }
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < S; ++s) {
#pragma GCC unroll 8
      for (int u = 1; u < U; ++u) sums[r][s][0] += sums[r][s][u];
      float total = sum(sums[r][s][0]);
      for (Index i = k; i < depth; ++i) total += x[r * x_stride + i] * to_float(W[s * step * stride + i]);
      y[r * y_stride + s * step] = total;
    }
}

/// y [R, cols] = x W^T for so few rows that each stored number is used while it is in a register.
template <int R, class Stored>
void multiply_few_rows(Index depth, Index cols, const float* x, Index x_stride, const Stored* W, Index stride,
                       float* y, Index y_stride) {
  constexpr int streams = R <= 2 ? 4 : 2;
  const Index step = cols / streams;
  for (Index col = 0; col < step; ++col)
    dots<R, streams>(depth, x, x_stride, W + col * stride, stride, step, y + col, y_stride);
  for (Index col = step * streams; col < cols; ++col)
    dots<R, 1>(depth, x, x_stride, W + col * stride, stride, 0, y + col, y_stride);
}

/// SimdKernels::multiply_transposed
template <class Stored>
void multiply_transposed(Index rows, Index depth, Index cols, const float* x, Index x_stride, const Stored* W,
                         Index stride, float* y, Index y_stride) {
  switch (rows) {
    case 1:
      return multiply_few_rows<1>(depth, cols, x, x_stride, W, stride, y, y_stride);
    case 2:
      return multiply_few_rows<2>(depth, cols, x, x_stride, W, stride, y, y_stride);
    case 3:
      return multiply_few_rows<3>(depth, cols, x, x_stride, W, stride, y, y_stride);
    case 4:
      return multiply_few_rows<4>(depth, cols, x, x_stride, W, stride, y, y_stride);
  }
  multiply_blocks(rows, depth, cols, x, x_stride, y, y_stride, false,
                  [&](float* panel, Index k, Index block, Index col, Index count) {
                    load_transposed(W + col * stride + k, stride, block, count, panel);
                  });
}

// ---- y = y + x V: a panel is some columns of V ----

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

/// y [rows, cols] += x V for few rows: V is read where it lies, a few of its rows at a time.
inline void add_few_rows(Index rows, Index depth, Index cols, const float* x, Index x_stride, const float* V,
                         Index stride, float* y, Index y_stride) {
  constexpr Index block = 16;
  for (Index k = 0; k < depth; k += block) {
    const Index count = smaller(depth - k, block);
    const float* from = V + k * stride;
    Index col = 0;
    for (; col + panel_cols <= cols; col += panel_cols)
      multiply_rows<4>(rows, x + k, x_stride, from + col, stride, count, count, y + col, y_stride, true);
    for (; col < cols; ++col)
      for (Index r = 0; r < rows; ++r)
        for (Index i = 0; i < count; ++i)
          y[r * y_stride + col] += x[r * x_stride + k + i] * from[i * stride + col];
  }
}

/// SimdKernels::multiply_add
inline void multiply_add(Index rows, Index depth, Index cols, const float* x, Index x_stride, const float* V,
                         Index stride, float* y, Index y_stride) {
  if (rows <= 4) return add_few_rows(rows, depth, cols, x, x_stride, V, stride, y, y_stride);
  multiply_blocks(rows, depth, cols, x, x_stride, y, y_stride, true,
                  [&](float* panel, Index k, Index block, Index col, Index count) {
                    load_columns(V + k * stride + col, stride, block, count, panel);
                  });
}
