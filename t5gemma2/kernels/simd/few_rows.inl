// Products of up to four rows, those of a decoding step, which memory bounds: the matrix is read where it lies.

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
