// One tensor in a memory-mapped file, and its numbers as the engine takes them: a matrix where it lies, a
// small vector in float32, token ids.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "../error.hpp"
#include "../tensor.hpp"
#include "safetensors_header.hpp"

namespace t5gemma2 {

/// A tensor in a mapped file; the file owns the memory.
struct StoredTensor {
  std::string name;  // in the file
  Dtype dtype = Dtype::f32;
  std::vector<Index> shape;         // empty for a scalar
  const std::byte* data = nullptr;  // aligned to one number
  std::size_t bytes = 0;
  std::string file;
};

/// How the numbers of a F32, F16 or BF16 tensor are stored; Error for any other.
inline StorageType storage_type(const StoredTensor& tensor) {
  switch (tensor.dtype) {
    case Dtype::f32:
      return StorageType::float32;
    case Dtype::f16:
      return StorageType::float16;
    case Dtype::bf16:
      return StorageType::bfloat16;
    default:
      fail(tensor.file, readable(tensor.name), "F32, F16 or BF16 numbers",
           text_of(tensor.dtype, tensor.shape));
  }
}

/// Throws Error unless `tensor` has this shape; `reason` says where the shape comes from, e.g.
/// "encoder.text_config.vocab_size, hidden_size".
inline void check_shape(const StoredTensor& tensor, const std::vector<Index>& shape,
                        const std::string& reason) {
  if (tensor.shape == shape) return;
  fail(tensor.file, readable(tensor.name), text_of(tensor.dtype, shape) + " (" + reason + ")",
       text_of(tensor.dtype, tensor.shape));
}

/// The matrix [rows, cols] where it lies. Throws Error when the tensor is of another shape or not of real
/// numbers.
inline Weight as_weight(const StoredTensor& tensor, Index rows, Index cols, const std::string& reason) {
  check_shape(tensor, {rows, cols}, reason);
  return {tensor.data, storage_type(tensor), rows, cols};
}

/// The numbers of a tensor of any shape in float32, in the order they are stored.
inline Vector to_vector(const StoredTensor& tensor) {
  const auto numbers = [&]<class Stored>() -> Vector {
    const auto count = static_cast<Index>(tensor.bytes / sizeof(Stored));
    const auto* first = reinterpret_cast<const Stored*>(tensor.data);
    return Eigen::Map<const Eigen::Matrix<Stored, Eigen::Dynamic, 1>>(first, count).template cast<float>();
  };
  switch (storage_type(tensor)) {
    case StorageType::float32:
      return numbers.template operator()<float>();
    case StorageType::float16:
      return numbers.template operator()<Eigen::half>();
    case StorageType::bfloat16:
      return numbers.template operator()<Eigen::bfloat16>();
  }
  throw std::logic_error("to_vector: a storage type without a case");
}

/// A vector [size] in float32 (norms, biases). Throws Error when the tensor is of another shape.
inline Vector to_vector(const StoredTensor& tensor, Index size, const std::string& reason) {
  check_shape(tensor, {size}, reason);
  return to_vector(tensor);
}

/// The numbers of an I64 or I32 tensor of any shape (token ids). Throws Error for any other dtype.
inline std::vector<Index> to_integers(const StoredTensor& tensor) {
  const auto numbers = [&]<class Stored>() {
    const auto* first = reinterpret_cast<const Stored*>(tensor.data);
    return std::vector<Index>(first, first + tensor.bytes / sizeof(Stored));
  };
  if (tensor.dtype == Dtype::i64) return numbers.template operator()<std::int64_t>();
  if (tensor.dtype == Dtype::i32) return numbers.template operator()<std::int32_t>();
  fail(tensor.file, readable(tensor.name), "I64 or I32 numbers", text_of(tensor.dtype, tensor.shape));
}

}  // namespace t5gemma2
