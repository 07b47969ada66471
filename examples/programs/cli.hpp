// What all programs share: flags, exit codes, errors in one line, checked numbers.
//
// CLI11 reads the flags, in cli.cpp alone: it takes a compiler as long as a third of the engine, once for
// each file that sees it.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <iosfwd>
#include <memory>
#include <stdexcept>
#include <string>

#include "help.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace cli {

enum ExitCode { ok = 0, failed = 1, wrong_usage = 2, interrupted = 130 };

/// Wrong usage that only shows after parsing.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What is wrong with the text of an option; empty when nothing is.
using Check = std::function<std::string(const std::string&)>;

/// Accepts finite numbers within [low, high] only.
Check number_in(double low, double high);

/// Accepts whole numbers within [low, high], written with digits, and - before them.
Check integer_in(std::int64_t low, std::int64_t high);

/// A flag, or a word without one.
class Option {
 public:
  Option(CLI::Option* option, const HelpRow& help) : option_(option), help_(help) {}
  /// What --help calls the value.
  Option* value(const std::string& name);
  Option* required();
  Option* check(const Check& check);
  Option* capture_default_str();
  Option* allow_extra_args(bool allowed);
  Option* needs(const Option* other);
  Option* excludes(const Option* other);
  const HelpRow& help() const { return help_; }
  /// "-o FILE.html", for messages.
  std::string shown() const;
  /// Whether it has to be given, and was not.
  bool is_missing() const;
  /// Whether both were given, of which one may be.
  bool clashes_with(const Option& other) const;

 private:
  CLI::Option* option_;
  HelpRow help_;
};

/// The command line of a program.
class App {
 public:
  /// `usage` stands behind the name, `about` is a paragraph a line.
  App(const std::string& name, const std::string& usage, const std::string& about);
  ~App();
  App(const App&) = delete;

  /// Under which heading of --help the next flags stand.
  void group(const std::string& heading) { group_ = heading; }
  /// T: a number or a text, one that may be missing, or a list of texts.
  template <class T>
  Option* add_option(const std::string& names, T& value, const std::string& description);
  Option* add_flag(const std::string& names, bool& value, const std::string& description);
  void examples(const std::vector<std::string>& commands) { help_.examples = commands; }

  /// Parses the arguments and runs the body, which returns the exit code; every error is one line on stderr.
  int run(int argc, char** argv, const std::function<int()>& body);

 private:
  void parse(int argc, char** argv);
  int complain(const std::string& what, int code) const;
  std::string first_missing() const;
  std::string first_two_of_one() const;
  void print_help();

  std::unique_ptr<CLI::App> app_;
  std::deque<Option> options_;
  std::string group_;
  Help help_;
};

/// Ends what was printed: the exit code, or `failed` and one line on stderr where stdout cannot be written
/// to.
int flushed(const std::string& program, int code);

/// -t, --threads
void add_threads(App& app, int& threads);

/// Before a long run: throws Error where `file` is a folder or neither it nor its folder can be written to.
void check_writable(const std::string& file);

/// After reading: throws Error when stdin ended because it cannot be read.
void check_stdin();

/// The next line, if there is one. Throws Error when stdin ended because it cannot be read.
bool next_line(std::istream& in, std::string& line);

/// A message as one line that a terminal shows as it is: control characters, and bytes that are not UTF-8, as
/// \xNN.
std::string one_line(const std::string& text);

double seconds();

/// The largest resident memory so far, in bytes; mapped weights that were read count.
double peak_memory();

}  // namespace cli
