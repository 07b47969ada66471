// The C++ types of stored numbers, and the only switch over StorageType that chooses one.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "../tensor.hpp"

namespace t5gemma2 {

using BFloat16 = Eigen::bfloat16;
using Float16 = Eigen::half;

inline float to_float(float stored) { return stored; }
inline float to_float(Float16 stored) { return static_cast<float>(stored); }
inline float to_float(BFloat16 stored) { return std::bit_cast<float>(std::uint32_t{stored.value} << 16); }

/// Calls use(pointer) with `data` as a pointer to the numbers stored there: float, Float16 or BFloat16.
/// Throws std::invalid_argument for any other type.
template <class Use>
void with_stored_numbers(const std::byte* data, StorageType type, const Use& use) {
  switch (type) {
    case StorageType::float32:
      return use(reinterpret_cast<const float*>(data));
    case StorageType::float16:
      return use(reinterpret_cast<const Float16*>(data));
    case StorageType::bfloat16:
      return use(reinterpret_cast<const BFloat16*>(data));
    case StorageType::int8_blocks:
      break;  // no single numbers
  }
  throw std::invalid_argument("storage type: expected float32, float16 or bfloat16, found none of them");
}

}  // namespace t5gemma2
