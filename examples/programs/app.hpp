// The command line of a program: flags, --help, exit code.
//
// Only app.cpp includes CLI11, which reads the flags: each file that includes it takes the compiler a third
// as long as the engine.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checks.hpp"
#include "errors.hpp"
#include "help.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace cli {

/// A flag, or a word without one.
class Option {
 public:
  Option(CLI::Option* option, const HelpRow& help) : option_(option), help_(help) {}
  /// The name of the value in --help.
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
  /// Whether it is required and was not given.
  bool is_missing() const;
  /// Whether both were given although they exclude each other.
  bool clashes_with(const Option& other) const;

 private:
  CLI::Option* option_;
  HelpRow help_;
};

class App {
 public:
  /// `usage` follows the name in --help; each line of `about` is a paragraph.
  App(const std::string& name, const std::string& usage, const std::string& about);
  ~App();
  App(const App&) = delete;

  /// The heading in --help of the flags that are added next.
  void group(const std::string& heading) { group_ = heading; }
  /// T: a number or a text, an optional one, or a list of texts.
  template <class T>
  Option* add_option(const std::string& names, T& value, const std::string& description);
  Option* add_flag(const std::string& names, bool& value, const std::string& description);
  void examples(const std::vector<std::string>& commands) { help_.examples = commands; }

  /// Parses the arguments and runs the body, which returns the exit code. Every error is one line on stderr.
  int run(int argc, char** argv, const std::function<int()>& body);

 private:
  void parse(int argc, char** argv);
  int report(const std::string& what, int code) const;
  int report_usage(const std::string& what) const;
  std::string first_missing() const;
  std::string first_clash() const;
  std::string word_too_many() const;
  void print_help();

  std::unique_ptr<CLI::App> app_;
  std::deque<Option> options_;
  std::string group_;
  Help help_;
};

}  // namespace cli
