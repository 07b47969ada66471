// A comparison as a page for a browser: what report_json.hpp says, with heat maps of what is wrong.
#pragma once
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "../comparison.hpp"
#include "../difference.hpp"
#include "report_json.hpp"
#include "report_page.hpp"
#include "report_script.hpp"
#include "report_script_plots.hpp"
#include "report_script_tree.hpp"
#include "report_text.hpp"

namespace t5gemma2 {

namespace report_detail {

/// A text for each row of cells, with a character for each cell: '.' where all are equal, else a digit in base 40.
inline Json heat_map_json(const TensorComparison& t) {
  constexpr std::string_view digits = ".0123456789abcdefghijklmnopqrstuvwxyzABCD";
  const HeatMap& map = t.difference->heat_map;
  Json rows = Json::array();
  for (Index row = 0; row < map.rows; ++row) {
    std::string text;
    for (Index col = 0; col < map.cols; ++col) {
      const int digit = map.levels[static_cast<std::size_t>(row * map.cols + col)] + 1;
      text += digits[static_cast<std::size_t>(digit)];
    }
    rows.push_back(text);
  }
  return {{"axes", axes_of(t.name, t.shape.size())},
          {"rows_each", map.rows_each},
          {"cols_each", map.cols_each},
          {"cells", rows}};
}

/// Adds the heat maps of all that is wrong; where nothing is, that of the largest difference.
inline void add_heat_maps(Json& report, const Comparison& c) {
  const auto largest = std::max_element(c.tensors.begin(), c.tensors.end(),
                                        [](const auto& a, const auto& b) { return a.relative < b.relative; });
  for (auto t = c.tensors.begin(); t != c.tensors.end(); ++t)
    if (t->difference && (t->verdict != Verdict::ok || t->wrong_by_itself || t == largest))
      report["tensors"][static_cast<std::size_t>(t - c.tensors.begin())]["heat_map"] = heat_map_json(*t);
}

/// In the place of each {{name}} the part of that name, which is not searched for more names.
inline std::string filled_in(std::string_view page,
                             const std::map<std::string_view, std::string_view>& parts) {
  std::string filled;
  for (std::size_t at = page.find("{{"); at != page.npos; at = page.find("{{")) {
    const std::size_t end = page.find("}}", at);
    filled += page.substr(0, at);
    filled += parts.at(page.substr(at + 2, end - at - 2));
    page.remove_prefix(end + 2);
  }
  return filled += page;
}

/// JSON in which no text ends the script element that holds it, or begins a comment.
inline std::string embedded(const Json& json) {
  std::string text;
  for (const char c : json.dump(-1, ' ', false, Json::error_handler_t::replace))
    c == '<' ? text += "\\u003c" : text += c;
  return text;
}

}  // namespace report_detail

/// The report as one HTML page that needs no other file: its guesses, the modules as a tree in forward order, and of each
/// tensor its measures, the histogram of differences and, where it is wrong, the heat map of where they lie.
inline std::string report_html(const Comparison& c) {
  report_detail::Json report = report_json(c);
  report["totals"] = report_detail::totals(c);
  report["guesses_tried"] = c.guesses_tried;
  report["sides"] = {{"ours", c.ours}, {"yours", c.theirs}};
  report_detail::add_heat_maps(report, c);
  const std::string data = report_detail::embedded(report);
  return report_detail::filled_in(report_detail::html_page, {{"style", report_detail::html_style},
                                                             {"data", data},
                                                             {"script", report_detail::html_script},
                                                             {"plots", report_detail::html_script_plots},
                                                             {"tree", report_detail::html_script_tree}});
}

}  // namespace t5gemma2
