#include "errors.hpp"

#include <cstdio>
#include <iostream>

#include "terminal.hpp"

namespace cli {

int report_error(const std::string& program, const std::string& what, int code) {
  fresh_line();
  std::cerr << program << ": error: " << one_line(what) << '\n';
  return code;
}

int finish_output(const std::string& program, int code) {
  end_shown_text();
  std::cout.flush();
  const bool written = std::cout && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  return written ? code : report_error(program, "standard output: cannot be written to", failed);
}

}  // namespace cli
