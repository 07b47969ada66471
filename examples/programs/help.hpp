// --help: as wide as the terminal allows, in the form that help2man makes man pages of, and completion.bash
// its words.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace cli {

/// A flag, or a word without one: "-t,--threads", and what --help calls its value, which says to the
/// completion what it may be: FILE, FILE.png, IMAGE, MODEL, or words between |; "" where it has none.
struct HelpRow {
  std::string group, names, value, description;
};

struct Help {
  std::string usage;
  std::vector<std::string> paragraphs;
  std::vector<HelpRow> rows;
  std::vector<std::string> examples;  // commands that can be run in the repository's top
};

/// The groups stand in the order in which the rows bring them.
std::string help_text(const Help& help, std::size_t width);

}  // namespace cli
