// For tests: a temporary folder, and the message of an Error.
#pragma once
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "t5gemma2/error.hpp"

/// An empty folder of its own for each object, so that tests may run side by side; removed with everything in
/// it at the end of the test.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "t5gemma2-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { std::filesystem::remove_all(path_); }

  const std::filesystem::path& path() const { return path_; }

  /// Writes a file, makes the folders on its path, and returns the path.
  std::filesystem::path write(const std::string& name, std::string_view content) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }

 private:
  std::filesystem::path path_;
};

/// Writes the file to the disk and drops its pages from memory, unless its file system lies in memory.
inline void drop_from_memory(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY);
  ::fsync(file);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
}

/// what() of the Error that `action` throws, which must be one line of less than 1000 characters; "" if it
/// throws none.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const t5gemma2::Error& error) {
    const std::string message = error.what();
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.size() < 1000);
    return message;
  }
  return "";
}

/// Whether `text` contains `part`; a failure is reported with both texts.
inline bool contains(const std::string& text, const std::string& part) {
  INFO("\"", text, "\" should contain \"", part, "\"");
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}
