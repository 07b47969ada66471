#include "interactive.hpp"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include "ctrl_c.hpp"
#include "errors.hpp"
#include "line_editor.hpp"
#include "t5gemma2/tokenizer/white_space.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

constexpr std::string_view help = R"(each line is a prompt, answered on its own
/image FILE  adds an image to the next prompt,
             which may be an empty line
/help        prints this help
/exit, /quit end the program, as Ctrl-D does
//...        is a prompt that begins with /
Ctrl-C       ends the answer, or clears the line
)";

std::string_view without_blanks(std::string_view text) {
  text.remove_prefix(t5gemma2::white_space_at_start(text));
  text.remove_suffix(t5gemma2::white_space_at_end(text));
  return text;
}

/// The file that was typed, as a shell understands it: without quotes, with the home folder for ~/.
std::string file_name(std::string_view typed) {
  const bool quoted =
      typed.size() > 1 && (typed[0] == '\'' || typed[0] == '"') && typed.back() == typed.front();
  if (quoted) return std::string(typed.substr(1, typed.size() - 2));
  const char* const home = std::getenv("HOME");
  return typed.starts_with("~/") && home ? home + std::string(typed.substr(1)) : std::string(typed);
}

class Dialogue {
 public:
  explicit Dialogue(const Conversation& conversation) : conversation_(conversation) {}

  int run() {
    if (!lines_.on_terminal()) return answer_all();
    note(conversation_.model + ": each line is a prompt; /help lists commands; Ctrl-D ends",
         conversation_.quiet);
    const GracefulInterrupt graceful;
    while (!ended_) {
      const std::optional<std::string> line = lines_.next();
      stop_requested = 0;
      if (!line) break;
      take(*line);
    }
    stop_requested = 0;
    return ok;
  }

 private:
  int answer_all() {
    while (!ended_ && !stop_requested && std::cout) {
      const std::optional<std::string> line = lines_.next();
      if (!line) break;
      take(*line);
    }
    return failed_ ? failed : ok;
  }

  void take(std::string line) {
    if (line.ends_with('\r')) line.pop_back();  // a line of a Windows file
    try {
      line.starts_with('/') && !line.starts_with("//") ? obey(line) : answer(line);
    } catch (const std::bad_alloc&) {
      complain("not enough memory");
    } catch (const std::exception& error) {
      complain(error.what());
    }
  }

  void obey(const std::string& line) {
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    const std::string command = line.substr(0, end);
    const std::string_view rest = without_blanks(std::string_view(line).substr(end));
    if (command == "/image" && !rest.empty()) {
      const std::string file = file_name(rest);
      conversation_.check_image(file);
      images_.push_back(file);
      note(file + ": for the next prompt", conversation_.quiet);
    } else if (command == "/help" || command == "/?") {
      fresh_line();
      std::cerr << help;
    } else if (command == "/exit" || command == "/quit" || command == "/bye") {
      ended_ = true;
    } else {
      throw UsageError(
          "expected /image FILE, /help, /exit or /quit (// for a prompt that begins with /), found " + line);
    }
  }

  void answer(const std::string& line) {
    if (without_blanks(line).empty() && images_.empty()) return;
    const std::vector<std::string> images = std::exchange(images_, {});
    conversation_.answer(line.starts_with('/') ? line.substr(1) : line, images);
  }

  void complain(const std::string& what) {
    failed_ = true;
    if (in_answer()) end_answer();
    fresh_line();
    std::cerr << "error: " + one_line(what) + '\n';
  }

  const Conversation& conversation_;
  LineEditor lines_;
  std::vector<std::string> images_;  // for the next prompt
  bool ended_ = false, failed_ = false;
};

}  // namespace

int converse(const Conversation& conversation) { return Dialogue(conversation).run(); }

}  // namespace cli
