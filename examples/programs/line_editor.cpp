#include "line_editor.hpp"

#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <string_view>

#include "ctrl_c.hpp"
#include "files.hpp"
#include "t5gemma2/error.hpp"
#include "t5gemma2/tokenizer/white_space.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

constexpr int remembered_lines = 1000;

/// Keys as in readline, and so in most programs.
constexpr struct {
  const char *key, *action;
} keys[] = {
    {"^C", "clear-line"},
    {"^Z", "suspend"},
    {"^I", "ed-insert"},
    {"^R", "em-inc-search-prev"},
    {"^U", "vi-kill-line-prev"},
    {"^W", "ed-delete-prev-word"},
    {"\033[3~", "ed-delete-next-char"},
    {"\033[H", "ed-move-to-beg"},
    {"\033[1~", "ed-move-to-beg"},
    {"\033[F", "ed-move-to-end"},
    {"\033[4~", "ed-move-to-end"},
    {"\033[1;5D", "ed-prev-word"},
    {"\033[1;5C", "em-next-word"},
};

/// The stream that shows the line: stderr, or the terminal itself where stderr goes elsewhere.
std::FILE* open_screen() {
  const int terminal = isatty(STDERR_FILENO) != 0 ? -1 : open("/dev/tty", O_WRONLY | O_CLOEXEC);
  return fdopen(terminal < 0 ? dup(STDERR_FILENO) : terminal, "w");
}

/// Sets a UTF-8 locale, so that characters of several bytes are edited as one.
void understand_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (nl_langinfo(CODESET) != std::string_view("UTF-8")) std::setlocale(LC_CTYPE, "C.UTF-8");
}

char* prompt_sign(EditLine*) {
  static char sign[] = "> ";
  return sign;
}

template <auto close>
struct Closer {
  template <class T>
  void operator()(T* opened) const {
    close(opened);
  }
};

}  // namespace

struct LineEditor::Terminal {
  std::unique_ptr<std::FILE, Closer<std::fclose>> screen{open_screen()};
  std::unique_ptr<History, Closer<history_end>> past{history_init()};
  std::unique_ptr<EditLine, Closer<el_end>> editor;
  bool cleared = false;  // by Ctrl-C

  Terminal() {
    understand_utf8();
    if (screen) editor.reset(el_init("t5gemma2", stdin, screen.get(), screen.get()));
    if (!editor || !past) throw t5gemma2::Error("the terminal: cannot be opened");
    EditLine* const el = editor.get();
    HistEvent event;
    history(past.get(), &event, H_SETSIZE, remembered_lines);
    history(past.get(), &event, H_SETUNIQUE, 1);
    el_set(el, EL_CLIENTDATA, this);
    el_set(el, EL_PROMPT, prompt_sign);
    el_set(el, EL_HIST, history, past.get());
    el_set(el, EL_EDITOR, "emacs");
    el_set(el, EL_SIGNAL, 1);  // restore the terminal when a signal ends or stops the program
    el_set(el, EL_SETTY, "-d", "-isig", nullptr);  // Ctrl-C and Ctrl-Z are ordinary keys
    el_set(el, EL_ADDFN, "clear-line", "start the line again", clear_line);
    el_set(el, EL_ADDFN, "suspend", "stop until the shell continues the program", suspend);
    el_set(el, EL_EDITMODE, is_smart() ? 1 : 0);
    for (const auto& [key, action] : keys) el_set(el, EL_BIND, key, action, nullptr);
  }

  /// Ends the line with ^C; next() does not return it.
  static unsigned char clear_line(EditLine* el, int) {
    Terminal* self = nullptr;
    el_get(el, EL_CLIENTDATA, &self);
    self->cleared = true;
    el_cursor(el, static_cast<int>(el_line(el)->lastchar - el_line(el)->cursor));
    el_insertstr(el, "^C");
    el_push(el, "\n");
    return CC_REFRESH;
  }

  static unsigned char suspend(EditLine* el, int) {
    std::raise(SIGTSTP);
    el_set(el, EL_REFRESH);
    return CC_NORM;
  }

  void remember(const std::string& line) {
    if (t5gemma2::white_space_at_start(line) == line.size()) return;
    HistEvent event;
    history(past.get(), &event, H_ENTER, line.c_str());
  }

  std::optional<std::string> next() {
    for (;;) {
      int bytes = 0;
      cleared = false;
      stop_requested = 0;
      const char* const read = el_gets(editor.get(), &bytes);
      if (cleared) continue;
      if (read == nullptr || bytes <= 0) {
        std::fputs("\n", screen.get());
        line_was_ended();
        if (stop_requested) continue;  // Ctrl-C where it is not an ordinary key, or kill -INT
        return {};
      }
      std::string line(read, static_cast<std::size_t>(bytes));
      remember(line);
      if (line.ends_with('\n')) line.pop_back();
      return line;
    }
  }
};

LineEditor::LineEditor() {
  if (isatty(STDIN_FILENO) != 0) terminal_ = std::make_unique<Terminal>();
}
LineEditor::~LineEditor() = default;

std::optional<std::string> LineEditor::next() {
  fresh_line();
  if (terminal_) return terminal_->next();
  std::string line;
  const bool found = static_cast<bool>(std::getline(std::cin, line));
  check_stdin();
  return found ? std::optional(line) : std::nullopt;
}

}  // namespace cli
