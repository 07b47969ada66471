// Comparison of tensors that the engine reports with those of the same name in a reference file.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../checkpoint/stored_tensor.hpp"
#include "../tensor.hpp"
#include "../trace.hpp"
#include "comparison.hpp"
#include "difference.hpp"
#include "reference/reference_file.hpp"
#include "reference/statistics.hpp"
#include "tolerances.hpp"
#include "truth.hpp"

namespace t5gemma2 {

/// Compares the tensors that a Trace reports with those of a reference file.
class Comparer {
 public:
  /// `reference` must outlive this object. Where no tolerance is named for a tensor it is default_tolerance, or
  /// twice the reference's own largest_distance to float64 where the file tells that and it is more, up to ten times as much: what is further off is not rounded. Throws Error as
  /// check_truth does.
  explicit Comparer(const ReferenceFile& reference, Tolerances tolerances = {})
      : reference_(reference), tolerances_(std::move(tolerances)) {
    check(tolerances_);
    check_truth(reference.tensors);
    for (const auto& [name, tensor] : reference.tensors) {
      if (!is_activation(name)) continue;
      const auto [base, last_rows] = split_last_rows(name);
      pending_.insert({base, {name, &tensor, nullptr, last_rows}});
    }
    for (const auto& [name, statistics] : reference.statistics)
      if (!reference.tensors.contains(name)) pending_.insert({name, {name, nullptr, &statistics, 0}});
  }
  Comparer(const Comparer&) = delete;  // trace() refers to this object

  /// A trace that compares each tensor when it is reported. Throws std::invalid_argument for a tensor of
  /// fewer than two axes.
  Trace trace() {
    return {.report =
                [this](const std::string& name, const std::vector<Index>& shape, const float* values) {
                  check_argument(shape.size() >= 2, "axes of a traced tensor", "2 or more", shape.size());
                  compare(name, shape, values);
                },
            .wants =
                [this](const std::string& name) {
                  if (!pending_.contains(name)) result_.not_in_file.push_back(name);
                  return pending_.contains(name);
                }};
  }

  /// Compares what is known of a tensor of ours by its statistics alone.
  void compare_statistics(const std::string& name, const StoredStatistics& ours) {
    if (!pending_.contains(name)) result_.not_in_file.push_back(name);
    for (auto [at, end] = pending_.equal_range(name); at != end; at = pending_.erase(at)) {
      const Expected& expected = at->second;
      if (expected.statistics)
        add(compare(expected, ours.shape, ours.values, *expected.statistics));
      else if (!storage_type(expected.tensor->dtype) || expected.tensor->bytes == 0)
        add(expected.line(Verdict::wrong_type));
      else
        add(compare(
            expected, ours.shape, ours.values,
            {"", ours.dtype, expected.tensor->shape, t5gemma2::statistics_of(to_vector(*expected.tensor))}));
    }
  }

  /// Compares a tensor of ours of any axes.
  void compare(const std::string& name, const std::vector<Index>& shape, const float* values) {
    if (!pending_.contains(name)) result_.not_in_file.push_back(name);
    for (auto [at, end] = pending_.equal_range(name); at != end; at = pending_.erase(at))
      add(at->second.tensor
              ? compare_one(name, at->second, shape, values)
              : compare(at->second, shape, statistics_of(shape, values), *at->second.statistics));
  }

  /// A result that was found elsewhere.
  void add_result(TensorComparison line) {
    pending_.erase(line.name);
    add(std::move(line));
  }

  /// All results; tensors that were not reported are `missing`.
  Comparison finish() {
    for (const auto& [name, expected] : pending_) result_.tensors.push_back(expected.line(Verdict::missing));
    pending_.clear();
    result_.not_ours = reference_.without_counterpart;
    return std::move(result_);
  }

 private:
  struct Expected {
    std::string name;
    const StoredTensor* tensor;  // null where there are only statistics
    const StoredStatistics* statistics;
    Index last_rows;  // 0: all

    TensorComparison line(Verdict verdict) const {
      const std::string& in_file = tensor ? tensor->name : statistics->name;
      return {.name = name,
              .name_in_file = in_file == name ? "" : in_file,
              .shape = tensor ? tensor->shape : statistics->shape,
              .verdict = verdict,
              .found = {}};
    }
  };

  void add(TensorComparison line) { result_.tensors.push_back(std::move(line)); }

