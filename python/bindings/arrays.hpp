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

/// The UTF-8 of a str. Throws ValueError naming the argument where it holds half a surrogate pair, TypeError where the value is
/// no str.
std::string utf8_of(nb::handle value, const std::string& name);

/// What a person would call the value: its type, and an array's numbers and shape.
std::string description_of(nb::handle value);

/// An object that nanobind can view: a buffer without DLPack, as of ctypes, becomes a memoryview.
nb::object viewable(nb::handle value);

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

/// The same of an array that has rows. Throws ValueError for a single number.
Matrix rows_of(const Array& array);

/// The same of an array [rows, columns], or of one that has axes of 1 in front of them. Throws ValueError otherwise.
Matrix sequence_of(const Array& array);

/// Throws ValueError unless the array has one axis.
Vector vector_of(const Array& array);

/// [rows, columns]: a view of the array, which it keeps, or a copy in float32 where that is no plain matrix.
Weight weight_of(const Array& array);

/// The numbers of the matrix, in the shape [leading axes.., columns].
nb::object to_numpy(Matrix matrix, std::vector<Index> shape);

/// [rows, columns]
nb::object to_numpy(Matrix matrix);

/// The matrix with the axes of the array, the last of them as many numbers as the matrix has columns.
nb::object like(const Array& array, Matrix matrix);

/// Token ids in a list or an array of whole numbers. Throws TypeError naming the argument.
std::vector<TokenId> ids_of(nb::handle value, const std::string& name);

/// Weights by the names of the checkpoint, `weight` included: a dict of arrays, or what has its keys and items.
class Weights {
 public:
  /// Throws TypeError for anything else.
  explicit Weights(nb::handle arrays);

  /// Those of a child module.
  Weights operator/(const std::string& module) const {
    Weights child = *this;
    child.path_ += module + ".";
    return child;
  }

  /// Throws KeyError naming what is there where it is missing.
  Array operator[](const std::string& name) const;
  Weight matrix(const std::string& module) const { return weight_of((*this)[module + ".weight"]); }
  Vector vector(const std::string& module) const { return vector_of((*this)[module + ".weight"]); }

 private:
  nb::object arrays_;
  std::string path_;
};

}  // namespace t5gemma2::python
