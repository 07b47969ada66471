// The number formats of safetensors files, those of Dtype in huggingface/safetensors. Weights are F32, F16 or
// BF16; other tensors may have any format.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../tensor.hpp"

namespace t5gemma2 {

/// Every number format of safetensors.
enum class Dtype {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64
};

/// The properties of one number format.
struct DtypeInfo {
  Dtype dtype;
  std::string_view name;                    // in the file
  std::size_t bits;                         // of one number
  std::optional<StorageType> storage_type;  // of formats that weights may have
};

inline constexpr std::array<DtypeInfo, 22> dtypes{{
    {Dtype::boolean, "BOOL", 8, {}},
    {Dtype::f4, "F4", 4, {}},
    {Dtype::f6_e2m3, "F6_E2M3", 6, {}},
    {Dtype::f6_e3m2, "F6_E3M2", 6, {}},
    {Dtype::u8, "U8", 8, {}},
    {Dtype::i8, "I8", 8, {}},
    {Dtype::f8_e5m2, "F8_E5M2", 8, {}},
    {Dtype::f8_e4m3, "F8_E4M3", 8, {}},
    {Dtype::f8_e8m0, "F8_E8M0", 8, {}},
    {Dtype::f8_e4m3fnuz, "F8_E4M3FNUZ", 8, {}},
    {Dtype::f8_e5m2fnuz, "F8_E5M2FNUZ", 8, {}},
    {Dtype::i16, "I16", 16, {}},
    {Dtype::u16, "U16", 16, {}},
    {Dtype::f16, "F16", 16, StorageType::float16},
    {Dtype::bf16, "BF16", 16, StorageType::bfloat16},
    {Dtype::i32, "I32", 32, {}},
    {Dtype::u32, "U32", 32, {}},
    {Dtype::f32, "F32", 32, StorageType::float32},
    {Dtype::c64, "C64", 64, {}},
    {Dtype::f64, "F64", 64, {}},
    {Dtype::i64, "I64", 64, {}},
    {Dtype::u64, "U64", 64, {}},
}};

constexpr const DtypeInfo& info_of(Dtype dtype) {
  return *std::find_if(dtypes.begin(), dtypes.end(), [&](const auto& info) { return info.dtype == dtype; });
}

/// The format's name in a file: "BF16".
constexpr std::string_view name_of(Dtype dtype) { return info_of(dtype).name; }

/// Bits of one number.
constexpr std::size_t bits_of(Dtype dtype) { return info_of(dtype).bits; }

/// The storage type of F32, F16 and BF16; nothing for the other formats.
constexpr std::optional<StorageType> storage_type(Dtype dtype) { return info_of(dtype).storage_type; }

/// Bytes of prod(shape) numbers; nothing when that overflows or is not an integer number of bytes.
inline std::optional<std::size_t> bytes_of(Dtype dtype, const std::vector<Index>& shape) {
  std::size_t bits = bits_of(dtype);
  for (const Index extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(bits, static_cast<std::size_t>(extent), &bits)) return {};
  }
  return bits % 8 == 0 ? std::optional(bits / 8) : std::nullopt;
}

/// "[2, 3]"
inline std::string shape_text(const std::vector<Index>& shape) {
  std::string text;
  for (const Index extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "[" + text + "]";
}

/// "F32 [4, 64]"
inline std::string text_of(Dtype dtype, const std::vector<Index>& shape) {
  return std::string(name_of(dtype)) + " " + shape_text(shape);
}

}  // namespace t5gemma2