  TensorComparison compare_one(const std::string& name, const Expected& expected, std::vector<Index> shape,
                               const float* values) {
    const StoredTensor& tensor = *expected.tensor;
    const bool has_rows = shape.size() >= 2;
    const Index rows = has_rows ? shape[shape.size() - 2] : 1, cols = shape.empty() ? 1 : shape.back();
    const Index kept = expected.last_rows > 0 ? std::min(expected.last_rows, rows) : rows;
    if (has_rows) shape[shape.size() - 2] = kept;
    TensorComparison line = expected.line(Verdict::wrong_shape);
    line.found = shape;
    if (tensor.shape != shape) return line;
    line.verdict = Verdict::wrong_type;
    if (!storage_type(tensor.dtype)) return line;
    const Vector reference = to_vector(tensor);
    const Index matrices = kept * cols == 0 ? 0 : reference.size() / (kept * cols);
    Eigen::Map<const Matrix> theirs(reference.data(), matrices * kept, cols);
    Matrix ours(matrices * kept, cols);
    for (Index i = 0; i < matrices; ++i)
      ours.middleRows(i * kept, kept) =
          Eigen::Map<const Matrix>(values + (i * rows + rows - kept) * cols, kept, cols);
    measure(line, ours, theirs, tensor.dtype);
    if (name == "logits" && line.verdict != Verdict::not_a_number)
      result_.logits = compare_logits(ours, theirs);
    return line;
  }

  static Statistics statistics_of(const std::vector<Index>& shape, const float* values) {
    Index size = 1;
    for (const Index extent : shape) size *= extent;
    return t5gemma2::statistics_of(Eigen::Map<const Vector>(values, size));
  }

  TensorComparison compare(const Expected& expected, const std::vector<Index>& shape, const Statistics& ours,
                           const StoredStatistics& theirs) const {
    TensorComparison line = expected.line(Verdict::wrong_shape);
    line.found = shape;
    if (theirs.shape != shape) return line;
    line.tolerance = tolerances_.of(line.name).value_or(default_tolerance(theirs.dtype) + printed_precision);
    line.verdict = Verdict::ok;
    line.statistics = {ours, theirs.values};
    const auto [largest, scale] = difference_of(ours, theirs.values);
    line.max_difference = largest;
    line.relative = largest == 0 ? 0 : largest / scale;
    if (std::isnan(largest))
      line.verdict = Verdict::not_a_number;
    else if (!(line.relative <= line.tolerance))
      line.verdict = Verdict::over_tolerance;
    return line;
  }

  /// Fills in the differences, the tolerance and the verdict.
  void measure(TensorComparison& line, const Matrix& ours, const Eigen::Map<const Matrix>& theirs,
               Dtype dtype) const {
    line.verdict = Verdict::ok;
    line.tolerance = tolerances_.of(line.name).value_or(default_tolerance(dtype));
    if (ours.size() == 0) return;
    line.max_difference = (ours - theirs).cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
    const float scale = theirs.cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
    line.relative = line.max_difference == 0 ? 0 : line.max_difference / scale;
    measure_truth(line, ours, theirs);
    const Index heads = line.shape.size() == 4 ? line.shape[1] : 0;
    line.difference = difference_of(ours, theirs, dtype, heads, line.tolerance * scale);
    if (!ours.allFinite() || !theirs.allFinite())
      line.verdict = Verdict::not_a_number;
    else if (!(line.relative <= line.tolerance))
      line.verdict = Verdict::over_tolerance;
  }

  /// Fills in the ratio, and raises the tolerance where the reference itself is far from float64.
  void measure_truth(TensorComparison& line, const Matrix& ours,
                     const Eigen::Map<const Matrix>& theirs) const {
    const auto found = reference_.tensors.find(truth_prefix + line.name);
    if (found == reference_.tensors.end()) return;
    const Vector stored = to_vector(found->second);
    const Eigen::Map<const Matrix> truth(stored.data(), ours.rows(), ours.cols());
    line.truth_ratio = truth_ratio(rms_distance(ours, truth), rms_distance(theirs, truth));
    const float raised = 2 * largest_distance(theirs, truth);
    if (!tolerances_.of(line.name) && raised <= most_raised * line.tolerance)  // more is no rounding
      line.tolerance = std::max(line.tolerance, raised);
  }

  static constexpr float most_raised = 10;

  const ReferenceFile& reference_;
  Tolerances tolerances_;
  std::multimap<std::string, Expected, std::less<>> pending_;
  Comparison result_;
};

}  // namespace t5gemma2
