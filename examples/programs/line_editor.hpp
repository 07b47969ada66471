// Lines from standard input. On a terminal a person edits them (libedit, which line_editor.cpp alone sees),
// with the lines before in reach of the arrow keys.
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

  /// Whether a person types.
  bool on_terminal() const { return terminal_ != nullptr; }

  /// The next line without its newline; none at the end, which Ctrl-D is on a terminal, and there a Ctrl-C
  /// clears the line. Throws Error where standard input cannot be read.
  std::optional<std::string> next();

 private:
  struct Terminal;
  std::unique_ptr<Terminal> terminal_;
};

}  // namespace cli
