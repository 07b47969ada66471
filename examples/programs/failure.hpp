// Why one of many requests failed, which the others are none the worse for.
#pragma once
#include <exception>
#include <new>
#include <string>

#include "interrupted.hpp"

namespace cli {

/// The message of what `body` throws, with `where` in front; empty where it throws nothing. Throws Interrupted.
template <class Body>
std::string failure_of(const std::string& where, const Body& body) {
  std::string wrong;
  try {
    body();
    return "";
  } catch (const Interrupted&) {
    throw;
  } catch (const std::bad_alloc&) {
    wrong = "not enough memory";
  } catch (const std::exception& error) {
    wrong = error.what();
  }
  return wrong.starts_with(where) ? wrong : where + ": " + wrong;
}

}  // namespace cli
