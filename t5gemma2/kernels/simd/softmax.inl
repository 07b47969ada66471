// One tile of an online softmax (Milakov and Gimelshein 2018). The softmax of a row over all keys is
//
//   sum_j e^(s_j - max) V_j / sum_j e^(s_j - max)
//
// Tiles of keys come one after the other. Where a tile raises the maximum, what has been summed so far, A and
// the sum itself, is multiplied by e^(old max - new max).

/// S[cols] -> e^(scale (S - max)), in place, with its sum; -infinity gives 0.
inline float exp_row(float* S, Index cols, float scale, float max) {
  const Floats shift = all(-scale * max);
  Floats total{};
  for (Index i = 0; i < cols; i += lanes) {
    const Floats e = exp(fma(load(S + i), all(scale), shift));
    store(e, S + i);
    total += e;
  }
  return sum(total);
}

inline float max_of_row(const float* S, Index cols) {
  Floats max = load(S);
  for (Index i = lanes; i < cols; i += lanes) {
    const Floats x = load(S + i);
    max = x > max ? x : max;
  }
  return largest(max);
}

/// SimdKernels::softmax_tile
inline void softmax_tile(Index rows, Index cols, float scale, float* S, Index S_stride, float* max,
                         float* sums, float* A, Index dim) {
  const Index padded = (cols + lanes - 1) / lanes * lanes;
  for (Index row = 0; row < rows; ++row) {
    float* s = S + row * S_stride;
    for (Index i = cols; i < padded; ++i) s[i] = -__builtin_inff();
    const float before = max[row], found = max_of_row(s, padded);
    if (found > before) {
      const float factor = exp(all((before - found) * scale))[0];
      max[row] = found;
      sums[row] *= factor;
      for (Index i = 0; i < dim; ++i) A[row * dim + i] *= factor;
    }
    sums[row] += exp_row(s, padded, scale, max[row] == -__builtin_inff() ? 0.0f : max[row]);
  }
}
