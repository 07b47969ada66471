// For tests: the message of a std::invalid_argument.
#pragma once
#include <stdexcept>
#include <string>

namespace t5gemma2 {

/// What action() throws; empty when it throws nothing.
template <class Action>
std::string argument_error(const Action& action) {
  try {
    action();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return {};
}

}  // namespace t5gemma2
