// Requests that are JSON lines: read one after the other, each answered by a line.
#pragma once
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "copied_keys.hpp"
#include "ctrl_c.hpp"
#include "failure.hpp"
#include "files.hpp"
#include "input_flags.hpp"
#include "t5gemma2/io/json_fields.hpp"
#include "terminal.hpp"

namespace cli {

/// The message at the end of `lines` lines, whose answers have `what`; empty where none failed.
inline std::string failed_lines(Index failed, Index lines, const std::string& what) {
  if (failed == 0) return {};
  return std::to_string(failed) + " of " + std::to_string(lines) +
         " lines failed: \"error\" in place of the " + what + " says why";
}

/// Calls answer(line, where it stands) for each line that is not blank, until Ctrl-C is pressed or stdout closes. `file`: - is
/// stdin. Throws Error where the lines cannot be read.
template <class Answer>
void read_json_lines(const std::string& file, bool quiet, const Answer& answer) {
  std::ifstream opened;
  std::istream& in = open_input(file, opened);
  const bool is_stdin = &in == &std::cin;
  if (is_stdin) note_waiting("JSON requests, one a line,", quiet);
  std::string line;
  for (Index number = 1; std::cout && !stop_requested && next_line(in, line); ++number)
    if (line.find_first_not_of(" \t\r") != std::string::npos)
      answer(line, (is_stdin ? "stdin" : file) + " line " + std::to_string(number));
}

/// Writes a line for each request, and counts those that failed.
class LineAnswers {
 public:
  explicit LineAnswers(CopiedKeys keys) : keys_(std::move(keys)) {}

  /// Writes what body(request, written) adds to `written`, or the message as `error`, after the keys that are copied. Throws
  /// Interrupted.
  template <class Body>
  void write(const std::string& line, const std::string& where, const Body& body) {
    AnswerLine written = AnswerLine::object();
    const std::string wrong = failure_of(where, [&] {
      const nlohmann::json json = t5gemma2::parse_json(line, where);
      const t5gemma2::JsonField object(json, where);
      keys_.copy(object, line, written);
      body(object, written);
    });
    if (!wrong.empty()) written["error"] = wrong;
    failed_ += wrong.empty() ? 0 : 1;
    ++lines_;
    fresh_line();
    print_text(to_text(written) + '\n');
  }

  /// Notes about keys, and the message at the end; empty when no line failed.
  std::string finish(const std::string& what, bool quiet) const {
    keys_.note_all(quiet);
    return failed_lines(failed_, lines_, what);
  }

 private:
  CopiedKeys keys_;
  Index lines_ = 0, failed_ = 0;
};

}  // namespace cli
