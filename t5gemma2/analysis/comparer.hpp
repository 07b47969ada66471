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
#include "difference.hpp"
#include "explain/reasons.hpp"
#include "reference/reference_file.hpp"
#include "reference/statistics.hpp"
#include "tolerances.hpp"
#include "truth.hpp"

namespace t5gemma2 {

/// The result for one tensor.
enum class Verdict { ok, over_tolerance, missing, wrong_shape, wrong_type, not_a_number };

/// One tensor of the file.
struct TensorComparison {
  std::string name;
  std::string name_in_file{};          // where the file has another
  std::vector<Index> shape;            // in the file
  float max_difference = 0;            // max |ours - reference|
  float relative = 0;                  // that over max |reference|
  std::optional<float> truth_ratio{};  // of rms_distance to float64, ours over theirs; none without `truth.`
  float tolerance = 0;                 // the largest `relative` that passes
  Verdict verdict = Verdict::missing;
  std::vector<Index> found;                // shape of ours
  std::optional<Difference> difference{};  // where both were compared
  std::optional<float> own_error{};  // relative, of ours computed from the file's tensors before it (explain)
  bool wrong_by_itself = false;      // that is more than rounding
  struct BothStatistics {
    Statistics ours, theirs;
  };
  std::optional<BothStatistics> statistics{};  // in place of `difference` where the file holds no more
};

/// The distributions of the next token that the two `logits` stand for, over all rows.
struct LogitsComparison {
  double mean_kl = 0, max_kl = 0;  // nats, KL(reference || ours)
  Index same_top = 0, rows = 0;    // rows in which the largest logit is the same token's; all rows
};

/// Greedy tokens up to the first that differs.
struct GeneratedComparison {
  Index tokens = 0;                       // equal ones, without the decoder prompt
  std::optional<Index> first_difference;  // step, counted from 0
  TokenId ours = 0, reference = 0;        // the tokens there; ours is -1 where our logits are not finite
  float margin = 0;                       // our logit of our token minus our logit of the reference's
};

/// The results for a file.
struct Comparison {
  std::vector<TensorComparison> tensors;  // in the order reported, then those that were not
  std::optional<LogitsComparison> logits;
  std::optional<GeneratedComparison> generated;
  std::vector<std::string> not_in_file{};       // tensors of ours, in forward order
  std::vector<std::string> not_ours{};          // what the file holds that stands for none of ours
  std::vector<Matrix> image_features{};         // of the images in the file
  std::vector<Reason> reasons{};                // why something differs: filled in by explain (compare.hpp)
  Index guesses_tried = 0;                      // for them
  std::string ours = "ours", theirs = "yours";  // what reports call the two sides

  bool passed() const {
    if (tensors.empty() && !generated) return false;  // nothing was compared
    return std::all_of(tensors.begin(), tensors.end(),
                       [](const auto& t) { return t.verdict == Verdict::ok; }) &&
           !(generated && generated->first_difference);
  }
};

/// KL(softmax(reference) || softmax(ours)) and equal largest logits, row by row; both [rows, vocab]. Throws
/// std::invalid_argument where shapes differ or vocab is 0.
inline LogitsComparison compare_logits(const Eigen::Ref<const Matrix>& ours,
                                       const Eigen::Ref<const Matrix>& reference) {
  check_shape(ours, reference.rows(), reference.cols(), "compare_logits ours");
  check_argument(ours.cols() > 0, "compare_logits vocab", "1 or more", ours.cols());
  LogitsComparison result;
  for (Index row = 0; row < ours.rows(); ++row) {
    const auto log_softmax = [](const auto& logits) {
      const Eigen::ArrayXd x = logits.template cast<double>().transpose().array();
      return (x - x.maxCoeff() - std::log((x - x.maxCoeff()).exp().sum())).eval();
    };
    const Eigen::ArrayXd p = log_softmax(reference.row(row)), q = log_softmax(ours.row(row));
    const double kl = (p.exp() * (p - q)).sum();
    Index top_p = 0, top_q = 0;
    p.maxCoeff(&top_p);
    q.maxCoeff(&top_q);
    result.mean_kl += (kl - result.mean_kl) / static_cast<double>(row + 1);
    result.max_kl = std::max(result.max_kl, kl);
    result.same_top += top_p == top_q;
    ++result.rows;
  }
  return result;
}

/// The ratios of a file that holds what float64 gives.
struct TruthComparison {
  float median = 0;  // the upper one of two
  float largest = 0;
  std::string name;  // of the tensor with the largest
};

/// None where no tensor has a ratio.
inline std::optional<TruthComparison> compare_truth(const std::vector<TensorComparison>& tensors) {
  std::vector<std::pair<float, std::string>> ratios;
  for (const TensorComparison& t : tensors)
    if (t.truth_ratio) ratios.emplace_back(*t.truth_ratio, t.name);
  if (ratios.empty()) return {};
  std::sort(ratios.begin(), ratios.end());
  return TruthComparison{ratios[ratios.size() / 2].first, ratios.back().first, ratios.back().second};
}

/// Compares the tensors that a Trace reports with those of a reference file.
class Comparer {
 public:
  /// `reference` must outlive this object. Where no tolerance is named for a tensor it is default_tolerance, or
  /// twice the reference's own largest_distance to float64 where the file tells that and it is more. Throws Error as
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
    return {.report = [this](const std::string& name, const std::vector<Index>& shape,
                             const float* values) { compare(name, shape, values); },
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

  /// A result that was found elsewhere.
  void add(TensorComparison line) { result_.tensors.push_back(std::move(line)); }

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

  void compare(const std::string& name, const std::vector<Index>& shape, const float* values) {
    if (!pending_.contains(name)) result_.not_in_file.push_back(name);
    for (auto [at, end] = pending_.equal_range(name); at != end; at = pending_.erase(at))
      add(at->second.tensor
              ? compare_one(name, at->second, shape, values)
              : compare(at->second, shape, statistics_of(shape, values), *at->second.statistics));
  }

  TensorComparison compare_one(const std::string& name, const Expected& expected, std::vector<Index> shape,
                               const float* values) {
    check_argument(shape.size() >= 2, "axes of a traced tensor", "2 or more", shape.size());
    const StoredTensor& tensor = *expected.tensor;
    const Index rows = shape[shape.size() - 2], cols = shape.back();
    const Index kept = expected.last_rows > 0 ? std::min(expected.last_rows, rows) : rows;
    shape[shape.size() - 2] = kept;
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
    const float largest = largest_distance(theirs, truth);
    if (!tolerances_.of(line.name) && std::isfinite(largest))
      line.tolerance = std::max(line.tolerance, 2 * largest);
  }

  const ReferenceFile& reference_;
  Tolerances tolerances_;
  std::multimap<std::string, Expected, std::less<>> pending_;
  Comparison result_;
};

}  // namespace t5gemma2
