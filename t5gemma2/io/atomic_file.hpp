// Writing files atomically: afterwards a file is complete, or as it was before if anything went wrong.
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

/// Path of the temporary file that write_atomically is writing, for a program's signal handler to unlink;
/// null when it is writing none.
inline std::atomic<const char*> unfinished_file = nullptr;

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
    const std::filesystem::path target =
        std::filesystem::weakly_canonical(path, ignored);  // what a link points to
    const std::filesystem::path part = target.string() + ".part" + std::to_string(::getpid());
    struct Unfinished {  // removed also when write throws
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
