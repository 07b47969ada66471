// Numbers, words and the table of a report.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "../../checkpoint/dtype.hpp"
#include "../comparison.hpp"

namespace t5gemma2 {

namespace report_detail {

inline constexpr std::size_t width = 80;

/// "6.2e-01"
inline std::string number(double x) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1e", x);
  return text.data();
}

/// "0.62", at most so many digits.
inline std::string short_number(double x, int digits = 4) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.*g", digits, x);
  return text.data();
}

inline std::string padded(std::string text, std::size_t to) {
  if (text.size() < to) text.append(to - text.size(), ' ');
  return text;
}

/// Words in lines of at most `width` columns, those after the first indented.
inline std::string wrapped(const std::string& text, const std::string& indent) {
  std::istringstream words(text);
  std::string lines, line(text.find_first_not_of(' '), ' '), word;
  bool first = true;
  while (words >> word) {
    if (!first && line.size() + 1 + word.size() > width) {
      lines += line + '\n';
      line = indent + word;
    } else {
      line += (first ? "" : " ") + word;
    }
    first = false;
  }
  return lines + line + '\n';
}

inline std::string verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::over_tolerance:
      return "OVER";
    case Verdict::missing:
      return "MISSING";
    case Verdict::wrong_shape:
      return "SHAPE";
    case Verdict::wrong_type:
      return "TYPE";
    case Verdict::not_a_number:
      return "NAN";
  }
  return "";
}

/// What stands in the column of relative differences.
inline std::string relative_text(const TensorComparison& t) {
  const bool measured = t.verdict == Verdict::ok || t.verdict == Verdict::over_tolerance;
  return measured ? number(t.relative) : verdict_text(t.verdict);
}

/// The columns of tables.
struct Columns {
  std::size_t names;  // width
  bool own, truth;    // whether they are there
};

/// The longest of the names is cut at its beginning where a line would be too long.
inline std::string row(const TensorComparison& t, char mark, const Columns& columns) {
  std::string name = t.name;
  if (name.size() > columns.names) name = "..." + name.substr(name.size() - columns.names + 3);
  std::string line =
      std::string(1, mark) + " " + padded(name, columns.names) + " " + padded(relative_text(t), 7);
  if (columns.own)
    line += " " + padded(t.own_error && std::isfinite(*t.own_error) ? number(*t.own_error) : "-", 7);
  if (columns.truth) line += " " + (t.truth_ratio ? short_number(*t.truth_ratio, 3) : "-");
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

/// '!' for what is wrong by itself, '~' for what is so because of tensors before it.
inline char mark_of(const TensorComparison& t) {
  if (t.wrong_by_itself) return '!';
  return t.own_error && t.verdict != Verdict::ok ? '~' : ' ';
}

inline std::string heading(const Columns& columns) {
  return "  " + padded("tensor", columns.names) + " differs" + (columns.own ? " own" : "") +
         (columns.truth ? "     truth" : "") + '\n';
}

inline Columns columns_of(const Comparison& c) {
  const auto any = [&](auto has) { return std::any_of(c.tensors.begin(), c.tensors.end(), has); };
  Columns columns{6, any([](const auto& t) { return t.own_error.has_value(); }),
                  any([](const auto& t) { return t.truth_ratio.has_value(); })};
  for (const TensorComparison& t : c.tensors) columns.names = std::max(columns.names, t.name.size());
  columns.names = std::min(columns.names, width - 10 - (columns.own ? 8 : 0) - (columns.truth ? 9 : 0));
  return columns;
}

}  // namespace report_detail

}  // namespace t5gemma2
