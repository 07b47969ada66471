// RMSNorm and LayerNorm of rows that lie one after the other.

/// The sum of x[i] - centre over `size` numbers, or of its squares; in four registers, the last ones one by one.
template <bool squares>
float sum_around(float centre, Index size, const float* x) {
  const auto add = [centre](Floats& to, Floats v) {
    v -= centre;
    to += squares ? v * v : v;
  };
  Floats sums[4] = {};
  float rest = 0;
  Index i = 0;
  for (; i + 4 * lanes <= size; i += 4 * lanes)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) add(sums[j], load(x + i + j * lanes));
  for (; i < size; ++i) {
    const float v = x[i] - centre;
    rest += squares ? v * v : v;
  }
  return sum(sums[0] + sums[1] + (sums[2] + sums[3])) + rest;
}

/// SimdKernels::rms_norm
inline void rms_norm(Index rows, Index size, const float* x, const float* weight, float eps, float* y) {
  for (Index row = 0; row < rows; ++row, x += size, y += size) {
    const float mean_square = sum_around<true>(0, size, x) / static_cast<float>(size);
    const auto scale = static_cast<float>(1 / __builtin_sqrt(double{mean_square} + double{eps}));
    Index i = 0;
    for (; i + lanes <= size; i += lanes) {
      const Floats normalised = load(x + i) * scale;
      store(fma(normalised, load(weight + i), normalised), y + i);
    }
    for (; i < size; ++i) y[i] = x[i] * scale * (weight[i] + 1.0f);
  }
}

/// SimdKernels::layer_norm
inline void layer_norm(Index rows, Index size, const float* x, const float* weight, const float* bias,
                       float eps, float* y) {
  for (Index row = 0; row < rows; ++row, x += size, y += size) {
    const float mean = sum_around<false>(0, size, x) / static_cast<float>(size);
    const float rest =
        sum_around<false>(mean, size, x) / static_cast<float>(size);  // of the mean, beyond float32
    const float variance = sum_around<true>(mean, size, x) / static_cast<float>(size) - rest * rest;
    const auto scale = static_cast<float>(1 / __builtin_sqrt(double{variance} + double{eps}));
    Index i = 0;
    for (; i + lanes <= size; i += lanes)
      store(fma((load(x + i) - mean - rest) * scale, load(weight + i), load(bias + i)), y + i);
    for (; i < size; ++i) y[i] = (x[i] - mean - rest) * scale * weight[i] + bias[i];
  }
}
