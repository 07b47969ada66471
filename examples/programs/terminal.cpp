#include "terminal.hpp"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "t5gemma2/tokenizer/utf8.hpp"

namespace cli {

namespace {

const bool types = isatty(STDIN_FILENO), shows_text = isatty(STDOUT_FILENO),
           shows_bars = isatty(STDERR_FILENO);

/// Whether stdout and stderr are the same file, pipe or terminal.
bool same_output() {
  struct stat text {
  }, notes{};
  return fstat(STDOUT_FILENO, &text) == 0 && fstat(STDERR_FILENO, &notes) == 0 &&
         text.st_dev == notes.st_dev && text.st_ino == notes.st_ino;
}

const bool one_output = same_output();

/// The content of the terminal's last line.
enum Line : std::sig_atomic_t { nothing, bar, some_text };
volatile std::sig_atomic_t line = nothing;
char last_of_answer = 0;  // 0 before the first

void text_was_shown() {
  if (shows_text || shows_bars) line = some_text;
}

void write_now(int stream, std::string_view text) {
  if (write(stream, text.data(), text.size()) < 0) return;  // the terminal was closed
}

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

bool is_smart() { return !variable("TERM").empty() && variable("TERM") != "dumb"; }

bool can_redraw() { return shows_bars && is_smart(); }

void print_text(std::string_view text) {
  clear_bar();
  std::cout << text << std::flush;
  if (text.empty()) return;
  last_of_answer = text.back();
  if (shows_text || one_output) line = text.ends_with('\n') ? nothing : some_text;
}

void end_answer() {
  if (last_of_answer != '\n') print_text("\n");
  last_of_answer = 0;
}

bool in_answer() { return last_of_answer != 0; }

bool can_style_text() { return shows_text && is_smart() && variable("NO_COLOR").empty(); }

void fresh_line() {
  const std::sig_atomic_t stood = line;
  line = nothing;  // first: an interrupt from here on shows its ^C after what is written below
  if (stood == bar) write_now(STDERR_FILENO, "\r\033[K");
  if (stood == some_text) write_now(shows_text ? STDOUT_FILENO : STDERR_FILENO, "\n");
}

void line_was_ended() { line = nothing; }

void control_key_was_shown() {
  if (line != bar) text_was_shown();
}

void end_shown_text() {
  if (shows_text || line != some_text || !one_output) fresh_line();
}

std::size_t columns(int stream) {
  winsize size{};
  return ioctl(stream, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void note(const std::string& text, bool quiet) {
  if (quiet) return;
  fresh_line();
  std::cerr << "note: " + one_line(text) + '\n';  // in one call: Ctrl-C may interrupt
}

void note_waiting(const std::string& what, bool quiet) {
  if (types) note("reading " + what + " from the terminal; Ctrl-D ends it", quiet);
}

void end_typed_line(const std::istream& in, std::string_view read) {
  if (!types || &in != &std::cin || read.empty() || read.ends_with('\n')) return;
  text_was_shown();
  fresh_line();
}

void show_bar(const std::string& text) {
  if (line != bar) fresh_line();
  line = bar;
  write_now(STDERR_FILENO, "\r" + text + "\033[K");
}

void clear_bar() {
  if (line == bar) fresh_line();
}

std::string one_line(const std::string& text) {
  const bool utf8 = t5gemma2::valid_utf8(text) == text.size();
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    char escaped[5];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    shown +=
        byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8) ? std::string(escaped) : std::string(1, c);
  }
  return shown;
}

}  // namespace cli
