// For tests: the kernels of every instruction set of this processor, and those of registers of 64 bytes with the
// compiler's own operations, so that the sizes of AVX-512 are tested on every machine.
#pragma once
#include <doctest/doctest.h>

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
  test(kernel::of_64_bytes::kernels);
}

}  // namespace t5gemma2
