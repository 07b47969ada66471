// The exception for bad input. (Mistakes in the calling code throw std::invalid_argument: tensor.hpp.)
#pragma once
#include <stdexcept>
#include <string>

namespace t5gemma2 {

/// A file, a field of it or a prompt is not as it should be. what() is one line for the user.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws Error "WHERE: FIELD: expected EXPECTED, found FOUND".
[[noreturn]] inline void fail(const std::string& where, const std::string& field, const std::string& expected,
                              const std::string& found) {
  throw Error(where + ": " + field + ": expected " + expected + ", found " + found);
}

}  // namespace t5gemma2
