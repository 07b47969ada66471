#include "arrays.hpp"

#include <algorithm>
#include <utility>

#include "t5gemma2/checkpoint/dtype.hpp"

namespace t5gemma2::python {

namespace {

[[noreturn]] void refuse_type(const std::string& name, const std::string& expected, nb::handle found) {
  throw nb::type_error((name + ": expected " + expected + ", found " + description_of(found)).c_str());
}

[[noreturn]] void refuse_shape(const Array& array, const std::string& expected) {
  throw nb::value_error(
      (array.name + ": expected " + expected + ", found " + shape_text(array.shape())).c_str());
}

/// numpy has no bfloat16 of its own: ml_dtypes' arrays are passed on as whole numbers.
bool is_bfloat16(nb::handle value) {
  return nb::hasattr(value, "dtype") && text_of(value.attr("dtype")) == "bfloat16";
}

StorageType storage_type(const nb::dlpack::dtype& type) {
  if (type == nb::dtype<float>()) return StorageType::float32;
  const auto code = static_cast<nb::dlpack::dtype_code>(type.code);
  if (type.bits != 16 || type.lanes != 1) return StorageType{};
  if (code == nb::dlpack::dtype_code::Float) return StorageType::float16;
  if (code == nb::dlpack::dtype_code::Bfloat) return StorageType::bfloat16;
  return StorageType{};
}

/// Number `i` of the array, in the order of its axes.
std::int64_t place_of(const Array& array, std::int64_t i) {
  std::int64_t place = 0;
  for (std::size_t axis = array.axes(); axis-- > 0;) {
    const auto extent = static_cast<std::int64_t>(array.view.shape(axis));
    place += i % extent * array.view.stride(axis);
    i /= extent;
  }
  return place;
}

}  // namespace

std::string description_of(nb::handle value) {
  std::string text = text_of(value.type().attr("__name__"));
  if (nb::hasattr(value, "dtype") && nb::hasattr(value, "shape"))
    text += " of " + text_of(value.attr("dtype")) + ", shape " + text_of(value.attr("shape"));
  return text;
}

std::string utf8_of(nb::handle value, const std::string& name) {
  if (!nb::isinstance<nb::str>(value)) refuse_type(name, "a text", value);
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(value.ptr(), &size);
  if (!text) {
    PyErr_Clear();
    throw nb::value_error((name + ": expected a text, found half a surrogate pair").c_str());
  }
  return {text, static_cast<std::size_t>(size)};
}

nb::object viewable(nb::handle value) {
  if (nb::hasattr(value, "__dlpack__") || !PyObject_CheckBuffer(value.ptr())) return nb::borrow(value);
  return nb::steal(PyMemoryView_FromObject(value.ptr()));
}

std::vector<Index> Array::shape() const {
  std::vector<Index> extents;
  for (std::size_t axis = 0; axis < axes(); ++axis) extents.push_back(extent(axis));
  return extents;
}

bool Array::is_contiguous() const {
  std::int64_t expected = 1;
  for (std::size_t axis = axes(); axis-- > 0;) {
    if (view.shape(axis) > 1 && view.stride(axis) != expected) return false;
    expected *= static_cast<std::int64_t>(view.shape(axis));
  }
  return true;
}

Array array_of(nb::handle value, const std::string& name) {
  const std::string expected = "a float32, float16 or bfloat16 array";
  nb::object plain = nb::borrow(value);
  if (nb::hasattr(value, "detach") && !nb::isinstance<nb::type_object>(value))
    plain = value.attr("detach")();  // torch's Parameters
  if (nb::hasattr(plain, "resolve_neg"))
    plain = plain.attr("resolve_neg")();  // a view of torch's with the sign left out
  const bool bfloat16 = is_bfloat16(plain);
  plain = bfloat16 ? plain.attr("view")("uint16") : viewable(plain);
  Array array{.name = name, .view = {}, .type = StorageType::bfloat16};
  if (!nb::ndarray_check(plain) || !nb::try_cast(plain, array.view)) refuse_type(name, expected, value);
  if (!bfloat16) array.type = storage_type(array.view.dtype());
  const bool has_numbers = array.view.size() == 0 || array.view.data();
  if (array.type == StorageType{} || !has_numbers) refuse_type(name, expected, value);
  return array;
}

Matrix matrix_of(const Array& array) {
  Index rows = 1;
  for (std::size_t axis = 0; axis + 1 < array.axes(); ++axis) rows *= array.extent(axis);
  Matrix matrix(rows, array.cols());
  with_stored_numbers(static_cast<const std::byte*>(array.view.data()), array.type, [&](const auto* stored) {
    const bool contiguous = array.is_contiguous();
    for (Index i = 0; i < matrix.size(); ++i)
      matrix.data()[i] = to_float(stored[contiguous ? i : place_of(array, i)]);
  });
  return matrix;
}

Matrix rows_of(const Array& array) {
  if (array.axes() == 0) refuse_shape(array, "[.., columns]");
  return matrix_of(array);
}

Matrix sequence_of(const Array& array) {
  const std::vector<Index> shape = array.shape();
  const bool single =
      shape.size() >= 2 && std::all_of(shape.begin(), shape.end() - 2, [](Index one) { return one == 1; });
  if (!single) refuse_shape(array, "[rows, columns], or [1, rows, columns]");
  return matrix_of(array);
}

Vector vector_of(const Array& array) {
  if (array.axes() != 1) refuse_shape(array, "one axis");
  return matrix_of(array).row(0).transpose();
}

Weight weight_of(const Array& array) {
  if (array.axes() != 2 || array.extent(0) == 0) refuse_shape(array, "[rows, columns], a row or more");
  const auto* data = static_cast<const std::byte*>(array.view.data());
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  if (array.is_contiguous() && data && address % static_cast<std::uintptr_t>(alignment_of(array.type)) == 0)
    return {.data = data,
            .type = array.type,
            .rows = array.extent(0),
            .cols = array.extent(1),
            .owner = std::make_shared<const Array>(array)};
  const auto copy = std::make_shared<const Matrix>(matrix_of(array));
  return {.data = reinterpret_cast<const std::byte*>(copy->data()),
          .type = StorageType::float32,
          .rows = copy->rows(),
          .cols = copy->cols(),
          .owner = copy};
}

nb::object to_numpy(Matrix matrix, std::vector<Index> shape) {
  auto* owned = new Matrix(std::move(matrix));
  const nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<Matrix*>(p); });
  const std::vector<std::size_t> extents(shape.begin(), shape.end());
  return nb::cast(nb::ndarray<nb::numpy, float>(owned->data(), extents.size(), extents.data(), owner));
}

