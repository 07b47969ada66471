#include "app.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <exception>
#include <iostream>
#include <new>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "ctrl_c.hpp"
#include "habits.hpp"
#include "short_waits.hpp"
#include "t5gemma2/kernels/isa.hpp"
#include "terminal.hpp"
#include "version_text.hpp"

namespace cli {

namespace {

template <class T>
const char* value_name(const T&) {
  if (std::is_integral_v<T>) return "N";
  return std::is_floating_point_v<T> ? "X" : "TEXT";
}
template <class T>
const char* value_name(const std::optional<T>&) {
  return value_name(T());
}

}  // namespace

Option* Option::value(const std::string& name) {
  help_.value = name;
  return this;
}

Option* Option::required() {
  option_->required();
  return this;
}

Option* Option::check(const Check& check) {
  option_->check(CLI::Validator(check, ""));
  return this;
}

Option* Option::capture_default_str() {
  option_->capture_default_str();
  help_.description += "; default: " + option_->get_default_str();
  return this;
}

bool Option::is_missing() const { return option_->get_required() && option_->count() == 0; }

bool Option::clashes_with(const Option& other) const {
  const std::set<CLI::Option*>& excluded = option_->get_excludes();
  return option_->count() > 0 && other.option_->count() > 0 && excluded.count(other.option_) > 0;
}

std::string Option::shown() const {
  const std::string first = help_.names.substr(0, help_.names.find(','));
  return first + (help_.value.empty() ? "" : " " + help_.value);
}

Option* Option::allow_extra_args(bool allowed) {
  option_->allow_extra_args(allowed);
  return this;
}

Option* Option::needs(const Option* other) {
  option_->needs(other->option_);
  return this;
}

Option* Option::excludes(const Option* other) {
  option_->excludes(other->option_);
  return this;
}

App::App(const std::string& name, const std::string& usage, const std::string& about)
    : app_(std::make_unique<CLI::App>("", name)) {
  help_.usage = name + " " + usage;
  std::istringstream paragraphs(about);
  for (std::string paragraph; std::getline(paragraphs, paragraph);) help_.paragraphs.push_back(paragraph);
}
App::~App() = default;

template <class T>
Option* App::add_option(const std::string& names, T& value, const std::string& description) {
  const HelpRow help{group_, names, names.starts_with('-') ? value_name(value) : "", description};
  CLI::Option* option = app_->add_option(names, value);
  const bool is_list = std::is_same_v<T, std::vector<std::string>>;
  if (names.starts_with('-') && !is_list)  // a script appends its flags to those of a person
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  return &options_.emplace_back(option, help);
}
template Option* App::add_option(const std::string&, int&, const std::string&);
template Option* App::add_option(const std::string&, std::int64_t&, const std::string&);
template Option* App::add_option(const std::string&, float&, const std::string&);
template Option* App::add_option(const std::string&, double&, const std::string&);
template Option* App::add_option(const std::string&, std::string&, const std::string&);
template Option* App::add_option(const std::string&, std::optional<std::int64_t>&, const std::string&);
template Option* App::add_option(const std::string&, std::optional<float>&, const std::string&);
template Option* App::add_option(const std::string&, std::optional<double>&, const std::string&);
template Option* App::add_option(const std::string&, std::optional<std::string>&, const std::string&);
template Option* App::add_option(const std::string&, std::vector<std::string>&, const std::string&);

Option* App::add_flag(const std::string& names, bool& value, const std::string& description) {
  return &options_.emplace_back(app_->add_flag(names, value), HelpRow{group_, names, "", description});
}

void App::print_help() {
  group("General");
  for (const Option& option : options_) help_.rows.push_back(option.help());
  help_.rows.push_back({group_, "-h,--help", "", "print this help"});
  help_.rows.push_back({group_, "--version", "", "print the version and the instruction set in use"});
  std::cout << help_text(help_, columns(STDOUT_FILENO));
}

int App::report(const std::string& what, int code) const {
  return report_error(app_->get_name(), what, code);
}

int App::report_usage(const std::string& what) const {
  return report(what + " (--help lists the flags)", wrong_usage);
}

std::string App::first_missing() const {
  for (const Option& option : options_)
    if (option.is_missing()) return option.shown();
  return "more";
}

std::string App::first_clash() const {
  for (const Option& option : options_)
    for (const Option& other : options_)
      if (option.clashes_with(other)) return option.shown() + " and " + other.shown();
  return "flags";
}

std::string App::word_too_many() const {
  const std::vector<std::string> words = app_->remaining();
  return words.at(words.size() > 1 && words[0] == "--" ? 1 : 0);
}

void App::parse(int argc, char** argv) {
  const auto takes_value = [this](const std::string& name) {
    const CLI::Option* option = app_->get_option_no_throw(name);
    return option == nullptr ? std::optional<bool>() : option->get_expected_min() > 0;
  };
  KnownFlags known{.takes_value = takes_value, .names = {}};
  for (const CLI::Option* option : app_->get_options()) {
    for (const std::string& name : option->get_lnames()) known.names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) known.names.push_back("-" + name);
  }
  Understood understood = understand({argv + 1, argv + std::max(argc, 1)}, known);
  std::reverse(understood.arguments.begin(), understood.arguments.end());  // CLI11 takes the last first
  app_->parse(std::move(understood.arguments));
  const bool quiet = takes_value("--quiet").has_value() && app_->count("--quiet") > 0;
  if (!understood.ignored.empty()) note(about_ignored(understood.ignored), quiet);
}

int App::run(int argc, char** argv, const std::function<int()>& body) {
  restart_with_short_waits(argv);
  end_on_interrupt();
  app_->set_version_flag("--version", [this] { return version_of(app_->get_name()); });
  try {
    parse(argc, argv);
    t5gemma2::isa();  // a wrong T5GEMMA2_ISA ends the program here
    return finish_output(app_->get_name(), body());
  } catch (const CLI::CallForHelp&) {
    print_help();
    return finish_output(app_->get_name(), ok);
  } catch (const CLI::CallForVersion& version) {
    std::cout << version.what() << '\n';
    return finish_output(app_->get_name(), ok);
  } catch (const CLI::ExtrasError&) {
    return report_usage(word_too_many() +
                        ": one word too many; a text of several words goes in quotes, a model after -m");
  } catch (const CLI::RequiredError&) {
    return report_usage("expected " + first_missing() + ", found none");
  } catch (const CLI::ExcludesError&) {
    return report_usage(first_clash() + ": one of them, not both");
  } catch (const CLI::ParseError& error) {
    return report_usage(error.what());
  } catch (const UsageError& error) {
    return report_usage(error.what());
  } catch (const std::bad_alloc&) {
    return report("not enough memory; fewer tokens, or a smaller model, need less", failed);
  } catch (const std::exception& error) {
    return report(error.what(), failed);
  }
}

}  // namespace cli
