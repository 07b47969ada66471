// A guess: a change of the steps of the model that another implementation may have made.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "variant.hpp"

namespace t5gemma2 {

/// A way in which the other implementation may differ.
struct Guess {
  std::string text;  // what it does
  std::function<void(Variant&)> apply;
};

using Guesses = std::vector<Guess>;

}  // namespace t5gemma2
