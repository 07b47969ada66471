// A comparison as JSON: what report_text.hpp says, with every tensor. Numbers that are not finite are null.
#pragma once
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "../comparison.hpp"
#include "report_text.hpp"

namespace t5gemma2 {

namespace report_detail {

using Json = nlohmann::ordered_json;

inline Json finite(double x) { return std::isfinite(x) ? Json(x) : Json(); }

inline Json difference_json(const TensorComparison& t) {
  const Difference& d = *t.difference;
  Json json{{"cosine", finite(d.cosine)},
            {"snr_db", finite(d.snr)},
            {"median_ulp", d.median_ulp},
            {"max_ulp", d.largest_ulp},
            {"worst",
             {{"place", place_text(t.name, t.shape, d.worst_row, d.worst_col)},
              {"ours", finite(d.ours)},
              {"yours", finite(d.theirs)}}},
            {"wrong_rows", d.wrong_rows}};
  if (d.wrong_rows > 0) json["first_wrong_row"] = place_text(t.name, t.shape, d.first_wrong_row, -1);
  if (!d.wrong_heads.empty()) json["wrong_heads"] = d.wrong_heads;
  json["histogram"] = d.histogram;
  return json;
}

inline Json statistics_json(const Statistics& s) {
  return {{"mean", finite(s.mean)}, {"std", finite(s.std)}, {"min", finite(s.min)}, {"max", finite(s.max)}};
}

inline Json tensor_json(const TensorComparison& t) {
  Json json{{"name", t.name}, {"shape", t.shape}, {"verdict", verdict_text(t.verdict)}};
  if (!t.name_in_file.empty()) json["name_in_file"] = t.name_in_file;
  if (t.verdict == Verdict::wrong_shape) json["our_shape"] = t.found;
  if (!t.difference && !t.statistics) return json;
  json["max_difference"] = finite(t.max_difference);
  json["relative"] = finite(t.relative);
  json["tolerance"] = t.tolerance;
  if (t.own_error) json.update({{"own", finite(*t.own_error)}, {"wrong_by_itself", t.wrong_by_itself}});
  if (t.truth_ratio) json["truth_ratio"] = finite(*t.truth_ratio);
  if (t.difference) json.update(difference_json(t));
  if (t.statistics)
    json["statistics"] = {{"ours", statistics_json(t.statistics->ours)},
                          {"yours", statistics_json(t.statistics->theirs)}};
  return json;
}

inline Json reason_json(const Reason& r) {
  return {{"tensor", r.tensor},
          {"guess", r.text},
          {"where", r.where},
          {"off_by", finite(r.before)},
          {"with_it", finite(r.error)},
          {"still_wrong", r.still_wrong},
          {"or", r.others}};
}

}  // namespace report_detail

/// The report as one object.
inline nlohmann::ordered_json report_json(const Comparison& c) {
  using report_detail::finite;
  using report_detail::Json;
  Json json{{"passed", c.passed()}, {"summary", summary_line(c)}, {"guesses", Json::array()}};
  for (const Reason& r : c.reasons) json["guesses"].push_back(report_detail::reason_json(r));
  for (const TensorComparison& t : c.tensors)
    if (t.verdict != Verdict::ok) {
      json["first"] = t.name;
      break;
    }
  if (c.logits)
    json["logits"] = {{"mean_kl", finite(c.logits->mean_kl)},
                      {"max_kl", finite(c.logits->max_kl)},
                      {"same_top", c.logits->same_top},
                      {"rows", c.logits->rows}};
  if (const auto& g = c.generated) {
    json["generated"] = {{"equal", g->tokens}};
    if (g->first_difference)
      json["generated"].update({{"step", *g->first_difference},
                                {"ours", g->ours},
                                {"yours", g->reference},
                                {"margin", finite(g->margin)}});
  }
  json["tensors"] = Json::array();
  for (const TensorComparison& t : c.tensors) json["tensors"].push_back(report_detail::tensor_json(t));
  json["not_in_file"] = c.not_in_file;
  json["not_ours"] = c.not_ours;
  return json;
}

}  // namespace t5gemma2
