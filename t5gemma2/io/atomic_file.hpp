// Files that are complete or as they were before, whatever happens while they are written.
#pragma once
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "../error.hpp"

namespace t5gemma2 {

/// The file that write_atomically fills now, for a program's signal handler to unlink; null when there is none.
inline std::atomic<const char*> unfinished_file = nullptr;

/// Lets write(stream) fill a file beside `path` and renames it; a pipe or a device is written to as it is.
/// Throws Error when that fails.
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
    const std::filesystem::path target = std::filesystem::weakly_canonical(path, ignored);  // behind a link
    const std::filesystem::path part = target.string() + ".part" + std::to_string(::getpid());
    struct Unfinished {  // removed by whatever ends the writing
      const std::filesystem::path& part;
      explicit Unfinished(const std::filesystem::path& path) : part(path) { unfinished_file = part.c_str(); }
      ~Unfinished() {
        std::error_code nothing_left;
        std::filesystem::remove(part, nothing_left);
        unfinished_file = nullptr;
      }
      Unfinished(const Unfinished&) = delete;
    };
    const Unfinished unfinished(part);
    write_to(part);
    if (!trouble) std::filesystem::rename(part, target, trouble);
  } else {
    write_to(path);
  }
  if (trouble) throw Error(path.string() + ": cannot be written: " + trouble.message());
}

}  // namespace t5gemma2
