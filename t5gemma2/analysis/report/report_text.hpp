// A comparison as text for people, 80 columns wide: the verdict, the reason, the first tensor that differs with those
// around it, what is wrong, what was not compared.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "../comparison.hpp"
#include "../difference.hpp"
#include "report_table.hpp"

namespace t5gemma2 {

namespace report_detail {

template <class... Verdicts>
Index count(const Comparison& c, Verdicts... verdicts) {
  return std::count_if(c.tensors.begin(), c.tensors.end(),
                       [&](const auto& t) { return ((t.verdict == verdicts) || ...); });
}

}  // namespace report_detail

/// "246 compared, 0 over tolerance, 0 missing"
inline std::string summary_line(const Comparison& c) {
  using report_detail::count;
  std::string text = std::to_string(count(c, Verdict::ok, Verdict::over_tolerance, Verdict::not_a_number)) +
                     " compared, " +
                     std::to_string(count(c, Verdict::over_tolerance, Verdict::not_a_number)) +
                     " over tolerance, " + std::to_string(count(c, Verdict::missing)) + " missing";
  if (const auto alone = std::count_if(c.tensors.begin(), c.tensors.end(),
                                       [](const auto& t) { return t.statistics.has_value(); }))
    text += ", " + std::to_string(alone) + " by mean, std, min and max alone";
  if (const Index others = count(c, Verdict::wrong_shape, Verdict::wrong_type))
    text += ", " + std::to_string(others) + " of another shape or type";
  return text;
}

namespace report_detail {

inline std::string totals(const Comparison& c) {
  std::string text;
  const auto largest = std::max_element(c.tensors.begin(), c.tensors.end(),
                                        [](const auto& a, const auto& b) { return a.relative < b.relative; });
  if (largest != c.tensors.end() && c.passed())
    text += "largest difference: " + number(largest->relative) + " of the largest number, " + largest->name +
            '\n';
  if (const auto truth = compare_truth(c.tensors))
    text += wrapped("root-mean-square distance to float64 over the reference's: median " +
                        short_number(truth->median, 3) + ", largest " + short_number(truth->largest, 3) +
                        " (" + truth->name + ")",
                    "  ");
  if (c.logits)
    text += wrapped("logits: KL divergence mean " + number(c.logits->mean_kl) + ", max " +
                        number(c.logits->max_kl) + " nats; top-1 agreement " +
                        std::to_string(c.logits->same_top) + "/" + std::to_string(c.logits->rows),
                    "  ");
  if (const auto& g = c.generated; g && !g->first_difference)
    text += "generated: all " + std::to_string(g->tokens) + " tokens equal\n";
  else if (g)
    text += wrapped("generated: DIFFERS at step " + std::to_string(*g->first_difference) + ": ours " +
                        std::to_string(g->ours) + ", reference " + std::to_string(g->reference) +
                        ", logit margin " + number(g->margin),
                    "  ");
  return text;
}

inline std::string reasons(const Comparison& c, const Columns& columns) {
  std::string text;
  for (const Reason& r : c.reasons) {
    text += '\n' + wrapped("GUESS: " + r.text + (r.where.empty() ? "" : ", " + r.where), "  ");
    for (const std::string& other : r.others) text += wrapped("  or, the same numbers here: " + other, "  ");
    text += wrapped(std::isnan(r.error) ? "  Explains " + r.tensor + "."
                                        : "  " + r.tensor + " is off by " + number(r.before) +
                                              ", with it by " + number(r.error) + ".",
                    "  ");
    if (r.still_wrong)
      text += "  After that " + std::to_string(r.still_wrong) + " tensors are still wrong by themselves.\n";
  }
  if (count(c, Verdict::over_tolerance, Verdict::not_a_number) > 0 && c.reasons.empty() && columns.own)
    text += "\n" +
            wrapped("None of " + std::to_string(c.guesses_tried) + " guesses makes the numbers agree.", "  ");
  return text;
}

/// "  mean      ours 0.1234, yours 0.1235", a line each.
inline std::string statistics_text(const TensorComparison& t, const Comparison& c) {
  std::string text = "  compared by these alone:\n";
  const std::array<const char*, 4> names{"mean", "std", "min", "max"};
  for (std::size_t i = 0; i < names.size(); ++i)
    text += "    " + padded(names[i], 5) + c.ours + " " + short_number(t.statistics->ours.all()[i], 5) +
            ", " + c.theirs + " " + short_number(t.statistics->theirs.all()[i], 5) + '\n';
  return text;
}

inline std::string measures(const TensorComparison& t, const Comparison& c) {
  std::string text = t.name_in_file.empty() ? "" : "  in the file: " + t.name_in_file + '\n';
  text += "  shape " + shape_text(t.shape);
  if (t.verdict == Verdict::wrong_shape) return text + ", " + c.ours + " is " + shape_text(t.found) + '\n';
  if (t.verdict == Verdict::missing) return text + ": the engine has no tensor of this name\n";
  if (t.verdict == Verdict::wrong_type) return text + ": its type cannot be compared\n";
  text += ", " + number(t.tolerance) + " of the largest number allowed\n";
  if (t.statistics) return text + statistics_text(t, c);
  if (!t.difference) return text;
  const Difference& d = *t.difference;
  text += "  max |diff| " + number(t.max_difference) + ", relative " + number(t.relative) + ", cosine " +
          short_number(d.cosine, 6) + ", SNR " + short_number(d.snr, 3) + " dB\n";
  text += "  units in the last place: median " + std::to_string(d.median_ulp) + ", max " +
          std::to_string(d.largest_ulp) + '\n';
  text += wrapped("  worst at " + place_text(t.name, t.shape, d.worst_row, d.worst_col) + ": " + c.ours +
                      " " + short_number(d.ours) + ", " + c.theirs + " " + short_number(d.theirs),
                  "    ");
  if (d.wrong_rows == 0) return text;
  Index rows = 1;
  for (std::size_t axis = 0; axis + 1 < t.shape.size(); ++axis) rows *= t.shape[axis];
  std::string wrong = "  wrong in " + std::to_string(d.wrong_rows) + " of " + std::to_string(rows) + " rows";
  if (rows > 1) wrong += ", first " + place_text(t.name, t.shape, d.first_wrong_row, -1);
  if (!d.wrong_heads.empty() && t.shape[1] > 1) {
    wrong += "; in heads";
    for (const Index head : d.wrong_heads) wrong += " " + std::to_string(head);
    wrong += " of " + std::to_string(t.shape[1]);
  }
  return text + wrapped(wrong, "    ");
}

/// The first that differs, those around it, and how it differs.
inline std::string first_divergence(const Comparison& c, const Columns& columns) {
  const auto first = std::find_if(c.tensors.begin(), c.tensors.end(),
                                  [](const auto& t) { return t.verdict != Verdict::ok; });
  if (first == c.tensors.end()) return "";
  std::string text = "\nFIRST that diverges: " + first->name + '\n' + heading(columns);
  constexpr std::ptrdiff_t around = 3;
  const auto begin = first - std::min(around, first - c.tensors.begin());
  const auto end = first + std::min(around + 1, c.tensors.end() - first);
  for (auto t = begin; t != end; ++t) text += row(*t, t == first ? '>' : mark_of(*t), columns);
  return text + measures(*first, c);
}

/// "2 WHAT: one, the other"
inline std::string listed(const std::vector<std::string>& names, const std::string& what, bool all) {
  if (names.empty()) return "";
  std::string text = std::to_string(names.size()) + " " + what + ":";
  const std::size_t shown = all ? names.size() : std::min<std::size_t>(3, names.size());
  for (std::size_t i = 0; i < shown; ++i) text += (i ? ", " : " ") + names[i];
  if (shown < names.size()) text += ", ... (--all: every one)";
  return "\n" + wrapped(text, "  ");
}

/// What one side alone has.
inline std::string coverage(const Comparison& c, bool all) {
  const bool files = c.ours != "ours";
  return listed(c.not_in_file, files ? "in " + c.ours + " alone" : "of ours not in your file", all) +
         listed(c.not_ours, files ? "in " + c.theirs + " alone" : "of yours have no counterpart here", all);
}

inline std::string table(const Comparison& c, bool all, const Columns& columns) {
  std::string rows;
  Index shown = 0;
  for (const TensorComparison& t : c.tensors)
    if (all || t.verdict != Verdict::ok) {
      rows += row(t, mark_of(t), columns);
      ++shown;
    }
  if (shown == 0) return "";
  const std::string what = all ? "All tensors, in forward order" : "All that differ";
  const std::string own =
      "; own: if computed from your tensors before it;\n"
      "  ! is wrong by itself, ~ because of what comes before";
  return "\n" + what + "\n" + "  differs: of the largest number" + (columns.own ? own : "") + "\n" +
         heading(columns) + rows;
}

}  // namespace report_detail

/// The report; `all`: every tensor, not only those that differ.
inline std::string report_text(const Comparison& c, bool all) {
  const report_detail::Columns columns = report_detail::columns_of(c);
  return std::string(c.passed() ? "PASSED: " : "FAILED: ") + summary_line(c) + '\n' +
         report_detail::totals(c) + report_detail::reasons(c, columns) +
         report_detail::first_divergence(c, columns) + report_detail::table(c, all, columns) +
         report_detail::coverage(c, all);
}

}  // namespace t5gemma2
