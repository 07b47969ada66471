// Work in tasks: each once, none lost, for any number of threads.
#include "t5gemma2/kernels/parallel.hpp"

#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <string>

#include "fixture.hpp"

namespace test_parallel {

using namespace t5gemma2;

namespace {

/// Runs `action` with 1, 2 and 3 threads.
template <class Action>
void with_threads(const Action& action) {
  const int before = omp_get_max_threads();
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    CAPTURE(threads);
    action();
  }
  omp_set_num_threads(before);
}

}  // namespace

TEST_CASE("parallel: every task runs once") {
  with_threads([] {
    for (const Index tasks : {0, 1, 2, 3, 100}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(tasks));
      parallel_tasks(tasks, [&](Index task) { ++runs.at(static_cast<std::size_t>(task)); });
      CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& count) { return count == 1; }));
    }
  });
}

TEST_CASE("parallel: blocks are the same for any number of threads, cover all and do not overlap") {
  with_threads([] {
    for (const Index size : {0, 1, 6, 7, 8, 14, 15, 100}) {
      std::mutex mutex;
      std::set<std::pair<Index, Index>> blocks;
      parallel_blocks(size, 7, [&](Index first, Index count) {
        const std::lock_guard lock(mutex);
        CHECK(blocks.insert({first, count}).second);
      });
      Index covered = 0;
      for (const auto& [first, count] : blocks) {
        CHECK(first == covered);
        CHECK(count == std::min<Index>(7, size - first));
        covered += count;
      }
      CHECK(covered == size);
    }
  });
}

TEST_CASE("parallel: every row runs once, in blocks of any size") {
  with_threads([] {
    for (const Index rows : {0, 1, 6, 7, 8, 100}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(rows));
      parallel_rows(rows, 7, [&](Index row) { ++runs.at(static_cast<std::size_t>(row)); });
      CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& count) { return count == 1; }));
    }
  });
  CHECK_THROWS_WITH_AS(parallel_rows(3, 0, [](Index) {}),
                       "parallel_blocks block: expected 1 or more, found 0", std::invalid_argument);
}

TEST_CASE("parallel: a single task shares its own work among all threads") {
  const int before = omp_get_max_threads();
  omp_set_num_threads(3);
  std::atomic<int> most{0};
  parallel_tasks(1, [&](Index) { parallel_tasks(50, [&](Index) { most = omp_get_num_threads(); }); });
  omp_set_num_threads(before);
  CHECK(most == 3);
}

TEST_CASE("parallel: an exception comes out as it was thrown, and no task begins behind it") {
  with_threads([] {
    std::atomic<int> finished{0};
    std::string message;
    try {
      parallel_tasks(20, [&](Index task) {
        if (task == 7) throw Error("task 7");
        ++finished;
      });
    } catch (const Error& error) {
      message = error.what();
    }
    CHECK(message == "task 7");
    CHECK(finished <= (omp_get_max_threads() == 1 ? 7 : 19));
  });
}

TEST_CASE(
    "parallel: a stop check ends what its thread began, a single task too, and is gone with its object") {
  with_threads([] {
    std::atomic<int> checks{0}, finished{0};
    const std::function<void()> stop_at_third = [&] {
      if (++checks == 3) throw Error("stopped");
    };
    const auto count = [&](Index) { ++finished; };
    {
      const StopCheck checked(stop_at_third);
      parallel_tasks(1, count);
      parallel_tasks(1, count);
      CHECK_THROWS_WITH_AS(parallel_tasks(1, count), "stopped", Error);
      CHECK(finished == 2);
      checks = 0;
      const std::function<void()> goes_on = [] {};
      {
        const StopCheck other(goes_on);
        for (int i = 0; i < 10; ++i) parallel_tasks(1, count);
      }
      CHECK(checks == 0);
      const auto begin_many = [&] {  // a thread of OpenMP's own may take them all
        for (int i = 0; i < 10'000; ++i) parallel_tasks(100, count);
      };
      CHECK_THROWS_WITH_AS(begin_many(), "stopped", Error);
    }
    checks = 0;
    parallel_tasks(10, count);
    CHECK(checks == 0);
  });
}

TEST_CASE("parallel: the threads asked for are there") {
  const int before = omp_get_max_threads();
  omp_set_num_threads(3);
  std::atomic<int> most{0};
  parallel_tasks(50, [&](Index) { most = omp_get_num_threads(); });
  omp_set_num_threads(before);
  CHECK(most == 3);
}

}  // namespace test_parallel
