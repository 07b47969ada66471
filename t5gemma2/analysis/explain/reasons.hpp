// Why tensors of a file differ from ours, as explain.hpp finds it.
#pragma once
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "../../tensor.hpp"

namespace t5gemma2 {

/// What the other implementation does that makes its tensors what they are.
struct Reason {
  std::string tensor;  // the first that it explains
  std::string text;
  std::string where;  // "", or in which layers or modules alone
  float error =
      std::numeric_limits<float>::quiet_NaN();  // of the tensor when computed so; NaN: not by computing
  float before = std::numeric_limits<float>::quiet_NaN();  // its error without the reason
  Index still_wrong = 0;              // tensors that this reason and those before do not explain
  std::vector<std::string> others{};  // guesses that explain as much
};

/// The errors that are made in each tensor, and the reasons that were found.
struct Explanation {
  std::map<std::string, float>
      own_errors;                  // relative, as TensorComparison's; of tensors that could be computed
  std::vector<std::string> wrong;  // by themselves, in forward order
  std::vector<Reason> reasons;
  Index tried = 0;  // guesses
};

}  // namespace t5gemma2
