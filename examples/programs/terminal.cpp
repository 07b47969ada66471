#include "terminal.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "cli.hpp"
#include "t5gemma2/io/atomic_file.hpp"

namespace cli {

volatile std::sig_atomic_t stop_requested = 0;

namespace {

const bool types = isatty(STDIN_FILENO), shows_text = isatty(STDOUT_FILENO),
           shows_bars = isatty(STDERR_FILENO);

/// Whether text and notes go to one file or pipe.
bool same_output() {
  struct stat text {
  }, notes{};
  return fstat(STDOUT_FILENO, &text) == 0 && fstat(STDERR_FILENO, &notes) == 0 &&
         text.st_dev == notes.st_dev && text.st_ino == notes.st_ino;
}

const bool one_output = same_output();

/// What stands on the terminal's last line.
enum Line : std::sig_atomic_t { nothing, bar, some_text };
volatile std::sig_atomic_t line = nothing;
volatile std::sig_atomic_t graceful = 0;
char last_of_answer = 0;  // 0: nothing yet

void text_stands() {
  if (shows_text || shows_bars) line = some_text;
}

void write_now(int stream, std::string_view text) {
  if (write(stream, text.data(), text.size()) < 0) return;  // a terminal that went away shows nothing
}

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

/// As "0:12" or "1:02:03".
std::string clock_text(double time) {
  const long whole = std::lround(std::ceil(time)), hours = whole / 3600;
  char text[32];
  if (hours > 0)
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", hours, whole / 60 % 60, whole % 60);
  else
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

/// At most `room` wide: without room the bar shrinks, then goes, then the pace, then the title but for its
/// first word.
std::string bar_text(const std::string& title, long done, long all, const std::string& pace,
                     std::size_t room) {
  constexpr std::size_t widest = 31, narrowest = 4;
  const std::string count = std::to_string(done) + (all > 0 ? "/" + std::to_string(all) : "");
  const std::size_t around = title.size() + count.size() + pace.size() + 4;  // " [" and "] "
  if (all > 0 && room >= around + narrowest) {
    const std::size_t width = std::min(widest, room - around);
    std::string filled(static_cast<std::size_t>(static_cast<long>(width - 1) * done / all), '=');
    filled += done < all ? '>' : '=';
    filled.resize(width, ' ');
    return title + " [" + filled + "] " + count + pace;
  }
  for (const std::string& words : {title + " ", title.substr(0, title.find(' ')) + " ", std::string()})
    for (const std::string& number : {count + pace, count})
      if (room >= words.size() + number.size()) return words + number;
  return {};
}

void on_interrupt(int) {
  const int interrupted_call = errno;
  constexpr int moment = 50;  // milliseconds; a terminal sends the signal, then shows ^C
  poll(nullptr, 0, moment);
  errno = interrupted_call;
  if (line != bar) text_stands();
  if (graceful && !stop_requested) {
    stop_requested = 1;
    return;
  }
  if (const char* const file = t5gemma2::unfinished_file) unlink(file);
  fresh_line();
  _exit(interrupted);
}

}  // namespace

bool is_smart() { return !variable("TERM").empty() && variable("TERM") != "dumb"; }

bool can_redraw() { return shows_bars && is_smart(); }

void print_text(std::string_view text) {
  if (line == bar) fresh_line();
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
  line = nothing;  // first: the ^C of an interrupt comes behind what is written now
  if (stood == bar) write_now(STDERR_FILENO, "\r\033[K");
  if (stood == some_text) write_now(shows_text ? STDOUT_FILENO : STDERR_FILENO, "\n");
}

void line_was_ended() { line = nothing; }

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
  std::cerr << "note: " + one_line(text) + '\n';  // at once: Ctrl-C may come
}

void note_waiting(const std::string& what, bool quiet) {
  if (types) note("reading " + what + " from the terminal; Ctrl-D ends it", quiet);
}

void end_typed_line(const std::istream& in, std::string_view read) {
  if (!types || &in != &std::cin || read.empty() || read.ends_with('\n')) return;
  text_stands();
  fresh_line();
}

std::string ProgressBar::pace(long done, long all) {
  const double now = seconds(), time = now - began_;
  const bool goes_on = all == all_ && done >= last_;
  last_ = done;
  if (!goes_on) {
    began_ = now;
    first_ = done;
    all_ = all;
  }
  if (!goes_on || time < 1 || done == first_) return {};
  const double rate = static_cast<double>(done - first_) / time;
  if (all > 0) return " " + clock_text(static_cast<double>(all - done) / rate);
  char text[32];
  std::snprintf(text, sizeof text, ", %.*f/s", rate < 10 ? 1 : 0, rate);
  return text;
}

void ProgressBar::update(long done, long all) {
  if (!shown_ || !can_redraw()) return;
  const std::string behind = pace(done, all);
  if (line != bar) fresh_line();
  constexpr std::size_t kept_free = 3;  // for ^C and the cursor
  const std::size_t width = columns(STDERR_FILENO), room = width - std::min(width, kept_free);
  line = bar;
  write_now(STDERR_FILENO, "\r" + bar_text(title_, done, all, behind, room) + "\033[K");
}

void ProgressBar::clear() const {
  if (line == bar) fresh_line();
}

GracefulInterrupt::GracefulInterrupt() : before_(graceful) { graceful = 1; }
GracefulInterrupt::~GracefulInterrupt() { graceful = before_; }

void end_on_interrupt() {
  struct sigaction action {};
  sigaction(SIGINT, nullptr, &action);
  if (action.sa_handler == SIG_IGN) return;  // a program in a script's background
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

}  // namespace cli
