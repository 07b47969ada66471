// How Python calls the engine: without the GIL, also in a process that was forked, and so that Ctrl-C ends a long
// computation.
#pragma once
#include <nanobind/nanobind.h>
#include <omp.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <future>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "t5gemma2/progress.hpp"
#include "t5gemma2/tensor.hpp"

namespace t5gemma2::python {

namespace nb = nanobind;

/// As many threads as OpenMP would take.
inline constexpr int all_threads = 0;

/// How long a key of Python may wait: for Ctrl-C, and between two looks at the clock.
inline constexpr std::chrono::milliseconds patience{50};

/// The process that loaded the module. In a child of it that was made by fork(), OpenMP waits forever for the threads of its
/// parent, unless the call comes from a thread that never had any.
inline const pid_t loaded_in = getpid();

/// Python's main thread, which alone handles signals; after a fork the one that forked (set_main_thread).
inline std::atomic<pthread_t> main_thread = pthread_self();

/// Set where the main thread was interrupted while another one computes for it.
inline std::atomic<bool> interrupted = false;

/// Leaves a computation that is to end.
struct Interrupted : std::exception {};

/// Throws what a signal handler of Python throws: KeyboardInterrupt. For the main thread, which does not hold the GIL.
inline void handle_signals() {
  const nb::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

/// A Progress that ends the computation at Ctrl-C, and takes the GIL no more often than it has to.
inline Progress heed_signals() {
  using Clock = std::chrono::steady_clock;
  return [last = Clock::now()](Index, Index) mutable {
    if (interrupted) throw Interrupted();
    if (pthread_equal(pthread_self(), main_thread) == 0 || Clock::now() - last < patience) return;
    handle_signals();
    last = Clock::now();
  };
}

/// run() on a thread of its own; signals are handled here meanwhile.
template <class Run>
auto on_new_thread(Run run) {
  auto result = std::async(std::launch::async, run);
  const bool handles = pthread_equal(pthread_self(), main_thread) != 0;
  try {
    while (result.wait_for(patience) != std::future_status::ready)
      if (handles) handle_signals();
  } catch (...) {
    interrupted = true;
    result.wait();
    interrupted = false;
    throw;
  }
  return result.get();
}

/// run() without the GIL, on so many threads.
template <class Run>
auto without_gil(int threads, Run run) {
  const nb::gil_scoped_release released;
  const auto on_threads = [&] {
    struct Restore {
      int threads = omp_get_max_threads();
      ~Restore() { omp_set_num_threads(threads); }
    } const restore;
    if (threads != all_threads) omp_set_num_threads(threads);
    return run();
  };
  return getpid() == loaded_in ? on_threads() : on_new_thread(on_threads);
}

}  // namespace t5gemma2::python
