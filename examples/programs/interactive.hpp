// -i: a prompt a line, each a request of its own, and commands that begin with /.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace cli {

struct Conversation {
  std::string model;  // as a person calls it
  bool quiet = false;
  std::function<void(const std::string& file)> check_image;  // throws where it cannot be used
  std::function<void(const std::string& prompt, const std::vector<std::string>& images)> answer;
};

/// Until standard input ends, or /exit. An error of one request is one line on stderr. On a terminal Ctrl-C
/// ends an answer, elsewhere all of it. Returns the exit code: `failed` where an error met no person.
int converse(const Conversation& conversation);

}  // namespace cli
