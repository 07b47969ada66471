// For tests: the kernels of every instruction set of this processor, and those of registers of 64 bytes with the
// compiler's own operations, so that the sizes of AVX-512 are tested on every machine.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "t5gemma2/kernels/simd.hpp"

namespace t5gemma2::kernel::of_64_bytes {
constexpr int register_bytes = 64, registers = 32;
#include "t5gemma2/kernels/simd/vectors.inl"
inline Floats fma(Floats a, Floats b, Floats c) { return a * b + c; }
[[gnu::noinline]] inline Floats to_floats(const Float16* from) {
  Floats x;
  for (int i = 0; i < lanes; ++i) x[i] = to_float(from[i]);
  return x;
}
inline Ints add_pairs(Ints sum, Shorts a, Shorts b) {
  for (int i = 0; i < lanes; ++i) sum[i] += a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
  return sum;
}
#include "t5gemma2/kernels/simd/kernels.inl"

#include "t5gemma2/kernels/simd/split.inl"

/// The tiles of AMX in plain C++.
class PlainTiles {
 public:
  template <int T>
  void zero() {
    for (float& sum : sums_[T]) sum = 0;
  }
  template <int T>
  void load(const void* from) {
    std::memcpy(numbers_[T - 4], from, sizeof numbers_[0]);
  }
  template <int T>
  void store(float* to, Index stride) {
    for (int row = 0; row < 16; ++row) std::copy_n(sums_[T] + 16 * row, 16, to + row * stride);
  }
  template <int T, int A>
  void dots() {
    dot(sums_[T], A, 6);
    dot(sums_[T + 1], A, 7);
  }

 private:
  void dot(float* sums, int a, int b) const {
    for (int row = 0; row < 16; ++row)
      for (int col = 0; col < 16; ++col)
        for (int k = 0; k < 32; ++k)
          sums[16 * row + col] += number(a, 32 * row + k) * number(b, k / 2 * 32 + 2 * col + k % 2);
  }
  float number(int tile, int i) const {
    return std::bit_cast<float>(std::uint32_t{numbers_[tile - 4][i]} << 16);
  }

  float sums_[4][256];
  std::uint16_t numbers_[4][512];
};

/// The pairs of AVX512_BF16 in plain C++.
struct PlainPairs {
  static Floats add(Floats sum, Words a, Words b) {
    return sum + as_floats(a << 16) * as_floats(b << 16) +
           as_floats(a & 0xffff0000u) * as_floats(b & 0xffff0000u);
  }
};

constexpr SimdKernels tile_kernels = with_parts<ByTiles<PlainTiles>>(kernels, 3);
constexpr SimdKernels pair_kernels = with_parts<ByPairs<PlainPairs>>(kernels, 3);
}  // namespace t5gemma2::kernel::of_64_bytes

namespace t5gemma2 {

/// Calls test(kernels) for each.
template <class Test>
void with_each_instruction_set(const Test& test) {
  for (int i = 0; i <= static_cast<int>(processor_isa()); ++i) {
    const std::string instruction_set{name_of(static_cast<Isa>(i))};
    CAPTURE(instruction_set);
    test(kernels_of(static_cast<Isa>(i)));
  }
  const std::string instruction_set = "registers of 64 bytes";
  CAPTURE(instruction_set);
  test(kernel::of_64_bytes::tile_kernels);
}

}  // namespace t5gemma2
