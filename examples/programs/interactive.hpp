// generate -i: each line is a prompt, answered on its own, or a command that begins with /.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace cli {

struct Conversation {
  std::string model;  // its name, for a note
  bool quiet = false;
  std::function<void(const std::string& file)> check_image;  // throws when it cannot be used
  std::function<void(const std::string& prompt, const std::vector<std::string>& images)> answer;
};

/// Answers until standard input ends, or /exit. An error in a request is one line on stderr. Ctrl-C ends the
/// answer on a terminal, and the conversation elsewhere. Returns the exit code: `failed` after an error,
/// unless the requests were typed on a terminal.
int converse(const Conversation& conversation);

}  // namespace cli
