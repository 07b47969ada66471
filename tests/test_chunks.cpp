// Rows in chunks: all rows once, where each begins, how long it is; and progress of work in parts.
#include "t5gemma2/chunks.hpp"

#include "fixture.hpp"
#include "t5gemma2/progress.hpp"

namespace test_chunks {

using namespace t5gemma2;

TEST_CASE(
    "chunks: they follow each other, begin at multiples of the step, and few rows are none of their own") {
  for (const Index step : {1, 7, 48, 2000})
    for (const Index rows : {1, 4, 5, 48, 52, 53, 1023, 1024, 1025, 1028, 1029, 2051, 5000, 100000})
      for (const double row_flops : {0.0, 1e6, 1e9, 1e12}) {
        CAPTURE(step);
        CAPTURE(rows);
        CAPTURE(row_flops);
        Index next = 0;
        for (const Chunk& chunk : chunks_of(rows, step, row_flops)) {
          REQUIRE(chunk.first == next);
          REQUIRE(chunk.first % step == 0);
          REQUIRE((chunk.count > few_rows || chunk.count == rows));
          REQUIRE(chunk.count <= std::max(step, chunk_rows) + few_rows);
          next += chunk.count;
        }
        CHECK(next == rows);
      }
}

TEST_CASE("chunks: the work of a row limits them, the more threads the later") {
  const auto longest = [](double row_flops) { return chunks_of(100000, 24, row_flops).front().count; };
  const double all = chunk_flops * static_cast<double>(threads());
  CHECK(longest(0) == chunk_rows / 24 * 24);
  CHECK(longest(all / 100) == 96);
  CHECK(longest(all / 24) == 24);
  CHECK(longest(all) == 24);
  CHECK(chunks_of(100, 1, all).front().count == few_rows + 1);
}

TEST_CASE("chunks: of nearly one size") {
  const std::vector<Chunk> chunks = chunks_of(1100, 1, 0);
  REQUIRE(chunks.size() == 2);
  CHECK(chunks[0].count == 550);
}

TEST_CASE("chunks: no rows are one empty chunk, no step is refused") {
  REQUIRE(chunks_of(0, 24, 1).size() == 1);
  CHECK(chunks_of(0, 24, 1)[0].count == 0);
  CHECK_THROWS_WITH_AS(chunks_of(5, 0, 1), "chunks_of step: expected 1 or more, found 0",
                       std::invalid_argument);
}

TEST_CASE("progress: pieces are told by the work that is done") {
  std::vector<Index> told;
  const Progress tell = [&](Index done, Index all) {
    CHECK(all == 10);
    told.push_back(done);
  };
  WeightedProgress work(tell, 10, 200);
  for (const double part : {20, 100, 79, 1}) work.add(part);
  CHECK(told == std::vector<Index>{0, 1, 6, 10, 10});
  told.clear();
  WeightedProgress(tell, 0, 1).add(1);
  CHECK(told.empty());
  WeightedProgress(tell, 10, 0).add(0);
  CHECK(told == std::vector<Index>{0, 0});
}

}  // namespace test_chunks
