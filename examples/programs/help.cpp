#include "help.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

namespace cli {

namespace {

constexpr std::size_t widest = 100, narrow = 70;

/// The words of `text` in lines of at most `width` columns. The first line begins at column `at`, the others
/// are indented by `indent`.
std::string wrapped(const std::string& text, std::size_t at, std::size_t indent, std::size_t width) {
  std::istringstream words(text);
  std::string lines, word;
  for (bool first = true; words >> word; first = false) {
    const bool fits = first || at + 1 + word.size() <= width;
    if (!first) lines += fits ? " " : "\n" + std::string(indent, ' ');
    at = (fits ? at + (first ? 0 : 1) : indent) + word.size();
    lines += word;
  }
  return lines;
}

/// "-t, --threads N"
std::string flag_with_value(const HelpRow& row) {
  std::string text;
  for (const char c : row.names) text += c == ',' ? std::string(", ") : std::string(1, c);
  return text + (row.value.empty() ? "" : " " + row.value);
}

/// The flag with the description beside it, or below it where there is no room.
std::string row_text(const HelpRow& row, std::size_t width) {
  const std::size_t column = width < narrow ? 6 : 28;
  const std::string flag = "  " + flag_with_value(row);
  const bool beside = flag.size() + 2 <= column;
  const std::string gap = beside ? std::string(column - flag.size(), ' ') : "\n" + std::string(column, ' ');
  return flag + gap + wrapped(row.description, column, column, width) + "\n";
}

}  // namespace

std::string help_text(const Help& help, std::size_t width) {
  width = std::min(width, widest);
  std::string text = "Usage: " + wrapped(help.usage, 7, 7, width) + "\n";
  bool drawing = false;
  for (const std::string& paragraph : help.paragraphs) {
    const bool goes_on = std::exchange(drawing, paragraph.starts_with(' ')) && drawing;
    text += (goes_on ? "" : "\n") + (drawing ? paragraph : wrapped(paragraph, 0, 0, width)) + "\n";
  }
  std::vector<std::string> groups;
  for (const HelpRow& row : help.rows)
    if (std::find(groups.begin(), groups.end(), row.group) == groups.end()) groups.push_back(row.group);
  for (const std::string& group : groups) {
    text += "\n" + group + ":\n";
    for (const HelpRow& row : help.rows)
      if (row.group == group) text += row_text(row, width);
  }
  if (!help.examples.empty()) text += "\nExamples:\n";
  for (const std::string& example : help.examples) text += "  $ " + example + "\n";
  return text;
}

}  // namespace cli
