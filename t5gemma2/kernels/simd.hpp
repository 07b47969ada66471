// The kernels of this machine's instruction set. The texts in simd/ say what they do with registers of any size;
// they are compiled once for each instruction set, in a namespace of its own, and called by pointers.
//
// Texts call no functions of the standard library: one that is compiled for AVX2 in one place would be used in
// others, too.
#pragma once
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "blocks.hpp"
#include "isa.hpp"
#include "stored_numbers.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace t5gemma2 {

/// Up to so many rows, each stored number is used while it is read; more rows share panels of float32.
inline constexpr Index few_rows = 4;

/// From so many places at a time, at most, few rows read a matrix. Parts of its rows that begin at multiples of
/// it give the same numbers as all rows.
inline constexpr int most_streams = 4;

/// y [rows, cols] = x W^T: x [rows, depth], W [cols, depth]; the rows of each are `stride` numbers apart.
template <class Stored>
using MultiplyTransposed = void (*)(Index rows, Index depth, Index cols, const float* x, Index x_stride,
                                    const Stored* W, Index W_stride, float* y, Index y_stride);

inline constexpr Index tile_depth = 32, tile_size = 16 * tile_depth;  // of a tile of x, 16 rows

/// x [rows, steps * 32] as the sum of parts in bfloat16: tiles [rows / 16, steps, parts], an even number of rows
/// of them; what stands in rows beyond x's does not matter.
struct SplitRows {
  const std::uint16_t* tiles;
  Index parts, steps;

  const std::uint16_t* tile(Index row_tile, Index step, Index part) const {
    return tiles + ((row_tile * steps + step) * parts + part) * tile_size;
  }
  /// Those from `row`, a multiple of 16, on.
  SplitRows from(Index row) const { return {tile(row / 16, 0, 0), parts, steps}; }
};

struct SimdKernels {
  std::tuple<MultiplyTransposed<float>, MultiplyTransposed<Float16>, MultiplyTransposed<BFloat16>>
      multiply_transposed;
  /// x [size] -> numbers [blocks * 32] and scales [blocks], blocks = blocks_of(size).
  void (*to_int16_blocks)(Index size, const float* x, std::int16_t* numbers, float* scales);
  /// y [rows, cols] = x W^T: x [rows, blocks] as to_int16_blocks makes it, W [cols, blocks].
  void (*multiply_int8)(Index rows, Index blocks, Index cols, const std::int16_t* x, const float* x_scales,
                        const Int8Block* W, float* y, Index y_stride);
  /// y [rows, cols] = y + x V: x [rows, depth], V [depth, cols].
  void (*multiply_add)(Index rows, Index depth, Index cols, const float* x, Index x_stride, const float* V,
                       Index V_stride, float* y, Index y_stride);
  /// Panels are filled once where many rows will be multiplied by them: [depth, panel_cols] one after the
  /// other, 0 in the columns beyond `cols`, from W [cols, depth] transposed or from V [depth, cols].
  Index panel_cols;  // a divisor of 32
  void (*pack_transposed)(Index depth, Index cols, const float* W, Index W_stride, float* panels);
  void (*pack_columns)(Index depth, Index cols, const float* V, Index V_stride, float* panels);
  /// y [rows, cols] = x [rows, depth] * panels, which begin `distance` numbers apart; y + that where `add`.
  void (*multiply_panels)(Index rows, Index depth, Index cols, const float* x, Index x_stride,
                          const float* panels, Index distance, float* y, Index y_stride, bool add);
  /// One tile of the online softmax: S [rows, cols] -> e^(scale (S - max)), in place; A [rows, dim], max and
  /// sums [rows] go on from the tiles before. A row of S has room for `cols` rounded up to a multiple of 16.
  void (*softmax_tile)(Index rows, Index cols, float scale, float* S, Index S_stride, float* max, float* sums,
                       float* A, Index dim);
  /// Into how many parts multiply_split takes x at most: 3, which are as exact as float32, 1, or 0 where the
  /// processor does not multiply bfloat16.
  Index most_parts = 0;
  /// x [size], a row, to its place in SplitRows.
  void (*split_row)(Index size, const float* x, Index parts, std::uint16_t* to) = nullptr;
  /// y [rows, cols] = x W^T: x [rows, depth], W [cols, depth].
  void (*multiply_split)(Index rows, Index depth, Index cols, const SplitRows& x, const BFloat16* W,
                         Index W_stride, float* y, Index y_stride) = nullptr;
  /// x [size] -> gelu_tanh(x), in place.
  void (*gelu_tanh)(Index size, float* x);
  /// x [size] -> the nearest numbers of bfloat16, in place.
  void (*round_to_bfloat16)(Index size, float* x);
  /// (a, b) [size] -> (a cos - b sin, b cos + a sin), in place.
  void (*rotate)(Index size, float* a, float* b, const float* cos, const float* sin);
  /// x [rows, size] -> y [rows, size]; weight and bias [size].
  void (*rms_norm)(Index rows, Index size, const float* x, const float* weight, float eps, float* y);
  void (*layer_norm)(Index rows, Index size, const float* x, const float* weight, const float* bias,
                     float eps, float* y);
  /// So many floating-point operations, a multiple of 768, in registers: x -> x * factor + summand again and
  /// again. Returns the sum of all x.
  float (*multiply_and_add)(Index flops, float factor, float summand);
  /// The sum of x [size], a multiple of 128, read from four places at a time.
  float (*sum_of)(Index size, const float* x);
};

}  // namespace t5gemma2

