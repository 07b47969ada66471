// Many rows in chunks, one after the other, kept out of the equations: no intermediate but keys and values grows
// with the rows, and each chunk ends soon, so that a computation that its progress stops (progress.hpp) stops within a
// second.
//
// A row's results are the same in any chunk: products give the same numbers whichever other rows there are
// (kernels/product.hpp) but for a few rows alone, so no chunk is cut so short.
#pragma once
#include <algorithm>
#include <vector>

#include "kernels/attention_blocks.hpp"
#include "kernels/parallel.hpp"
#include "kernels/simd.hpp"
#include "progress.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// Consecutive rows.
struct Chunk {
  Index first, count;

  /// These rows of x.
  auto of(auto& x) const { return x.middleRows(first, count); }
};

/// The rows of a chunk, unless their work is too much for one.
inline constexpr Index chunk_rows = 1024;

/// Floating-point operations of a chunk for each thread: half a second on a slow one.
inline constexpr double chunk_flops = 3e10;

/// `rows` in chunks of about one size, a multiple of `step` but for the last one. `row_flops`, the work of a row,
/// limits the size as long as it is more than step. No rows are one empty chunk.
inline std::vector<Chunk> chunks_of(Index rows, Index step, double row_flops) {
  check_argument(step > 0, "chunks_of step", "1 or more", step);
  const Index least = (few_rows / step + 1) * step;
  const double most = chunk_flops * static_cast<double>(threads()) / std::max(row_flops, 1.0);
  const Index size = std::max(least, static_cast<Index>(std::min<double>(chunk_rows, most)) / step * step);
  const Index count = std::max<Index>(1, (rows + size - 1) / size);
  const Index even = std::max(least, ((rows + count - 1) / count + step - 1) / step * step);
  std::vector<Chunk> chunks;
  Index first = 0;
  while (rows - first > even + few_rows) {
    chunks.push_back({first, even});
    first += even;
  }
  chunks.push_back({first, rows - first});
  return chunks;
}

/// Where chunks of queries begin: at multiples of a block of them for each thread, as long as chunks stay small.
inline Index query_step(const Heads& heads) {
  const Index block = kernel::block_queries(heads);
  return block * std::clamp<Index>(threads(), 1, std::max<Index>(1, chunk_rows / block));
}

/// K and V of all `rows`; keys_values(chunk) -> K and V of the rows of a chunk, `row_flops` for each.
template <class KeysValues>
kernel::KeyPanels keys_in_chunks(Index rows, const Heads& heads, double row_flops, WeightedProgress& progress,
                                 const KeysValues& keys_values) {
  kernel::KeyPanels keys(rows, heads);
  for (const Chunk& chunk : chunks_of(rows, kernel::tile_keys, row_flops)) {
    const auto [K, V] = keys_values(chunk);
    keys.put(chunk.first, K, V);
    progress.add(row_flops * static_cast<double>(chunk.count));
  }
  return keys;
}

}  // namespace t5gemma2
