// The limits of this machine with the instruction set and the threads in use.
#pragma once
#include <omp.h>

#include <vector>

#include "resources.hpp"
#include "t5gemma2/kernels/parallel.hpp"
#include "t5gemma2/kernels/simd.hpp"

namespace bench_program {

using namespace t5gemma2;

/// What bounds the speed of something: the processor's products and sums, or reading from memory.
enum class Bound { none, products, reading };

class Limits {
 public:
  Limits() : memory_(Index{1} << 26, 1.0f) {}  // 256 MB, more than caches hold

  /// Floating-point operations per second.
  double products() {
    constexpr Index flops = Index{768} * 100000, tasks_of_thread = 8;
    const Index tasks = tasks_of_thread * omp_get_max_threads();
    const double start = cli::seconds();
    parallel_tasks(tasks, [](Index) { result_ = simd().multiply_and_add(flops, 0.5f, 1.0f); });
    return static_cast<double>(flops * tasks) / (cli::seconds() - start);
  }

  /// Bytes per second. Leaves nothing else in the caches.
  double reading() {
    const double start = cli::seconds();
    parallel_blocks(std::ssize(memory_), 1 << 20, [&](Index first, Index count) {
      result_ = simd().sum_of(count, memory_.data() + first);
    });
    return static_cast<double>(memory_.size() * sizeof(float)) / (cli::seconds() - start);
  }

  /// FLOP/s or bytes per second; 0 where nothing bounds.
  double of(Bound bound) {
    if (bound == Bound::none) return 0;
    return bound == Bound::products ? products() : reading();
  }

 private:
  std::vector<float> memory_;
  static inline thread_local volatile float result_ = 0;  // what is computed is used
};

}  // namespace bench_program
