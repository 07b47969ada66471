// What the machine can do at most, for t5gemma2-bench: products and sums that wait for nothing, and reading.

// As many as fit beside two operands: together they hide the latency of one.
constexpr int fma_chains = registers == 32 ? 24 : 12;

/// SimdKernels::multiply_and_add
inline float multiply_and_add(Index flops, float factor, float summand) {
  Floats chains[fma_chains];
#pragma GCC unroll 24
  for (int i = 0; i < fma_chains; ++i) chains[i] = all(static_cast<float>(i));
  const Floats product = all(factor), sum_with = all(summand);
  for (Index step = 0; step < flops / (2 * fma_chains * lanes); ++step)
#pragma GCC unroll 24
    for (int i = 0; i < fma_chains; ++i) chains[i] = fma(chains[i], product, sum_with);
  for (int i = 1; i < fma_chains; ++i) chains[0] += chains[i];
  return sum(chains[0]);
}

/// SimdKernels::sum_of
inline float sum_of(Index size, const float* x) {
  constexpr int streams = 4, side_by_side = 2;
  const Index length = size / streams, step = side_by_side * lanes;
  Floats sums[streams][side_by_side] = {};
  for (Index i = 0; i + step <= length; i += step)
#pragma GCC unroll 4
    for (int s = 0; s < streams; ++s)
#pragma GCC unroll 2
      for (int j = 0; j < side_by_side; ++j) sums[s][j] += load(x + s * length + i + j * lanes);
  for (int s = 0; s < streams; ++s) sums[0][0] += (s > 0 ? sums[s][0] : Floats{}) + sums[s][1];
  return sum(sums[0][0]);
}
