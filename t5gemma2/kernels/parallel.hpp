// Threads, kept out of the equations: work is cut into tasks of a fixed size, or where a cut changes no number, and
// no task reads what another writes. Results are therefore the same for any number of threads.
#pragma once
#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>

#include "../tensor.hpp"

namespace t5gemma2 {

/// The number of threads that share work; 1 without OpenMP.
inline Index threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

/// While one lives, this thread calls check_stop before each of its tasks. It may throw, which ends the computation
/// that the thread began: within a part of a layer, where Progress is told of whole ones.
class StopCheck {
 public:
  /// `check_stop` must outlive this object.
  explicit StopCheck(const std::function<void()>& check_stop) : before_(current) { current = &check_stop; }
  ~StopCheck() { current = before_; }
  StopCheck(const StopCheck&) = delete;

  static void run() {
    if (current) (*current)();
  }

 private:
  static constinit inline thread_local const std::function<void()>* current = nullptr;
  const std::function<void()>* before_;
};

/// Calls run(task) for task = 0 .. tasks-1 on OpenMP's threads; rethrows one of the exceptions that escaped, behind
/// which no task begins. A single task runs outside OpenMP and may itself share its work among threads.
template <class Run>
void parallel_tasks(Index tasks, const Run& run) {
  if (tasks == 1) {
    StopCheck::run();
    return run(Index{0});
  }
  std::atomic<bool> failed = false;
  std::exception_ptr escaped;
#pragma omp parallel for schedule(dynamic)
  for (Index task = 0; task < tasks; ++task) {
    if (failed.load(std::memory_order_relaxed)) continue;
    try {
      StopCheck::run();
      run(task);
    } catch (...) {
      failed = true;
#pragma omp critical(t5gemma2_parallel_tasks)
      escaped = std::current_exception();
    }
  }
  if (escaped) std::rethrow_exception(escaped);
}

/// Calls run(first, count) for consecutive blocks of at most `block` out of `size`, on OpenMP's threads.
template <class Run>
void parallel_blocks(Index size, Index block, const Run& run) {
  check_argument(block > 0, "parallel_blocks block", "1 or more", block);
  parallel_tasks((size + block - 1) / block, [&](Index task) {
    const Index first = task * block;
    run(first, std::min(block, size - first));
  });
}

/// Calls run(row) for row = 0 .. rows-1, `block` rows a task, on OpenMP's threads.
template <class Run>
void parallel_rows(Index rows, Index block, const Run& run) {
  parallel_blocks(rows, block, [&](Index first, Index count) {
    for (Index row = first; row < first + count; ++row) run(row);
  });
}

}  // namespace t5gemma2
