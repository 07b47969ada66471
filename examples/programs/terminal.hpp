// What the programs show on a terminal, where two streams meet: text on stdout; bars, notes and timings on
// stderr. Neither stands on a line of the other's, and Ctrl-C leaves an empty line.
#pragma once
#include <csignal>
#include <cstddef>
#include <functional>
#include <istream>
#include <string>
#include <string_view>
#include <utility>

namespace cli {

/// Text to stdout, at once.
void print_text(std::string_view text);

/// Whether text may be underlined and the like: on a terminal that can, unless NO_COLOR says not to.
bool can_style_text();

/// Ends the line of an answer; one without text is an empty line.
void end_answer();

/// Whether there is text of an answer that end_answer() did not end.
bool in_answer();

/// What comes next begins a line: a bar is taken away, text that the terminal shows is ended. Safe in a
/// signal handler.
void fresh_line();

/// What comes next begins a line, since who else writes to the terminal ended the last one.
void line_was_ended();

/// At the end of the program: text that a terminal shows is ended, any other stays as it is.
void end_shown_text();

/// How wide a terminal `stream` is; 80 where it is none.
std::size_t columns(int stream);

/// "note: ..." on stderr.
void note(const std::string& text, bool quiet);

/// Before stdin is read: where that is a terminal, a note says so. `what` is read.
void note_waiting(const std::string& what, bool quiet);

/// After `read` came from `in`: where a person typed it, what comes next begins a line.
void end_typed_line(const std::istream& in, std::string_view read);

/// Whether a terminal understands more than text (TERM=dumb does not).
bool is_smart();

/// Whether stderr is a terminal that can show a line anew (TERM=dumb cannot).
bool can_redraw();

/// "encoding [=======>      ] 9/18 0:12", redrawn in place as wide as the terminal allows; none without a
/// terminal, or with TERM=dumb. The time left is shown once a second has told how fast it goes; "writing
/// 9, 3.2/s" where nobody knows how many there will be.
class ProgressBar {
 public:
  ProgressBar(std::string title, bool shown) : title_(std::move(title)), shown_(shown) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;

  /// `all`: 0 where nobody knows.
  void update(long done, long all);

  /// update() for what reports its progress; the bar must live longer.
  std::function<void(long done, long all)> watch() {
    return [this](long done, long all) { update(done, all); };
  }

  /// Takes the bar away.
  void clear() const;

 private:
  /// Behind the count: the time left, or how many a second.
  std::string pace(long done, long all);

  std::string title_;
  bool shown_;
  double began_ = 0;  // the count that goes on: when, with what, to where
  long first_ = 0, last_ = 0, all_ = -1;
};

/// Set by Ctrl-C while a GracefulInterrupt lives.
extern volatile std::sig_atomic_t stop_requested;

/// While one lives, the first Ctrl-C asks the program to stop; else it ends it at once.
class GracefulInterrupt {
 public:
  GracefulInterrupt();
  ~GracefulInterrupt();
  GracefulInterrupt(const GracefulInterrupt&) = delete;

 private:
  std::sig_atomic_t before_;  // one may live within another
};

/// From now on Ctrl-C ends the program with status `interrupted`, an empty line, and no unfinished file.
void end_on_interrupt();

}  // namespace cli
