// What is thrown when a file, a field or an argument is not what it should be: one line for a person to read.
#pragma once
#include <stdexcept>
#include <string>

namespace t5gemma2 {

/// Bad input: a file, a field of it, a prompt. what() is one line.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws Error "WHERE: FIELD: expected EXPECTED, found FOUND".
[[noreturn]] inline void fail(const std::string& where, const std::string& field, const std::string& expected,
                              const std::string& found) {
  throw Error(where + ": " + field + ": expected " + expected + ", found " + found);
}

}  // namespace t5gemma2
