// Cold pages: pages of a mapped file that are on the disk, not in memory. They can be found, and read in
// large pieces, which is faster than one by one at the first access to each.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "../progress.hpp"

namespace t5gemma2 {

using Bytes = std::span<const std::byte>;

inline std::size_t page_size() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

/// The pages that `bytes` touch and that are not in memory, as runs of whole pages. None where the system
/// does not say: Linux tells only users who may write the file.
inline std::vector<Bytes> cold_pages(Bytes bytes) {
  const std::size_t page = page_size(), lead = reinterpret_cast<std::uintptr_t>(bytes.data()) % page;
  const std::byte* const first = bytes.data() - lead;
  std::vector<unsigned char> in_memory((lead + bytes.size() + page - 1) / page);
  const std::size_t size = in_memory.size() * page;
  if (bytes.empty() || ::mincore(const_cast<std::byte*>(first), size, in_memory.data()) != 0) return {};
  std::vector<Bytes> cold;
  for (std::size_t i = 0; i < in_memory.size(); ++i) {
    if ((in_memory[i] & 1) != 0) continue;
    const bool follows = !cold.empty() && cold.back().data() + cold.back().size() == first + i * page;
    if (follows)
      cold.back() = {cold.back().data(), cold.back().size() + page};
    else
      cold.emplace_back(first + i * page, page);
  }
  return cold;
}

inline std::size_t total_size(std::span<const Bytes> runs) {
  std::size_t size = 0;
  for (const Bytes& run : runs) size += run.size();
  return size;
}

/// Reads runs of pages from the disk. Progress counts bytes.
inline void read_pages(std::span<const Bytes> cold, const Progress& progress = {}) {
  constexpr std::size_t largest_piece = 4 << 20;
  const std::size_t page = page_size();
  std::vector<Bytes> pieces;
  for (Bytes run : cold)
    for (; !run.empty(); run = run.subspan(pieces.back().size()))
      pieces.push_back(run.first(std::min(run.size(), largest_piece)));
  // Starts reading. Where the system refuses that, the access in the loop below reads.
  const auto will_need = [&](std::size_t i) {
    if (i < pieces.size())
      ::madvise(const_cast<std::byte*>(pieces[i].data()), pieces[i].size(), MADV_WILLNEED);
  };
  const auto all = static_cast<Index>(total_size(cold));
  Index read = 0;
  will_need(0);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (progress) progress(read, all);
    will_need(i + 1);  // so that the disk is never idle
    for (std::size_t at = 0; at < pieces[i].size(); at += page)
      static_cast<void>(*static_cast<const volatile std::byte*>(&pieces[i][at]));
    read += static_cast<Index>(pieces[i].size());
  }
  if (progress) progress(read, all);
}

}  // namespace t5gemma2
