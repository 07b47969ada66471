#include "cli.hpp"

#include <omp.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <new>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "habits.hpp"
#include "t5gemma2/error.hpp"
#include "t5gemma2/io/mapped_file.hpp"
#include "t5gemma2/tokenizer/utf8.hpp"
#include "t5gemma2/version.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

/// GNU's OpenMP lets waiting threads spin for milliseconds; on a busy machine they keep the core from the
/// thread that they wait for, and decoding falls tenfold. It reads this before main, so the program starts
/// itself once more.
void restart_with_short_waits(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")) return;
  setenv("GOMP_SPINCOUNT", "1000", 1);
  std::error_code none;  // without /proc, or a file that was deleted, all goes on as it is
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", none);
  if (!none) execv(program.c_str(), argv);
}

template <class T>
const char* value_name(const T&) {
  if (std::is_integral_v<T>) return "N";
  return std::is_floating_point_v<T> ? "X" : "TEXT";
}
template <class T>
const char* value_name(const std::optional<T>&) {
  return value_name(T());
}

int complain(const std::string& program, const std::string& what, int code) {
  fresh_line();
  std::cerr << program << ": error: " << one_line(what) << '\n';
  return code;
}

/// Which flags have no effect, and why, each once.
std::string about_ignored(const std::vector<Ignored>& flags) {
  std::string names, reasons;
  for (const auto& [name, why] : flags) {
    names += (names.empty() ? "" : ", ") + name;
    if (reasons.find(why) == reasons.npos) reasons += (reasons.empty() ? "" : ", ") + why;
  }
  return names + ": without effect here: " + reasons;
}

}  // namespace

std::string one_line(const std::string& text) {
  const bool utf8 = t5gemma2::valid_utf8(text) == text.size();
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    char escaped[5];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    line += byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8) ? std::string(escaped) : std::string(1, c);
  }
  return line;
}

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
  if (names.starts_with('-') && !is_list)  // a script adds its flags behind those of a person
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  return &options_.emplace_back(option, help);
}
template Option* App::add_option(const std::string&, int&, const std::string&);
template Option* App::add_option(const std::string&, std::int64_t&, const std::string&);
template Option* App::add_option(const std::string&, float&, const std::string&);
template Option* App::add_option(const std::string&, double&, const std::string&);
template Option* App::add_option(const std::string&, std::string&, const std::string&);
template Option* App::add_option(const std::string&, std::optional<std::int64_t>&, const std::string&);
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
  help_.rows.push_back({group_, "--version", "", "print the version"});
  std::cout << help_text(help_, columns(STDOUT_FILENO));
}

int App::complain(const std::string& what, int code) const {
  return cli::complain(app_->get_name(), what, code);
}

std::string App::first_missing() const {
  for (const Option& option : options_)
    if (option.is_missing()) return option.shown();
  return "more";
}

std::string App::first_two_of_one() const {
  for (const Option& option : options_)
    for (const Option& other : options_)
      if (option.clashes_with(other)) return option.shown() + " and " + other.shown();
  return "flags";
}

int flushed(const std::string& program, int code) {
  end_shown_text();
  std::cout.flush();
  const bool written = std::cout && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  return written ? code : complain(program, "standard output: cannot be written to", failed);
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
  std::reverse(understood.arguments.begin(), understood.arguments.end());  // as CLI11 wants them
  app_->parse(std::move(understood.arguments));
  const bool quiet = takes_value("--quiet").has_value() && app_->count("--quiet") > 0;
  if (!understood.ignored.empty()) note(about_ignored(understood.ignored), quiet);
}

int App::run(int argc, char** argv, const std::function<int()>& body) {
  restart_with_short_waits(argv);
  end_on_interrupt();
  app_->set_version_flag("--version", app_->get_name() + " " + std::string(t5gemma2::version));
  try {
    parse(argc, argv);
    return flushed(app_->get_name(), body());
  } catch (const CLI::CallForHelp&) {
    print_help();
    return flushed(app_->get_name(), ok);
  } catch (const CLI::CallForVersion& version) {
    std::cout << version.what() << '\n';
    return flushed(app_->get_name(), ok);
  } catch (const CLI::ExtrasError&) {
    const std::vector<std::string> words = app_->remaining();
    return complain(words.at(words.size() > 1 && words[0] == "--" ? 1 : 0) +
                        ": one word too many; a text of several words goes in quotes, a model behind -m"
                        " (--help lists the flags)",
                    wrong_usage);
  } catch (const CLI::RequiredError&) {
    return complain("expected " + first_missing() + ", found none (--help lists the flags)", wrong_usage);
  } catch (const CLI::ExcludesError&) {
    return complain(first_two_of_one() + ": one of them, not both (--help lists the flags)", wrong_usage);
  } catch (const CLI::ParseError& error) {
    return complain(std::string(error.what()) + " (--help lists the flags)", wrong_usage);
  } catch (const UsageError& error) {
    return complain(std::string(error.what()) + " (--help lists the flags)", wrong_usage);
  } catch (const std::bad_alloc&) {
    return complain("not enough memory; fewer tokens, or a smaller model, need less", failed);
  } catch (const std::exception& error) {
    return complain(error.what(), failed);
  }
}

Check number_in(double low, double high) {
  const auto text = [](double x) { return CLI::detail::to_string(x); };
  const std::string range = text(low) + " to " + text(high);
  return [=](const std::string& given) {
    double value = 0;
    const bool is_number = CLI::detail::lexical_cast(given, value);
    return is_number && value >= low && value <= high
               ? std::string()
               : "expected a number from " + range + ", found " + given;
  };
}

Check integer_in(std::int64_t low, std::int64_t high) {
  const std::string range = std::to_string(low) + " to " + std::to_string(high);
  return [=](const std::string& given) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
    const bool is_integer = error == std::errc() && end == given.data() + given.size();
    return is_integer && value >= low && value <= high
               ? std::string()
               : "expected a whole number from " + range + ", found " + given;
  };
}

void add_threads(App& app, int& threads) {
  threads = omp_get_max_threads();
  app.group("General");
  app.add_option("-t,--threads", threads, "number of threads; default: as many as cores")
      ->check(integer_in(1, 1024));
}

void check_writable(const std::string& file) {
  const std::filesystem::path path(file), folder = path.parent_path().empty() ? "." : path.parent_path();
  const auto& to_write = std::filesystem::exists(path) ? path : folder;
  if (!std::filesystem::exists(folder))
    t5gemma2::fail_file(file, "a file that can be written",
                        "no folder " + folder.string() + "; make it first");
  int trouble = std::filesystem::is_directory(path) ? EISDIR : 0;
  if (trouble == 0 && access(to_write.c_str(), W_OK) != 0) trouble = errno;
  if (trouble != 0) t5gemma2::fail_file(file, "a file that can be written", std::strerror(trouble));
}

void check_stdin() {
  if (std::ferror(stdin) != 0) throw t5gemma2::Error("standard input: cannot be read");
}

bool next_line(std::istream& in, std::string& line) {
  const bool found = static_cast<bool>(std::getline(in, line));
  check_stdin();
  if (found && in.eof()) end_typed_line(in, line);
  return found;
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double peak_memory() {
  std::ifstream status("/proc/self/status");  // not getrusage, whose peak may be that of whoever started us
  std::string name, rest;
  for (double kilobytes = 0; status >> name; std::getline(status, rest))
    if (name == "VmHWM:" && status >> kilobytes) return kilobytes * 1024;
  return 0;
}

}  // namespace cli
