// Mean, standard deviation, least and largest number of a tensor: all that transformers' debugging summary tells of it.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "../../checkpoint/dtype.hpp"
#include "../../tensor.hpp"

namespace t5gemma2 {

/// In torch's sense: std is that of a sample (n - 1), NaN of one number.
struct Statistics {
  float mean = 0, std = 0, min = 0, max = 0;

  std::array<float, 4> all() const { return {mean, std, min, max}; }
};

/// Those of a tensor in a file, and what else the file tells of it.
struct StoredStatistics {
  std::string name;  // in the file
  Dtype dtype = Dtype::f32;
  std::vector<Index> shape{};
  Statistics values{};
};

/// x not empty.
inline Statistics statistics_of(const Eigen::Ref<const Vector>& x) {
  check_argument(x.size() > 0, "statistics_of x", "a number or more", "none");
  const Eigen::ArrayXd numbers = x.cast<double>().array();
  const double mean = numbers.mean();
  const double variance = (numbers - mean).square().sum() / (static_cast<double>(x.size()) - 1);
  return {static_cast<float>(mean), static_cast<float>(std::sqrt(variance)),
          x.minCoeff<Eigen::PropagateNaN>(), x.maxCoeff<Eigen::PropagateNaN>()};
}

/// The largest difference of the four, and their scale: the largest |number| of the tensor. Equal infinities and two NaN
/// do not differ.
struct StatisticsDifference {
  float largest = 0, scale = 0;
};

inline StatisticsDifference difference_of(const Statistics& ours, const Statistics& theirs) {
  StatisticsDifference result{0, std::max(std::abs(theirs.min), std::abs(theirs.max))};
  for (std::size_t i = 0; i < 4; ++i) {
    const float a = ours.all()[i], b = theirs.all()[i];
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    result.largest = std::isnan(a - b) ? a - b : std::max(result.largest, std::abs(a - b));
    if (std::isnan(result.largest)) break;
  }
  return result;
}

/// What five digits, as torch prints them, may be off by: relative to a number.
inline constexpr float printed_precision = 5e-5f;

}  // namespace t5gemma2
