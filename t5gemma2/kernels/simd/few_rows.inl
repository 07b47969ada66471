// Products of up to four rows, those of a decoding step, which memory bounds: the matrix is read where it lies.

/// Whether there are so few rows; if so, calls run.operator()<rows>().
template <class Run>
bool with_few_rows(Index rows, const Run& run) {
  static_assert(few_rows == 4);
  switch (rows) {
    case 1:
      run.template operator()<1>();
      return true;
    case 2:
      run.template operator()<2>();
      return true;
    case 3:
      run.template operator()<3>();
      return true;
    case 4:
      run.template operator()<4>();
      return true;
    default:
      return false;
  }
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
  constexpr int streams = R <= 2 || registers == 32 ? most_streams : most_streams / 2;
  const Index step = cols / streams;
  for (Index col = 0; col < step; ++col)
    dots<R, streams>(depth, x, x_stride, W + col * stride, stride, step, y + col, y_stride);
  for (Index col = step * streams; col < cols; ++col)
    dots<R, 1>(depth, x, x_stride, W + col * stride, stride, 0, y + col, y_stride);
}

/// y [R, C * lanes] += x V for K rows of V, and as many columns of x, `step` apart.
template <int R, int K, int C>
void add_columns(const float* x, Index x_stride, const float* V, Index stride, Index step, float* y,
                 Index y_stride) {
  Floats values[K][C];
#pragma GCC unroll 8
  for (int k = 0; k < K; ++k)
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) values[k][c] = load(V + k * step * stride + c * lanes);
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    Floats sums[C] = {};
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k)
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) sums[c] = fma(all(x[r * x_stride + k * step]), values[k][c], sums[c]);
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) {
      float* to = y + r * y_stride + c * lanes;
      store(load(to) + sums[c], to);
    }
  }
}

/// The same for all columns: y [R, cols].
template <int R, int K>
void add_rows(Index cols, const float* x, Index x_stride, const float* V, Index stride, Index step, float* y,
              Index y_stride) {
  constexpr int C = K * 2 < registers ? 2 : 1;
  Index col = 0;
  for (; col + C * lanes <= cols; col += C * lanes)
    add_columns<R, K, C>(x, x_stride, V + col, stride, step, y + col, y_stride);
  for (; col + lanes <= cols; col += lanes)
    add_columns<R, K, 1>(x, x_stride, V + col, stride, step, y + col, y_stride);
  for (; col < cols; ++col)
    for (int r = 0; r < R; ++r) {
      float sum = 0;
      for (int k = 0; k < K; ++k) sum += x[r * x_stride + k * step] * V[k * step * stride + col];
      y[r * y_stride + col] += sum;
    }
}

/// y [R, cols] += x V for so few rows that y stays in the first cache: V is read where it lies, from several
/// places at a time.
template <int R>
void add_few_rows(Index depth, Index cols, const float* x, Index x_stride, const float* V, Index stride,
                  float* y, Index y_stride) {
  constexpr int streams = 8;
  const Index step = depth / streams;
  for (Index k = 0; k < step; ++k)
    add_rows<R, streams>(cols, x + k, x_stride, V + k * stride, stride, step, y, y_stride);
  for (Index k = step * streams; k < depth; ++k)
    add_rows<R, 1>(cols, x + k, x_stride, V + k * stride, stride, 0, y, y_stride);
}
