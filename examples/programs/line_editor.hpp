// Lines from standard input, edited on a terminal, with earlier lines under the arrow keys. (By libedit,
// which only line_editor.cpp includes.)
#pragma once
#include <memory>
#include <optional>
#include <string>

namespace cli {

class LineEditor {
 public:
  LineEditor();
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;

  /// Whether the lines are typed on a terminal.
  bool on_terminal() const { return terminal_ != nullptr; }

  /// The next line without its newline; none at the end. On a terminal Ctrl-D is the end, and Ctrl-C clears
  /// the line. Throws Error where standard input cannot be read.
  std::optional<std::string> next();

 private:
  struct Terminal;
  std::unique_ptr<Terminal> terminal_;
};

}  // namespace cli