#define T5GEMMA2_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define T5GEMMA2_BEGIN_TARGET(names) \
  T5GEMMA2_PRAGMA(clang attribute push(__attribute__((target(names))), apply_to = function))
#define T5GEMMA2_END_TARGET T5GEMMA2_PRAGMA(clang attribute pop)
#else
#define T5GEMMA2_BEGIN_TARGET(names) T5GEMMA2_PRAGMA(GCC push_options) T5GEMMA2_PRAGMA(GCC target(names))
#define T5GEMMA2_END_TARGET T5GEMMA2_PRAGMA(GCC pop_options)
#endif

namespace t5gemma2::kernel::baseline {
#if defined(__aarch64__)
constexpr int register_bytes = 16, registers = 32;
#else
constexpr int register_bytes = 16, registers = 16;
#endif
#include "simd/vectors.inl"
#if defined(__aarch64__)
inline Floats fma(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
inline Floats to_floats(const Float16* from) {
  return vcvt_f32_f16(vld1_f16(reinterpret_cast<const __fp16*>(from)));
}
inline Ints add_pairs(Ints sum, Shorts a, Shorts b) {
  const int32x4_t low = vmull_s16(vget_low_s16(a), vget_low_s16(b)), high = vmull_high_s16(a, b);
  return vaddq_s32(sum, vpaddq_s32(low, high));
}
#else
inline Floats fma(Floats a, Floats b, Floats c) { return a * b + c; }
[[gnu::noinline]] inline Floats to_floats(const Float16* from) {
  return Floats{to_float(from[0]), to_float(from[1]), to_float(from[2]), to_float(from[3])};
}
inline Ints add_pairs(Ints sum, Shorts a, Shorts b) {
  return sum +
         reinterpret_cast<Ints>(_mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
#endif
#include "simd/kernels.inl"
}  // namespace t5gemma2::kernel::baseline

#if defined(__x86_64__)
T5GEMMA2_BEGIN_TARGET("avx2,fma,f16c")
namespace t5gemma2::kernel::avx2 {
constexpr int register_bytes = 32, registers = 16;
#include "simd/vectors.inl"
inline Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
inline Floats to_floats(const Float16* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline Ints add_pairs(Ints sum, Shorts a, Shorts b) {
  return sum + reinterpret_cast<Ints>(
                   _mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
#include "simd/kernels.inl"
}  // namespace t5gemma2::kernel::avx2
T5GEMMA2_END_TARGET

T5GEMMA2_BEGIN_TARGET(
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c,amx-tile,amx-bf16")
namespace t5gemma2::kernel::avx512 {
constexpr int register_bytes = 64, registers = 32;
#include "simd/vectors.inl"
inline Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
inline Floats to_floats(const Float16* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline Ints add_pairs(Ints sum, Shorts a, Shorts b) {
  return reinterpret_cast<Ints>(_mm512_dpwssd_epi32(
      reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
#include "simd/kernels.inl"

#include "simd/split.inl"
#include "simd/split_instructions.inl"

// Pairs are multiplied twice as fast as float32 numbers, so x in three parts would not pay.
constexpr SimdKernels bf16_kernels = with_parts<ByPairs<Bf16Pairs>>(kernels, 1);
constexpr SimdKernels amx_kernels = with_parts<ByTiles<AmxTiles>>(kernels, 3);
}  // namespace t5gemma2::kernel::avx512
T5GEMMA2_END_TARGET
#endif

#undef T5GEMMA2_BEGIN_TARGET
#undef T5GEMMA2_END_TARGET
#undef T5GEMMA2_PRAGMA

namespace t5gemma2 {

/// The kernels of an instruction set. The processor must have it.
inline const SimdKernels& kernels_of(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::amx:
      return kernel::avx512::amx_kernels;
    case Isa::avx512_bf16:
      return kernel::avx512::bf16_kernels;
    case Isa::avx512:
      return kernel::avx512::kernels;
    case Isa::avx2:
      return kernel::avx2::kernels;
#endif
    default:
      return kernel::baseline::kernels;
  }
}

/// Those of the instruction set in use. Throws Error where T5GEMMA2_ISA is wrong.
inline const SimdKernels& simd() {
  static const SimdKernels& chosen = kernels_of(isa());
  return chosen;
}

}  // namespace t5gemma2
