#include "files.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <istream>

#include "t5gemma2/io/mapped_file.hpp"
#include "terminal.hpp"

namespace cli {

void check_writable(const std::string& file) {
  const std::filesystem::path path(file), folder = path.parent_path().empty() ? "." : path.parent_path();
  const auto& to_write = std::filesystem::exists(path) ? path : folder;
  if (!std::filesystem::exists(folder))
    t5gemma2::fail_file(file, "a file that can be written",
                        "no folder " + folder.string() + "; make it first");
  int trouble = std::filesystem::is_directory(path) ? EISDIR : 0;
  if (trouble == 0 && access(to_write.c_str(), W_OK) != 0) trouble = errno;
  if (trouble != 0) t5gemma2::fail_file(file, "a file that can be written", std::strerror(trouble));
}

void check_stdin() {
  if (std::ferror(stdin) != 0) throw t5gemma2::Error("standard input: cannot be read");
}

bool next_line(std::istream& in, std::string& line) {
  const bool found = static_cast<bool>(std::getline(in, line));
  check_stdin();
  if (found && in.eof()) end_typed_line(in, line);
  return found;
}

}  // namespace cli
