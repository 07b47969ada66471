// How Python calls the engine: without the GIL, on threads that a fork left behind are not waited for, and so that
// Ctrl-C ends a long computation.
#pragma once
#include <nanobind/nanobind.h>
#include <omp.h>
#include <unistd.h>

#include <exception>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "t5gemma2/progress.hpp"
#include "t5gemma2/tensor.hpp"

namespace t5gemma2::python {

namespace nb = nanobind;

/// The process that loaded the module. In a child of it that was made by fork(), OpenMP waits forever for the threads of its
/// parent, unless the call comes from a thread that never had any.
inline const pid_t loaded_in = getpid();

/// As many threads as OpenMP would take.
inline constexpr int all_threads = 0;

/// run() without the GIL, on so many threads.
template <class Run>
auto without_gil(int threads, Run run) {
  using Result = std::invoke_result_t<Run>;
  const nb::gil_scoped_release released;
  const auto on_threads = [&] {
    const int before = omp_get_max_threads();
    if (threads > 0) omp_set_num_threads(threads);
    struct Restore {
      int threads;
      ~Restore() { omp_set_num_threads(threads); }
    } const restore{before};
    return run();
  };
  if (getpid() == loaded_in) return on_threads();
  std::exception_ptr escaped;
  std::optional<Result> result;
  std::thread([&] {
    try {
      result.emplace(on_threads());
    } catch (...) {
      escaped = std::current_exception();
    }
  }).join();
  if (escaped) std::rethrow_exception(escaped);
  return std::move(*result);
}

/// A Progress that lets Python handle its signals: KeyboardInterrupt leaves the computation. For calls from the main
/// thread; elsewhere there are no signals to handle.
inline Progress heed_signals() {
  return [](Index, Index) {
    const nb::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
  };
}

}  // namespace t5gemma2::python
