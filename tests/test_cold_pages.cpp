#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "scratch.hpp"
#include "t5gemma2/io/cold_pages.hpp"
#include "t5gemma2/io/mapped_file.hpp"

using namespace t5gemma2;

namespace test_cold_pages {

namespace {

/// On a disk, not on a temporary file system that lies in memory.
struct File {
  ScratchFolder folder;
  std::filesystem::path path;
  bool cold;

  explicit File(std::size_t size) : path(folder.write("file", std::string(size, 'x'))) {
    drop_from_memory(path);
    cold = !cold_pages(MappedFile(path, "a file").bytes()).empty();
    if (!cold) MESSAGE("the system does not say what is in memory, or all of it is: nothing is tested");
  }
};

}  // namespace

TEST_CASE("cold_pages: what was dropped is cold, what was read is not") {
  const std::size_t page = page_size(), size = 9 << 20;
  const File file(size + 100);
  if (!file.cold) return;
  const MappedFile map(file.path, "a file");
  const Bytes all = map.bytes(), half = all.first(size / 2);
  CHECK(total_size(cold_pages(all)) == size + page);
  CHECK(cold_pages(all).size() == 1);
  CHECK(total_size(cold_pages(all.subspan(page - 1, 2))) == 2 * page);  // a byte of each

  std::vector<std::pair<Index, Index>> told;
  read_pages(cold_pages(half), [&](Index done, Index of) { told.emplace_back(done, of); });
  CHECK(cold_pages(half).empty());
  CHECK(told.front() == std::pair<Index, Index>(0, size / 2));
  CHECK(told.back() == std::pair<Index, Index>(size / 2, size / 2));
  CHECK(std::is_sorted(told.begin(), told.end()));
  CHECK(told.size() > 2);
  read_pages(cold_pages(all), [](Index, Index) {});
  CHECK(cold_pages(all).empty());
}

TEST_CASE("cold_pages: runs of pages between warm ones") {
  const std::size_t page = page_size();
  const File file(64 * page);
  if (!file.cold) return;
  const MappedFile map(file.path, "a file");
  ::madvise(const_cast<std::byte*>(map.bytes().data()), 64 * page, MADV_RANDOM);  // nothing is read ahead
  static_cast<void>(*static_cast<const volatile std::byte*>(&map.bytes()[10 * page]));
  const std::vector<Bytes> cold = cold_pages(map.bytes());
  REQUIRE(cold.size() == 2);
  CHECK(cold[0].data() == map.bytes().data());
  CHECK(cold[0].size() == 10 * page);
  CHECK(cold[1].data() == map.bytes().data() + 11 * page);
  CHECK(cold[1].size() == 53 * page);
}

TEST_CASE("cold_pages: none of nothing, of memory that is no file's, and where nothing is mapped") {
  CHECK(cold_pages(Bytes()).empty());
  const std::string text(100000, 'x');
  CHECK(cold_pages(std::as_bytes(std::span(text))).empty());
  const std::size_t page = page_size();
  CHECK(cold_pages(Bytes(reinterpret_cast<const std::byte*>(page), page)).empty());
}

TEST_CASE("read_pages: may be stopped by throwing") {
  const File file(9 << 20);
  if (!file.cold) return;
  const MappedFile map(file.path, "a file");
  const auto stop = [](Index done, Index) {
    if (done > 0) throw Error("stopped");
  };
  CHECK(error_of([&] { read_pages(cold_pages(map.bytes()), stop); }) == "stopped");
  CHECK(cold_pages(map.bytes().first(4 << 20)).empty());
}

}  // namespace test_cold_pages
