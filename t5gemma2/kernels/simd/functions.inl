// Elementwise functions. exp takes the minimax polynomial of SLEEF (Shibata and Petrogalli 2019); the largest
// errors against exact values: exp 1.0 units in the last place, gelu 1.2e-7 of max(1, |x|).

inline Floats exp(Floats x) {
  const Floats shift = all(12582912.0f);  // 1.5 * 2^23: adding it leaves the integer in the low bits
  const Floats shifted = fma(x, all(1.44269504f), shift), exponent = shifted - shift;
  Floats s = fma(exponent, all(-0.693145751953125f), x);  // x - exponent * log 2, in two parts
  s = fma(exponent, all(-1.42860677e-06f), s);
  Floats p = all(0.000198527617612853646f);
  for (const float c : {0.00139304355252534151f, 0.00833336077630519867f, 0.0416664853692054749f,
                        0.166666671633720398f, 0.5f})
    p = fma(p, s, all(c));
  const Floats significand = all(1.0f) + fma(s * s, p, s);
  const Floats power = as_floats((as_words(shifted) << 23) + 0x3f800000u);
  return x < -80.0f ? Floats{} : significand * power;  // no denormal numbers; NaN stays NaN
}

/// x/2 (1 + tanh(u)) = x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3)
inline Floats gelu_tanh(Floats x) {
  const Floats u = all(0.7978845608028654f) * fma(all(0.044715f) * x * x, x, x);
  const Floats exponent = all(-2.0f) * u;
  return x / (all(1.0f) + exp(exponent > 80.0f ? all(80.0f) : exponent));
}

/// SimdKernels::gelu_tanh
inline void gelu_tanh(Index size, float* x) {
  Index i = 0;
  for (; i + lanes <= size; i += lanes) store(gelu_tanh(load(x + i)), x + i);
  for (; i < size; ++i) x[i] = gelu_tanh(all(x[i]))[0];
}

/// The nearest bfloat16, to even where two are as near.
inline Floats nearest_bfloat16(Floats x) {
  const Words bits = as_words(x), nearest = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  return x == x ? as_floats(nearest) : all(__builtin_nanf(""));
}

/// SimdKernels::round_to_bfloat16
inline void round_to_bfloat16(Index size, float* x) {
  Index i = 0;
  for (; i + lanes <= size; i += lanes) store(nearest_bfloat16(load(x + i)), x + i);
  for (; i < size; ++i) x[i] = nearest_bfloat16(all(x[i]))[0];
}

/// SimdKernels::rotate
inline void rotate(Index size, float* a, float* b, const float* cos, const float* sin) {
  const auto rotate_lanes = [](Floats& x, Floats& y, Floats c, Floats s) {
    const Floats rotated = fma(x, c, -(y * s));
    y = fma(y, c, x * s);
    x = rotated;
  };
  Index i = 0;
  for (; i + lanes <= size; i += lanes) {
    Floats x = load(a + i), y = load(b + i);
    rotate_lanes(x, y, load(cos + i), load(sin + i));
    store(x, a + i);
    store(y, b + i);
  }
  for (; i < size; ++i) {
    Floats x = all(a[i]), y = all(b[i]);
    rotate_lanes(x, y, all(cos[i]), all(sin[i]));
    a[i] = x[0];
    b[i] = y[0];
  }
}
