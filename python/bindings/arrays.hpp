// Arrays of Python and matrices of the engine. A Weight is a view of the array where its numbers lie row by row; a
// Matrix that the engine made becomes an array without a copy.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "t5gemma2/kernels/stored_numbers.hpp"
#include "t5gemma2/tensor.hpp"

namespace t5gemma2::python {

namespace nb = nanobind;

/// str(value)
inline std::string text_of(nb::handle value) { return nb::cast<std::string>(nb::str(value)); }

/// A float32, float16 or bfloat16 array of Python: numpy's, or another library's by DLPack.
struct Array {
  std::string name;  // of the argument
  nb::ndarray<nb::ro, nb::device::cpu> view;
  StorageType type{};

  std::size_t axes() const { return view.ndim(); }
  Index extent(std::size_t axis) const { return static_cast<Index>(view.shape(axis)); }
  Index cols() const { return axes() == 0 ? 1 : extent(axes() - 1); }
  Index size() const { return static_cast<Index>(view.size()); }
  std::vector<Index> shape() const;
  bool is_contiguous() const;
};

/// Throws TypeError naming the argument unless `value` is such an array.
Array array_of(nb::handle value, const std::string& name);

/// Its numbers in float32, row by row: [product of all axes but the last, last axis].
Matrix matrix_of(const Array& array);

/// The same of an array [rows, columns], or of one that has axes of 1 in front of them. Throws ValueError otherwise.
Matrix sequence_of(const Array& array);

/// Throws ValueError unless the array has one axis.
Vector vector_of(const Array& array);

/// [rows, columns]: a view of the array, which must outlive it, or a copy in float32 where that is no plain matrix.
Weight weight_of(const Array& array);

/// The numbers of the matrix, in the shape [leading axes.., columns].
nb::object to_numpy(Matrix matrix, std::vector<Index> shape);

/// As many rows as the array has, in all its axes but the last.
nb::object like(const Array& array, Matrix matrix);

/// Token ids in a list or an array of whole numbers. Throws TypeError naming the argument.
std::vector<TokenId> ids_of(nb::handle value, const std::string& name);

/// Weights by the names of the checkpoint, `weight` included: a dict of arrays.
class Weights {
 public:
  Weights(nb::dict arrays, std::string path = "") : arrays_(std::move(arrays)), path_(std::move(path)) {}

  /// Those of a child module.
  Weights operator/(const std::string& module) const { return {arrays_, path_ + module + "."}; }

  /// Throws KeyError naming what is there where it is missing.
  Array operator[](const std::string& name) const;
  Weight matrix(const std::string& module) const { return weight_of((*this)[module + ".weight"]); }
  Vector vector(const std::string& module) const { return vector_of((*this)[module + ".weight"]); }

 private:
  nb::dict arrays_;
  std::string path_;
};

}  // namespace t5gemma2::python
