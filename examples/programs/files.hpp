// Files to be written, and standard input, which may fail.
#pragma once
#include <iosfwd>
#include <string>

namespace cli {

/// Before a long run: throws Error where `file` is a folder, or neither it nor its folder can be written to.
void check_writable(const std::string& file);

/// After reading: throws Error where standard input ended because it cannot be read.
void check_stdin();

/// Reads the next line; returns false when there is none. Throws Error where standard input cannot be read.
bool next_line(std::istream& in, std::string& line);

}  // namespace cli
