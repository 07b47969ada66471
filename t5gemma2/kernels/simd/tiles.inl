// Products with panels: a panel is panel_cols columns of a matrix as float32 rows that lie side by side. A tile of
// tile_rows rows of x meets a panel with its sums in registers; it stays in the first cache while it meets all
// panels of a group, which fits in the second.

constexpr int tile_rows = registers == 32 ? 8 : 6, panel_cols = 2 * lanes;
constexpr Index group_cols = 64;

constexpr Index smaller(Index a, Index b) { return a < b ? a : b; }

/// How many products of a sum are added one after the other. Sums in several such chains round less.
constexpr Index chain_of(Index depth) {
  const Index quarter = (depth + 15) / 16 * 4;
  return depth <= 64 || quarter > 128 ? quarter : 128;
}

/// y [R, panel_cols] = x [R, depth] * panel [depth, panel_cols]; y + that where `add`. A sum is taken in chains.
template <int R>
[[gnu::noinline]] void multiply_tile(const float* x, Index x_stride, const float* panel, Index panel_stride,
                                     Index depth, Index chain, float* y, Index y_stride, bool add) {
  Index first = 0;
  do {
    const Index last = smaller(first + chain, depth);
    Floats low[R], high[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) low[r] = high[r] = Floats{};
#pragma GCC unroll 4
    for (Index k = first; k < last; ++k, panel += panel_stride) {
      const Floats left = load(panel), right = load(panel + lanes);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Floats factor = all(x[r * x_stride + k]);
        low[r] = fma(factor, left, low[r]);
        high[r] = fma(factor, right, high[r]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      float* to = y + r * y_stride;
      store(add || first > 0 ? load(to) + low[r] : low[r], to);
      store(add || first > 0 ? load(to + lanes) + high[r] : high[r], to + lanes);
    }
    first += chain;
  } while (first < depth);
}

/// The same for any number of rows, R at a time; the last ones 4, 2 or 1.
template <int R>
void multiply_rows(Index rows, const float* x, Index x_stride, const float* panel, Index panel_stride,
                   Index depth, Index chain, float* y, Index y_stride, bool add) {
  for (; rows >= R; rows -= R, x += R * x_stride, y += R * y_stride)
    multiply_tile<R>(x, x_stride, panel, panel_stride, depth, chain, y, y_stride, add);
  if constexpr (R > 1) {
    constexpr int fewer = R == 6 ? 4 : R / 2;
    if (rows > 0)
      multiply_rows<fewer>(rows, x, x_stride, panel, panel_stride, depth, chain, y, y_stride, add);
  }
}

/// y [rows, cols] = sums; y + sums where `add`.
inline void put(Index rows, Index cols, const float* sums, Index stride, float* y, Index y_stride, bool add) {
  for (; rows > 0; --rows, sums += stride, y += y_stride) {
    Index col = 0;
    for (; col + lanes <= cols; col += lanes)
      store(add ? load(y + col) + load(sums + col) : load(sums + col), y + col);
    for (; col < cols; ++col) y[col] = add ? y[col] + sums[col] : sums[col];
  }
}

/// multiply_rows for the `cols` < panel_cols columns of y that there are.
inline void multiply_narrow(Index rows, const float* x, Index x_stride, const float* panel, Index depth,
                            float* y, Index y_stride, Index cols, bool add) {
  float wide[tile_rows * panel_cols];
  multiply_rows<tile_rows>(rows, x, x_stride, panel, panel_cols, depth, chain_of(depth), wide, panel_cols,
                           false);
  put(rows, cols, wide, panel_cols, y, y_stride, add);
}

/// y [rows, cols] = x [rows, depth] * panels [depth, panel_cols] that begin `distance` numbers apart; y + that
/// where `add`.
[[gnu::noinline]] inline void multiply_panels(Index rows, Index depth, Index cols, const float* x,
                                              Index x_stride, const float* panels, Index distance, float* y,
                                              Index y_stride, bool add) {
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
