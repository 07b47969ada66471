// What a comparison of tensors with those of a reference file finds.
#pragma once
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../tensor.hpp"
#include "difference.hpp"
#include "explain/reasons.hpp"
#include "reference/statistics.hpp"

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

}  // namespace t5gemma2
