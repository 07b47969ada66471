// Matrices of the engine: rows are tokens, columns are features, row-major as in the checkpoint.
//
//   Matrix, Vector   float32 values that the engine computes with: hidden states, scores, logits, norms
//   Weight           a matrix as it is stored: a view of the memory-mapped checkpoint, float32, float16 or
//                    bfloat16, or a copy in another format (precision.hpp)
#pragma once
#include <Eigen/Dense>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace t5gemma2 {

using Index = Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXf;
using TokenId = std::int32_t;

/// Number formats of weights: those of a checkpoint (safetensors F32, F16, BF16), and rows of blocks of 8-bit
/// numbers (kernels/blocks.hpp).
enum class StorageType { float32 = 1, float16, bfloat16, int8_blocks };  // 0: not set

/// Bytes that begin a stored number or block are a multiple of this.
constexpr Index alignment_of(StorageType type) { return type == StorageType::float32 ? 4 : 2; }

/// Bytes of one stored row of `cols` numbers.
constexpr Index row_bytes(StorageType type, Index cols) {
  if (type == StorageType::int8_blocks) return (cols + 31) / 32 * 34;
  return cols * alignment_of(type);
}

/// Marks a number that has not been set and has no default. Functions that need the number
/// throw std::invalid_argument.
inline constexpr float unset = std::numeric_limits<float>::quiet_NaN();

/// A change s B A, of rank r, that is added to a matrix [out, in] (LoRA; lora/adapter.hpp).
struct LowRank {
  Matrix A;             // [r, in]
  Matrix B;             // [out, r]
  float scale = unset;  // s
};

/// A stored matrix W [rows, cols], which stands for W + s B A where it has changes.
struct Weight {
  const std::byte* data = nullptr;  // aligned to alignment_of(type)
  StorageType type{};
  Index rows = 0, cols = 0;
  bool rounds_x = false;                // to bfloat16, in products: --dtype bfloat16
  std::shared_ptr<const void> owner{};  // of data; none where a checkpoint, which must outlive W, owns it
  std::vector<std::shared_ptr<const LowRank>> changes{};  // one of each adapter

  Index bytes() const { return rows * row_bytes(type, cols); }
};

/// Throws std::invalid_argument "NAME: expected EXPECTED, found FOUND" unless `fits`.
template <class Found>
void check_argument(bool fits, const char* name, const char* expected, const Found& found) {
  if (fits) return;
  std::ostringstream line;
  line << name << ": expected " << expected << ", found " << found;
  throw std::invalid_argument(line.str());
}

/// Throws std::invalid_argument unless eps, which a norm adds to a mean square, is 0 or more and finite.
inline void check_eps(float eps, const char* name) {
  check_argument(eps >= 0 && std::isfinite(eps), name, "0 or more", eps);
}

/// Throws std::invalid_argument unless x is [rows, cols]; -1 stands for any.
template <class Shaped>
void check_shape(const Shaped& x, Index rows, Index cols, const char* name) {
  const auto extent = [](const auto& of) {
    if constexpr (requires { of.rows(); })
      return std::pair<Index, Index>(of.rows(), of.cols());
    else
      return std::pair<Index, Index>(of.rows, of.cols);
  };
  const auto [found_rows, found_cols] = extent(x);
  if ((rows < 0 || found_rows == rows) && (cols < 0 || found_cols == cols)) return;
  const auto text = [](Index r, Index c) {
    const auto one = [](Index i) { return i < 0 ? std::string("any") : std::to_string(i); };
    if constexpr (std::is_same_v<Shaped, Vector>) return "[" + one(r) + "]";
    return "[" + one(r) + ", " + one(c) + "]";
  };
  throw std::invalid_argument(std::string(name) + ": expected " + text(rows, cols) + ", found " +
                              text(found_rows, found_cols));
}

}  // namespace t5gemma2
