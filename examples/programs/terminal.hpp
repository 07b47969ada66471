// The terminal, which shows two streams: text on stdout; progress bars, notes and timings on stderr. Each
// begins on a line of its own.
#pragma once
#include <cstddef>
#include <istream>
#include <string>
#include <string_view>

namespace cli {

/// Writes text to stdout at once.
void print_text(std::string_view text);

/// Whether text may be underlined: stdout is a terminal with more than plain text, and NO_COLOR is not set.
bool can_style_text();

/// Ends the line of an answer; an answer without text becomes an empty line.
void end_answer();

/// Whether text of an answer was printed that end_answer() has not ended.
bool in_answer();

/// Makes the next output begin a line: removes a bar, ends a line of text. Safe in a signal handler.
void fresh_line();

/// Tells that the last line was ended by other code that writes to the terminal.
void line_was_ended();

/// Tells that the terminal itself may have shown a key such as ^C. Safe in a signal handler.
void control_key_was_shown();

/// At the end of the program: ends a line of text that a terminal shows, and leaves files and pipes alone.
void end_shown_text();

/// Draws a progress bar in place of the last one, on a line of its own.
void show_bar(const std::string& bar);

/// Removes the progress bar, where there is one.
void clear_bar();

/// The width of the terminal that `stream` is; 80 where it is none.
std::size_t columns(int stream);

/// "note: ..." on stderr.
void note(const std::string& text, bool quiet);

/// Before stdin is read: a note that the program reads `what` from the terminal, where stdin is one.
void note_waiting(const std::string& what, bool quiet);

/// After `read` came from `in`: where it was typed without a newline at its end, begins a new line.
void end_typed_line(const std::istream& in, std::string_view read);

/// Whether the terminal understands more than text (TERM=dumb does not).
bool is_smart();

/// Whether stderr is a terminal that can redraw a line (TERM=dumb cannot).
bool can_redraw();

/// A message as one line that is safe to show on a terminal: control characters, and bytes that are not
/// UTF-8, become \xNN.
std::string one_line(const std::string& text);

}  // namespace cli
