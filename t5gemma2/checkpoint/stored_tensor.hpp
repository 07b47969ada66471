// One tensor in a memory-mapped file, and its numbers as the engine uses them: a matrix as a view of the
// file, a vector copied into float32, token ids copied into integers.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "../error.hpp"
#include "../io/readable.hpp"
#include "../kernels/stored_numbers.hpp"
#include "../tensor.hpp"
#include "dtype.hpp"

namespace t5gemma2 {

/// A tensor in a mapped file; the SafetensorsFile owns the memory.
struct StoredTensor {
  std::string name;  // in the file
  Dtype dtype = Dtype::f32;
  std::vector<Index> shape;         // empty for a scalar
  const std::byte* data = nullptr;  // aligned to one number
  std::size_t bytes = 0;            // of all numbers
  std::string file;
};

/// Throws std::invalid_argument unless `tensor` is set: an address, and the bytes that its shape asks for.
inline void check(const StoredTensor& tensor) {
  const std::string name = "tensor " + readable(tensor.name);
  check_argument(tensor.data != nullptr, name.c_str(), "the address of its numbers", "none");
  const std::string expected = "the bytes of " + text_of(tensor.dtype, tensor.shape);
  check_argument(bytes_of(tensor.dtype, tensor.shape) == tensor.bytes, name.c_str(), expected.c_str(),
                 tensor.bytes);
}

/// Throws Error unless `tensor` has this shape; `reason` says where the shape comes from, e.g.
/// "encoder.text_config: vocab_size, hidden_size".
inline void check_shape(const StoredTensor& tensor, const std::vector<Index>& shape,
                        const std::string& reason) {
  if (tensor.shape == shape) return;
  fail(tensor.file, readable(tensor.name), text_of(tensor.dtype, shape) + " (" + reason + ")",
       text_of(tensor.dtype, tensor.shape));
}

/// How the numbers of an F32, F16 or BF16 tensor are stored. Throws Error for any other dtype.
inline StorageType storage_type(const StoredTensor& tensor) {
  if (const auto type = storage_type(tensor.dtype)) return *type;
  fail(tensor.file, readable(tensor.name), "F32, F16 or BF16 numbers", text_of(tensor.dtype, tensor.shape));
}

/// The matrix [rows, cols], a view of the file. Throws Error when the tensor is of another shape or not F32,
/// F16 or BF16, std::invalid_argument when it is not set.
inline Weight as_weight(const StoredTensor& tensor, Index rows, Index cols, const std::string& reason) {
  check_shape(tensor, {rows, cols}, reason);
  Weight weight{tensor.data, storage_type(tensor), rows, cols};
  check(tensor);
  return weight;
}

/// The numbers of an F32, F16 or BF16 tensor of any shape in float32, in stored order. Throws Error for any
/// other dtype, std::invalid_argument when the tensor is not set.
inline Vector to_vector(const StoredTensor& tensor) {
  const StorageType type = storage_type(tensor);
  check(tensor);
  Vector values(static_cast<Index>(tensor.bytes) / alignment_of(type));
  with_stored_numbers(tensor.data, type, [&](const auto* stored) {
    for (Index i = 0; i < values.size(); ++i) values[i] = to_float(stored[i]);
  });
  return values;
}

/// A vector [size] in float32 (norms, biases). Throws Error when the tensor is of another shape.
inline Vector to_vector(const StoredTensor& tensor, Index size, const std::string& reason) {
  check_shape(tensor, {size}, reason);
  return to_vector(tensor);
}

/// The numbers of an I64 or I32 tensor of any shape (token ids). Throws Error for any other dtype,
/// std::invalid_argument when the tensor is not set.
inline std::vector<Index> to_integers(const StoredTensor& tensor) {
  if (tensor.dtype != Dtype::i64 && tensor.dtype != Dtype::i32)
    fail(tensor.file, readable(tensor.name), "I64 or I32 numbers", text_of(tensor.dtype, tensor.shape));
  check(tensor);
  const auto numbers = [&](const auto* first) {
    return std::vector<Index>(first, first + tensor.bytes / sizeof *first);
  };
  if (tensor.dtype == Dtype::i64) return numbers(reinterpret_cast<const std::int64_t*>(tensor.data));
  return numbers(reinterpret_cast<const std::int32_t*>(tensor.data));
}

}  // namespace t5gemma2
