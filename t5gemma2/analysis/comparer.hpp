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

#include "../checkpoint/safetensors.hpp"
#include "../tensor.hpp"
#include "../trace.hpp"
#include "reference_file.hpp"

namespace t5gemma2 {

/// The result for one tensor.
enum class Verdict { ok, over_tolerance, missing, wrong_shape, wrong_type, not_a_number };

/// One tensor of the file.
struct TensorComparison {
  std::string name;                    // in the file
  std::vector<Index> shape;            // in the file
  float max_difference = 0;            // max |ours - reference|
  float relative = 0;                  // that over max |reference|
  std::optional<float> truth_ratio{};  // our distance to float64 over the reference's; none without `truth.`
  Verdict verdict = Verdict::missing;
  std::vector<Index> found;  // shape of ours
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

/// Our distance to `truth` over that of `theirs`, each the largest |difference| over max |truth|; distances below
/// 3e-7, which rounding to float32 alone may give, count as 3e-7. All of the same shape, not empty.
inline float truth_ratio(const Eigen::Ref<const Matrix>& ours, const Eigen::Ref<const Matrix>& theirs,
                         const Eigen::Ref<const Matrix>& truth) {
  const float scale = truth.cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
  const auto distance = [&](const Eigen::Ref<const Matrix>& x) {
    const float difference = (x - truth).cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
    return difference <= 3e-7f * scale ? 3e-7f : difference / scale;
  };
  return distance(ours) / distance(theirs);
}

/// Compares the tensors that a Trace reports with those of a reference file.
class Comparer {
 public:
  /// `reference` must outlive this object; `tolerance` is relative to each tensor's largest value.
  Comparer(const StoredTensors& reference, float tolerance) : reference_(reference), tolerance_(tolerance) {
    check_argument(tolerance >= 0, "Comparer tolerance", "0 or more", tolerance);
    for (const auto& [name, tensor] : reference) {
      if (name.starts_with("inputs.") || name.starts_with(truth_prefix) || name == "generated") continue;
      const auto [base, last_rows] = split_last_rows(name);
      pending_.insert({base, {&tensor, last_rows}});
    }
  }
  Comparer(const Comparer&) = delete;  // trace() refers to this object

  /// A trace that compares each tensor when it is reported. Throws std::invalid_argument for a tensor of
  /// fewer than two axes.
  Trace trace() {
    return {.report = [this](const std::string& name, const std::vector<Index>& shape,
                             const float* values) { compare(name, shape, values); },
            .wants = [this](const std::string& name) { return pending_.contains(name); }};
  }

  /// All results; tensors that were not reported are `missing`.
  Comparison finish() {
    for (const auto& [name, expected] : pending_)
      result_.tensors.push_back({.name = expected.tensor->name,
                                 .shape = expected.tensor->shape,
                                 .verdict = Verdict::missing,
                                 .found = {}});
    pending_.clear();
    return std::move(result_);
  }

 private:
  struct Expected {
    const StoredTensor* tensor;
    Index last_rows;  // 0: all
  };

  void compare(const std::string& name, const std::vector<Index>& shape, const float* values) {
    for (auto [at, end] = pending_.equal_range(name); at != end; at = pending_.erase(at))
      result_.tensors.push_back(compare_one(name, at->second, shape, values));
  }

  TensorComparison compare_one(const std::string& name, const Expected& expected, std::vector<Index> shape,
                               const float* values) {
    check_argument(shape.size() >= 2, "axes of a traced tensor", "2 or more", shape.size());
    const StoredTensor& tensor = *expected.tensor;
    const Index rows = shape[shape.size() - 2], cols = shape.back();
    const Index kept = expected.last_rows > 0 ? std::min(expected.last_rows, rows) : rows;
    shape[shape.size() - 2] = kept;
    TensorComparison line{
        .name = tensor.name, .shape = tensor.shape, .verdict = Verdict::wrong_shape, .found = shape};
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
    judge(line, ours, theirs);
    if (const auto found = reference_.find(truth_prefix + tensor.name);
        found != reference_.end() && ours.size() > 0) {
      const Vector stored = to_vector(found->second);
      line.truth_ratio =
          truth_ratio(ours, theirs, Eigen::Map<const Matrix>(stored.data(), ours.rows(), cols));
    }
    if (name == "logits" && line.verdict != Verdict::not_a_number)
      result_.logits = compare_logits(ours, theirs);
    return line;
  }

  /// Fills in the differences and the verdict.
  void judge(TensorComparison& line, const Matrix& ours, const Eigen::Map<const Matrix>& theirs) const {
    line.verdict = Verdict::ok;
    if (ours.size() == 0) return;
    line.max_difference = (ours - theirs).cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
    const float scale = theirs.cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
    line.relative = line.max_difference == 0 ? 0 : line.max_difference / scale;
    if (!ours.allFinite() || !theirs.allFinite())
      line.verdict = Verdict::not_a_number;
    else if (!(line.relative <= tolerance_))
      line.verdict = Verdict::over_tolerance;
  }

  const StoredTensors& reference_;
  float tolerance_;
  std::multimap<std::string, Expected, std::less<>> pending_;
  Comparison result_;
};

}  // namespace t5gemma2
