// Writing files atomically: afterwards a file is complete, or as it was before if anything went wrong.
#pragma once
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

#include "../error.hpp"

namespace t5gemma2 {

/// Path of the temporary file that write_atomically is writing, for a program's signal handler to unlink;
/// null when it is writing none.
inline std::atomic<const char*> unfinished_file = nullptr;

namespace atomic_detail {

/// A file that is removed at the end, even when an exception is thrown, unless it has been renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::filesystem::path path) : path_(std::move(path)) {
    unfinished_file = path_.c_str();
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    std::error_code nothing_left;
    std::filesystem::remove(path_, nothing_left);
    unfinished_file = nullptr;
  }

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace atomic_detail

/// Calls write(stream) on a temporary file beside `path`, then renames it to `path`. A pipe or a device is
/// written directly. Throws Error when the file cannot be written.
template <class Write>
void write_atomically(const std::filesystem::path& path, const Write& write) {
  std::error_code ignored, trouble;
  const auto write_to = [&](const std::filesystem::path& file) {
    errno = 0;
    std::ofstream out(file, std::ios::binary);
    write(static_cast<std::ostream&>(out));
    out.close();
    if (!out) trouble = {errno != 0 ? errno : EIO, std::generic_category()};
  };
  const auto kind = std::filesystem::status(path, ignored).type();
  if (kind == std::filesystem::file_type::not_found || kind == std::filesystem::file_type::regular) {
    const auto target = std::filesystem::weakly_canonical(path, ignored);  // a link stays a link
    const atomic_detail::TemporaryFile part(target.string() + ".part" + std::to_string(::getpid()));
    write_to(part.path());
    if (!trouble) std::filesystem::rename(part.path(), target, trouble);
  } else {
    write_to(path);
  }
  if (trouble) throw Error(path.string() + ": cannot be written: " + trouble.message());
}

}  // namespace t5gemma2
