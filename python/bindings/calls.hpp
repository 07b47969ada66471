// How Python calls the engine: without the GIL, also in a process that was forked, and so that Ctrl-C ends a long
// computation.
#pragma once
#include <dlfcn.h>
#include <nanobind/nanobind.h>
#include <omp.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <thread>

#include "t5gemma2/kernels/parallel.hpp"

namespace t5gemma2::python {

namespace nb = nanobind;

/// As many threads as OpenMP would take.
inline constexpr int all_threads = 0;

/// How long Ctrl-C may wait.
inline constexpr std::chrono::milliseconds patience{50};

/// Whether this process was made by fork(). OpenMP would then wait forever for the threads of its parent, unless the call
/// comes from a thread that never had any.
inline bool forked = false;

/// Python's main thread, which alone handles signals; after a fork the one that forked.
inline std::atomic<pthread_t> main_thread;
inline bool on_main_thread() { return pthread_equal(pthread_self(), main_thread) != 0; }

// ---- the GIL ----

/// Set where the interpreter begins to end. Then it lets no thread but the main one have the GIL, and ends those that wait
/// for it by pthread_exit, which C++ does not survive.
inline std::atomic<bool> leaving = false;
inline std::atomic<int> asking = 0;  // threads that wait for the GIL

/// Whether the interpreter gives the GIL to no other thread any more.
inline bool is_finalizing() {
  using Function = int();
  static auto* const ask = [] {
    void* const found = dlsym(RTLD_DEFAULT, "Py_IsFinalizing");  // public since Python 3.13
    return reinterpret_cast<Function*>(found ? found : dlsym(RTLD_DEFAULT, "_Py_IsFinalizing"));
  }();
  return ask && ask() != 0;
}

/// Waits for the interpreter's end, and then forever; for a while at most, since handlers of atexit that come first may wait
/// for this thread.
inline void wait_for_end() {
  for (int i = 0; i < 500; ++i) {
    if (is_finalizing())
      for (;;) pause();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/// take(), which waits for the GIL.
template <class Take>
void take_gil(const Take& take) {
  ++asking;
  if (leaving && !on_main_thread()) {
    --asking;
    wait_for_end();
    ++asking;
  }
  take();
  --asking;
}

class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    take_gil([this] { PyEval_RestoreThread(state_); });
  }
  WithoutGil(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

class WithGil {
 public:
  WithGil() {
    take_gil([this] { state_ = PyGILState_Ensure(); });
  }
  ~WithGil() { PyGILState_Release(state_); }
  WithGil(const WithGil&) = delete;

 private:
  PyGILState_STATE state_{};
};

/// For Python's atexit: lets those in that wait already.
inline void leave() {
  leaving = true;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (asking > 0 && std::chrono::steady_clock::now() < end) {
    const nb::gil_scoped_release released;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/// Where the module is loaded.
inline void begin() {
  main_thread = nb::cast<pthread_t>(nb::module_::import_("threading").attr("main_thread")().attr("ident"));
  pthread_atfork(nullptr, nullptr, [] {
    forked = true;
    main_thread = pthread_self();
    asking = 0;
  });
}

// ---- Ctrl-C ----

/// Throws what a signal handler of Python throws: KeyboardInterrupt. For the main thread.
inline void handle_signals() {
  const WithGil gil;
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

/// Handles signals on the main thread, and takes the GIL no more often than it has to.
inline std::function<void()> signal_check() {
  using Clock = std::chrono::steady_clock;
  if (!on_main_thread()) return [] {};
  return [last = Clock::now()]() mutable {
    if (Clock::now() - last < patience) return;
    handle_signals();
    last = Clock::now();
  };
}

/// Leaves a computation that is to end.
struct Interrupted : std::exception {};

/// compute(check) on a thread of its own; signals are handled here meanwhile.
template <class Compute>
auto on_new_thread(const Compute& compute) {
  std::atomic<bool> stop = false;
  const std::function<void()> check_stop = [&] {
    if (stop) throw Interrupted();
  };
  auto result = std::async(std::launch::async, [&] { return compute(check_stop); });
  try {
    while (result.wait_for(patience) != std::future_status::ready)
      if (on_main_thread()) handle_signals();
  } catch (...) {
    stop = true;
    result.wait();
    throw;
  }
  return result.get();
}

/// run() without the GIL, on so many threads.
template <class Run>
auto without_gil(int threads, const Run& run) {
  const WithoutGil released;
  const auto compute = [&](const std::function<void()>& check_stop) {
    struct Restore {
      int threads = omp_get_max_threads();
      ~Restore() { omp_set_num_threads(threads); }
    } const restore;
    if (threads != all_threads) omp_set_num_threads(threads);
    const StopCheck checked(check_stop);
    return run();
  };
  return forked ? on_new_thread(compute) : compute(signal_check());
}

}  // namespace t5gemma2::python
