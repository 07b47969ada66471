// Exit codes, and errors as one line on stderr.
#pragma once
#include <stdexcept>
#include <string>

namespace cli {

enum ExitCode { ok = 0, failed = 1, wrong_usage = 2, interrupted = 130 };

/// Wrong usage that shows only after parsing.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// "PROGRAM: error: WHAT" on stderr. Returns `code`.
int report_error(const std::string& program, const std::string& what, int code);

/// Flushes stdout at the end of the program. Returns `code`, or `failed` after an error line where stdout
/// cannot be written to.
int finish_output(const std::string& program, int code);

}  // namespace cli
