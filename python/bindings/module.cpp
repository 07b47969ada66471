// The extension module: python/src/t5gemma2/__init__.py is its face.
#include <nanobind/nanobind.h>

#include <exception>
#include <string>

#include "bindings.hpp"
#include "calls.hpp"
#include "t5gemma2/error.hpp"
#include "t5gemma2/version.hpp"

namespace {

/// Error of Python: a ValueError. Names of files in its message need not be UTF-8.
void bind_error(nanobind::module_& m) {
  const nanobind::object type = nanobind::exception<t5gemma2::Error>(m, "Error", PyExc_ValueError);
  nanobind::register_exception_translator(
      [](const std::exception_ptr& thrown, void* error) {
        try {
          std::rethrow_exception(thrown);
        } catch (const t5gemma2::Error& e) {
          const std::string text = e.what();
          const nanobind::object message = nanobind::steal(
              PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
          PyErr_SetObject(static_cast<PyObject*>(error), message.ptr());
        }
      },
      type.ptr());
}

}  // namespace

NB_MODULE(_core, m) {
  nanobind::set_leak_warnings(
      false);  // a thread that computes where the interpreter ends still holds its model
  m.attr("__version__") = nanobind::str(t5gemma2::version.data(), t5gemma2::version.size());
  t5gemma2::python::begin();
  m.def("_leave", t5gemma2::python::leave, "For atexit.");
  bind_error(m);
  t5gemma2::python::bind_units(m);
  t5gemma2::python::bind_images(m);
  t5gemma2::python::bind_model(m);
  t5gemma2::python::bind_comparison(m);
}
