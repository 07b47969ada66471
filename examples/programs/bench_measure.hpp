// How t5gemma2-bench measures: each run between two measurements of its limit; of repeats, which take turns,
// the median.
#pragma once
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "bench_kernels.hpp"
#include "bench_limits.hpp"
#include "progress_bar.hpp"

namespace bench_program {

inline double median(std::vector<double> numbers) {
  std::ranges::sort(numbers);
  const std::size_t half = numbers.size() / 2;
  return numbers.size() % 2 == 1 ? numbers[half] : (numbers[half - 1] + numbers[half]) / 2;
}

/// What this machine does at most with so many threads.
struct Most {
  int threads;
  double products, reading;
};

inline Most measure_most(Limits& limits, int threads, std::int64_t repeats) {
  omp_set_num_threads(threads);
  std::vector<double> products, reading;
  for (std::int64_t i = 0; i < repeats; ++i) {
    products.push_back(limits.products());
    reading.push_back(limits.reading());
  }
  return {threads, median(products), median(reading)};
}

/// The medians of a case: seconds of a run, and its part of the limit that was measured beside it; 0 without
/// one.
struct Times {
  double seconds, part;
};

/// Runs that take 0.05 s together, each between two measurements of the limit.
inline Times measure(const Case& c, Limits& limits) {
  constexpr double enough = 0.05;
  constexpr int most_runs = 20;
  const Run run = c.prepare();
  double time = 0, limit = limits.of(c.bound);
  int runs = 0;
  while (runs == 0 || (time < enough && runs < most_runs)) {
    const double start = cli::seconds();
    run();
    time += cli::seconds() - start;
    ++runs;
    limit += limits.of(c.bound);
  }
  const double seconds = time / runs, at_most = limit / (runs + 1);
  return {seconds, c.bound == Bound::none ? 0 : c.work / seconds / at_most};
}

/// The medians of all cases, which take turns.
inline std::vector<Times> measure_all(const Cases& cases, Limits& limits, std::int64_t repeats_asked,
                                      bool quiet) {
  cli::ProgressBar bar("measuring", !quiet);
  const auto repeats = static_cast<std::size_t>(repeats_asked);
  std::vector<std::vector<double>> seconds(cases.size()), parts(cases.size());
  for (std::size_t repeat = 0; repeat < repeats; ++repeat)
    for (std::size_t i = 0; i < cases.size(); ++i) {
      bar.update(static_cast<long>(repeat * cases.size() + i), static_cast<long>(repeats * cases.size()));
      const Times times = measure(cases[i], limits);
      seconds[i].push_back(times.seconds);
      parts[i].push_back(times.part);
    }
  std::vector<Times> medians;
  for (std::size_t i = 0; i < cases.size(); ++i) medians.push_back({median(seconds[i]), median(parts[i])});
  return medians;
}

}  // namespace bench_program