nb::object to_numpy(Matrix matrix) {
  const std::vector<Index> shape{matrix.rows(), matrix.cols()};
  return to_numpy(std::move(matrix), shape);
}

nb::object like(const Array& array, Matrix matrix) {
  std::vector<Index> shape = array.shape();
  if (!shape.empty()) shape.back() = matrix.cols();
  return to_numpy(std::move(matrix), std::move(shape));
}

namespace {

std::vector<TokenId> ids_in(nb::handle list, const std::string& name) {
  std::vector<TokenId> ids;
  for (const nb::handle id : list) {
    const bool whole = PyIndex_Check(id.ptr()) != 0 && !nb::isinstance<nb::bool_>(id);
    const Py_ssize_t number = whole ? PyNumber_AsSsize_t(id.ptr(), PyExc_OverflowError) : 0;
    const bool wrong = PyErr_Occurred() != nullptr;
    PyErr_Clear();
    if (!whole || wrong || !std::in_range<TokenId>(number)) refuse_type(name, "token ids", id);
    ids.push_back(static_cast<TokenId>(number));
  }
  return ids;
}

}  // namespace

std::vector<TokenId> ids_of(nb::handle value, const std::string& name) {
  const nb::object list = nb::hasattr(value, "tolist") ? value.attr("tolist")() : nb::borrow(value);
  const bool is_range = nb::isinstance<nb::object>(list) && PySequence_Check(list.ptr()) != 0;
  if (!is_range || nb::isinstance<nb::str>(list) || nb::isinstance<nb::bytes>(list))
    refuse_type(name, "token ids", value);
  if (nb::len(list) == 1 && nb::isinstance<nb::list>(list[0])) return ids_in(list[0], name);  // [1, n]
  return ids_in(list, name);
}

Weights::Weights(nb::handle arrays) : arrays_(nb::borrow(arrays)) {
  if (!nb::hasattr(arrays, "keys") || !nb::hasattr(arrays, "__getitem__"))
    refuse_type("weights", "a dict of arrays", arrays);
}

Array Weights::operator[](const std::string& name) const {
  const std::string key = path_ + name;
  const bool is_there = nb::cast<bool>(arrays_.attr("__contains__")(key));
  if (is_there) return array_of(nb::object(arrays_[key.c_str()]), key);
  std::string found;
  for (const nb::handle one : arrays_.attr("keys")()) found += (found.empty() ? "" : ", ") + text_of(one);
  throw nb::key_error(("weights: expected " + key + ", found " + (found.empty() ? "none" : found)).c_str());
}

}  // namespace t5gemma2::python
