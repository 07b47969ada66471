// What all programs share: exit codes, errors in one line, checked numbers, progress on a terminal.
#pragma once
#include <omp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>
#include <string>

#include "t5gemma2/error.hpp"
#include "t5gemma2/mapped_file.hpp"
#include "t5gemma2/utf8.hpp"
#include "t5gemma2/version.hpp"

namespace cli {

enum ExitCode { ok = 0, failed = 1, wrong_usage = 2, interrupted = 130 };

/// Wrong usage that only shows after parsing.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Before a long run: throws Error where `file` is a folder or neither it nor its folder can be written to.
inline void check_writable(const std::string& file) {
  const std::filesystem::path path(file), folder = path.parent_path().empty() ? "." : path.parent_path();
  const auto& to_write = std::filesystem::exists(path) ? path : folder;
  int trouble = std::filesystem::is_directory(path) ? EISDIR : 0;
  if (trouble == 0 && access(to_write.c_str(), W_OK) != 0) trouble = errno;
  if (trouble != 0) t5gemma2::fail_file(file, "a file that can be written", std::strerror(trouble));
}

/// After reading: throws Error when stdin ended because it cannot be read.
inline void check_stdin() {
  if (std::ferror(stdin) != 0) throw t5gemma2::Error("standard input: cannot be read");
}

/// A message as one line that a terminal shows as it is: control characters, and bytes that are not UTF-8, as
/// \xNN.
inline std::string one_line(const std::string& text) {
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

/// GNU's OpenMP lets waiting threads spin for milliseconds; on a busy machine they keep the core from the
/// thread that they wait for, and decoding falls tenfold. It reads this before main, so the program starts
/// itself once more.
inline void restart_with_short_waits(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")) return;
  setenv("GOMP_SPINCOUNT", "1000", 1);
  std::error_code none;  // without /proc, or a file that was deleted, all goes on as it is
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", none);
  if (!none) execv(program.c_str(), argv);
}

/// Parses the arguments and runs the body, which returns the exit code; every error is one line on stderr.
template <class Body>
int run(CLI::App& app, int argc, char** argv, const Body& body) {
  restart_with_short_waits(argv);
  app.set_version_flag("--version", std::string(t5gemma2::version));
  app.get_formatter()->column_width(34);
  const auto complain = [&](const std::string& what, int code) {
    std::cerr << app.get_name() << ": error: " << one_line(what) << '\n';
    return code;
  };
  const auto flushed = [&](int code) {
    std::cout.flush();
    const bool written = std::cout && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    return written ? code : complain("standard output: cannot be written to", failed);
  };
  try {
    app.parse(argc, argv);
    return flushed(body());
  } catch (const CLI::Success& help) {
    return flushed(app.exit(help));
  } catch (const CLI::ParseError& error) {
    return complain(std::string(error.what()) + " (--help lists the flags)", wrong_usage);
  } catch (const UsageError& error) {
    return complain(std::string(error.what()) + " (--help lists the flags)", wrong_usage);
  } catch (const std::bad_alloc&) {
    return complain("not enough memory", failed);
  } catch (const std::exception& error) {
    return complain(error.what(), failed);
  }
}

/// Accepts finite numbers within [low, high] only.
inline CLI::Validator number_in(double low, double high) {
  const auto text = [](double x) { return CLI::detail::to_string(x); };
  const std::string range = text(low) + " to " + text(high);
  return CLI::Validator(
      [=](std::string& given) {
        double value = 0;
        const bool is_number = CLI::detail::lexical_cast(given, value);
        return is_number && value >= low && value <= high
                   ? std::string()
                   : "expected a number from " + range + ", found " + given;
      },
      "");
}

/// Accepts whole numbers within [low, high], written with digits alone.
inline CLI::Validator integer_in(std::uint64_t low, std::uint64_t high) {
  const std::string range = std::to_string(low) + " to " + std::to_string(high);
  return CLI::Validator(
      [=](std::string& given) {
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
        const bool is_integer = error == std::errc() && end == given.data() + given.size();
        return is_integer && value >= low && value <= high
                   ? std::string()
                   : "expected a whole number from " + range + ", found " + given;
      },
      "");
}

/// -t, --threads
inline void add_threads(CLI::App& app, int& threads) {
  threads = omp_get_max_threads();
  app.add_option("-t,--threads", threads, "number of threads")
      ->check(integer_in(1, 1024))
      ->capture_default_str();
}

inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The largest resident memory so far, in bytes; mapped weights that were read count.
inline double peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

/// "encoding  [=======>      ]  9/18", redrawn in place, only on a terminal.
class ProgressBar {
 public:
  ProgressBar(std::string title, bool shown)
      : title_(std::move(title)), shown_(shown && isatty(STDERR_FILENO)) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;

  void update(long done, long all) const {
    if (!shown_ || all <= 0) return;
    drawn_ = true;
    const int width = 30, filled = static_cast<int>(width * done / all);
    const std::string bar = std::string(static_cast<std::size_t>(filled), '=') + (done < all ? ">" : "=");
    std::fprintf(stderr, "\r%s [%-31s] %ld/%ld", title_.c_str(), bar.c_str(), done, all);
    std::fflush(stderr);
  }

  /// Takes the bar away; what is on the line now is somebody else's.
  void clear() const {
    if (drawn_) std::fprintf(stderr, "\r\033[K");
    drawn_ = false;
  }

 private:
  std::string title_;
  bool shown_;
  mutable bool drawn_ = false;
};

}  // namespace cli
