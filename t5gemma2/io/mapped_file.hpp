// Memory-mapped files, and a check for downloads that went wrong.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "../error.hpp"

namespace t5gemma2 {

/// Throws Error "FILE: expected EXPECTED, found FOUND".
[[noreturn]] inline void fail_file(const std::string& file, const std::string& expected,
                                   const std::string& found) {
  throw Error((file.empty() ? "\"\"" : file) + ": expected " + expected + ", found " + found);
}

/// Whether something is at `path`, even a link that leads nowhere (opening it gives the error that says so).
/// False for a path that cannot be examined.
inline bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
}

/// For messages: what was found at a `path` that leads to no file.
inline std::string describe_missing(const std::filesystem::path& path) {
  std::error_code not_a_link;
  const std::filesystem::path target = std::filesystem::read_symlink(path, not_a_link);
  if (path.string().find("://") != std::string::npos) return "nothing: addresses have to be downloaded first";
  return not_a_link ? "nothing" : "a link that leads nowhere: " + target.string() + " is missing";
}

/// The bytes of a file, mapped read-only: read from the disk at the first access, shared with the page cache.
/// The file must not shrink while it is mapped: an access past its end is fatal (SIGBUS).
class MappedFile {
 public:
  /// Throws Error when `path` is missing, unreadable, empty or not a file; `expected` describes the content.
  MappedFile(const std::filesystem::path& path, const std::string& expected) {
    std::error_code trouble;
    const std::filesystem::file_type type =
        std::filesystem::status(path, trouble).type();  // of what a link points to
    if (type == std::filesystem::file_type::not_found)
      fail_file(path.string(), expected, describe_missing(path));
    if (type == std::filesystem::file_type::none) fail_file(path.string(), expected, trouble.message());
    if (type == std::filesystem::file_type::directory) fail_file(path.string(), expected, "a folder");
    if (type != std::filesystem::file_type::regular) {  // a pipe or a device; opening one could wait forever
      fail_file(path.string(), expected, "something else than a file");
    }
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) fail_file(path.string(), expected, std::strerror(errno));
    map(file, path.string(), expected);
  }

  std::span<const std::byte> bytes() const { return {map_.get(), map_.get_deleter().size}; }

  /// Gives the memory of its pages back; they are read again, from the page cache, when they are used.
  void release_pages() const { ::madvise(map_.get(), map_.get_deleter().size, MADV_DONTNEED); }

 private:
  struct Unmap {
    std::size_t size = 0;
    void operator()(std::byte* start) const { ::munmap(start, size); }
  };

  /// Maps the open `file` and closes it.
  void map(int file, const std::string& path, const std::string& expected) {
    struct stat information {};
    const bool sized = ::fstat(file, &information) == 0;
    const auto size = sized ? static_cast<std::size_t>(information.st_size) : 0;
    void* start = size > 0 ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
    const int reason = errno;
    ::close(file);
    if (sized && size == 0) fail_file(path, expected, "an empty file");
    if (start == MAP_FAILED) fail_file(path, expected, std::strerror(reason));
    map_ = {static_cast<std::byte*>(start), Unmap{size}};
  }

  std::unique_ptr<std::byte, Unmap> map_{nullptr, Unmap{}};
};

/// A view of the same bytes as characters.
inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Whether the first 256 bytes are text: no control characters but white space.
inline bool starts_as_text(std::string_view content) {
  return std::ranges::all_of(content.substr(0, 256), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f';
  });
}

/// Throws Error when `content` is a git-LFS pointer or a web page, saved by a download in place of the
/// `expected` content, which has to be JSON or binary. A binary file may begin with '<', so the bytes that
/// follow have to be text, too.
inline void refuse_failed_download(std::string_view content, const std::string& file,
                                   const std::string& expected) {
  if (content.starts_with("version https://git-lfs")) {
    fail_file(file, expected, "a git-LFS pointer: the content itself was not downloaded (git lfs pull)");
  }
  if (content.starts_with("\xEF\xBB\xBF")) content.remove_prefix(3);  // a byte order mark
  const std::size_t start = content.substr(0, 256).find_first_not_of(" \t\r\n\f");
  if (start != std::string_view::npos && content[start] == '<' && starts_as_text(content)) {
    fail_file(file, expected, "a web page (HTML): the download went wrong");
  }
}

/// A copy of the whole text of a file. Throws Error when the file is missing or a failed download.
inline std::string read_text(const std::filesystem::path& path, const std::string& expected) {
  const MappedFile file(path, expected);
  refuse_failed_download(as_text(file.bytes()), path.string(), expected);
  return std::string(as_text(file.bytes()));
}

}  // namespace t5gemma2
