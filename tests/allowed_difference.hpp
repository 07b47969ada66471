// For tests: how far a tensor of ours may be from the reference's.
#pragma once
#include <algorithm>
#include <string>

#include "fixture.hpp"
#include "t5gemma2/analysis/truth.hpp"

namespace t5gemma2 {

/// The largest difference over the largest value that passes: 1e-5, or twice the reference's own distance to
/// float64 where that is more. A reference that itself is 1e-5 from float64 tells no better what is right.
inline float allowed_difference(const std::string& name, const std::string& fixture) {
  if (!fixture_reference(fixture).tensors.contains(truth_prefix + name)) return 1e-5f;
  const Matrix theirs = reference_tensor(name, fixture),
               truth = reference_tensor(truth_prefix + name, fixture);
  return std::max(1e-5f, 2 * largest_distance(theirs, truth));
}

}  // namespace t5gemma2
