// Rows of numbers in blocks of 32, each a scale times whole numbers: a weight matrix in 8 bits (--dtype int8), and
// the rows of x that meet it, in 16 bits.
//
//   w = scale * n    |n| <= 127,     scale the block's largest |w| / 127, in bfloat16, rounded up
//   x = scale * n    |n| <= 32767,   scale the block's largest |x| / 32767
//
// A row whose length is no multiple of 32 ends with zeros. A block with a number that is not finite has the scale
// NaN. The paper leaves out number formats.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "stored_numbers.hpp"

namespace t5gemma2 {

inline constexpr Index block_size = 32;

constexpr Index blocks_of(Index size) { return (size + block_size - 1) / block_size; }

/// Where number k of a block lies: beside number k + 16, which is the order in which kernels widen them.
constexpr Index place_in_block(Index k) { return k < 16 ? 2 * k : 2 * (k - 16) + 1; }

struct Int8Block {
  BFloat16 scale;
  std::int8_t numbers[block_size];

  float operator[](Index k) const { return to_float(scale) * static_cast<float>(numbers[place_in_block(k)]); }
};
static_assert(sizeof(Int8Block) == 34 && alignof(Int8Block) == 2);
static_assert(row_bytes(StorageType::int8_blocks, block_size) == sizeof(Int8Block));

/// x [32] as whole numbers of at most `largest`: writes them by set(k, number), |number| <= largest <= 2^15, and
/// returns the scale, a multiple of x's largest number that round_up(scale) makes. 0 where all are below 1e-30.
template <class RoundUp, class Set>
float to_whole_numbers(const float* x, float largest, const RoundUp& round_up, const Set& set) {
  float most = 0, not_finite = 0;
  for (Index k = 0; k < block_size; ++k) {
    most = std::max(most, std::abs(x[k]));
    not_finite += x[k] * 0.0f;
  }
  const float scale = most < 1e-30f ? 0.0f : round_up(most / largest), inverse = scale > 0 ? 1 / scale : 0;
  for (Index k = 0; k < block_size; ++k) {
    const float shifted = x[k] * inverse + 0x1.8p23f;  // whose last bits are the nearest whole number
    set(k, static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(shifted) - 0x4b400000u));
  }
  return scale + not_finite;
}

/// The nearest bfloat16 that is not below scale >= 0.
inline float round_up_to_bfloat16(float scale) {
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(scale) + 0xffffu) & 0xffff0000u);
}

/// w [size] as it is stored -> blocks [blocks_of(size)].
template <class Stored>
void to_int8_blocks(const Stored* w, Index size, Int8Block* blocks) {
  for (Index first = 0; first < size; first += block_size, ++blocks) {
    float numbers[block_size] = {};
    const Index count = std::min(block_size, size - first);
    for (Index k = 0; k < count; ++k) numbers[k] = to_float(w[first + k]);
    const float scale =
        to_whole_numbers(numbers, 127, round_up_to_bfloat16, [&](Index k, std::int32_t number) {
          blocks->numbers[place_in_block(k)] = static_cast<std::int8_t>(number);
        });
    blocks->scale = BFloat16(scale);
  }
}

}  // namespace t5gemma2
