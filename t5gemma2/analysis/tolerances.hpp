// What the tensors of a file may differ by.
#pragma once
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../checkpoint/dtype.hpp"
#include "../tensor.hpp"

namespace t5gemma2 {

/// The largest difference, relative to a tensor's largest value, that passes where none is named: by the format in
/// which the file stores it.
inline float default_tolerance(Dtype dtype) {
  return dtype == Dtype::bf16 ? 1e-2f : dtype == Dtype::f16 ? 1e-3f : 1e-4f;
}

/// Whether a name fits a pattern, in which * stands for any text and ? for any one character.
inline bool fits(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, from = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

/// Tolerances that were named: one for all tensors, and others for those that fit a pattern, the last that fits.
struct Tolerances {
  std::optional<float> all{};
  std::vector<std::pair<std::string, float>> by_pattern{};

  Tolerances() = default;
  Tolerances(float tolerance) : all(tolerance) {}

  /// None where none is named for a tensor.
  std::optional<float> of(const std::string& name) const {
    for (auto named = by_pattern.rbegin(); named != by_pattern.rend(); ++named)
      if (fits(named->first, name)) return named->second;
    return all;
  }
};

/// Throws std::invalid_argument unless all are 0 or more.
inline void check(const Tolerances& tolerances) {
  const auto check_one = [](float tolerance) {
    check_argument(tolerance >= 0, "Comparer tolerance", "0 or more", tolerance);
  };
  if (tolerances.all) check_one(*tolerances.all);
  for (const auto& [pattern, tolerance] : tolerances.by_pattern) check_one(tolerance);
}

}  // namespace t5gemma2
