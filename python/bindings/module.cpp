// The extension module: python/src/t5gemma2/__init__.py is its face.
#include <nanobind/nanobind.h>

#include "bindings.hpp"
#include "calls.hpp"
#include "t5gemma2/error.hpp"

NB_MODULE(_core, m) {
  m.def("set_main_thread",
        [] { t5gemma2::python::main_thread = pthread_self(); });  // the caller, after a fork
  nanobind::exception<t5gemma2::Error>(m, "Error", PyExc_ValueError);
  t5gemma2::python::bind_units(m);
  t5gemma2::python::bind_images(m);
  t5gemma2::python::bind_model(m);
  t5gemma2::python::bind_comparison(m);
}
