// The text of --help: as wide as the terminal allows, in a form that help2man and completion.bash can parse.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace cli {

/// A flag ("-t,--threads") or a word without one. `value` is the name of its value, "" for none; bash's
/// completion depends on it: FILE, FILE.png, IMAGE, MODEL, or words between |.
struct HelpRow {
  std::string group, names, value, description;
};

struct Help {
  std::string usage;
  std::vector<std::string> paragraphs;  // those that begin with spaces are lines of a drawing
  std::vector<HelpRow> rows;
  std::vector<std::string> examples;  // commands that run from the top of the repository
};

/// The text, at most `width` columns wide (commands aside). Groups appear in the order of their first rows.
std::string help_text(const Help& help, std::size_t width);

}  // namespace cli
