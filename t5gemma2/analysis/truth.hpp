// What float64 arithmetic gives, in a reference file beside what the reference computed: how far the engine
// and the reference are from it.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "../checkpoint/safetensors.hpp"
#include "../error.hpp"
#include "../tensor.hpp"

namespace t5gemma2 {

/// `truth.NAME` is the tensor NAME as float64 arithmetic gives it.
inline const std::string truth_prefix = "truth.";

/// Throws Error where a tensor of float64's does not hold numbers, or has none of the reference's of the same
/// shape beside it.
inline void check_truth(const StoredTensors& reference) {
  for (const auto& [name, tensor] : reference) {
    if (!name.starts_with(truth_prefix)) continue;
    const auto beside = reference.find(name.substr(truth_prefix.size()));
    if (beside == reference.end()) fail(tensor.file, name, "the reference's own tensor beside it", "none");
    if (tensor.shape != beside->second.shape || !storage_type(tensor.dtype))
      fail(tensor.file, name, text_of(Dtype::f32, beside->second.shape), text_of(tensor.dtype, tensor.shape));
  }
}

/// max |x - truth| over max |truth|, both of the same shape and not empty; infinity where this is no number.
inline float largest_distance(const Eigen::Ref<const Matrix>& x, const Eigen::Ref<const Matrix>& truth) {
  const float difference = (x - truth).cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
  const float distance = difference == 0 ? 0 : difference / truth.cwiseAbs().maxCoeff();
  return std::isfinite(distance) ? distance : std::numeric_limits<float>::infinity();
}

/// The root mean square of x - truth over that of truth, computed in double; both of the same shape and not
/// empty; infinity where this is no number.
inline float rms_distance(const Eigen::Ref<const Matrix>& x, const Eigen::Ref<const Matrix>& truth) {
  const double difference = (x.cast<double>() - truth.cast<double>()).norm();
  const auto distance = static_cast<float>(difference == 0 ? 0 : difference / truth.cast<double>().norm());
  return std::isfinite(distance) ? distance : std::numeric_limits<float>::infinity();
}

/// Our distance to float64 over that of the reference, both as rms_distance gives them: a largest distance
/// is that of one number, and luck. Those below 1e-7, which rounding to float32 alone may give, count as
/// 1e-7. Infinity where neither is finite.
inline float truth_ratio(float ours, float theirs) {
  const float ratio = std::max(ours, 1e-7f) / std::max(theirs, 1e-7f);
  return std::isnan(ratio) ? std::numeric_limits<float>::infinity() : ratio;
}

}  // namespace t5gemma2
