// Seconds and tokens of each step of a session, and the line that tells them on stderr.
#pragma once
#include <cstddef>
#include <cstdio>

#include "resources.hpp"
#include "terminal.hpp"

namespace cli {

struct Timings {
  struct Step {
    double seconds = 0;
    std::size_t tokens = 0;
  };
  double load_seconds = 0, image_seconds = 0;
  Step encode, read, decode;

  void print() const {
    const auto print_rate = [](const char* name, const Step& step) {
      if (step.tokens == 0 || step.seconds <= 0) return;
      std::fprintf(stderr, " | %s %zu token%s, %.1f tok/s", name, step.tokens, step.tokens == 1 ? "" : "s",
                   static_cast<double>(step.tokens) / step.seconds);
    };
    fresh_line();
    std::fprintf(stderr, "load %.2f s", load_seconds);
    if (image_seconds > 0) std::fprintf(stderr, " | images %.2f s", image_seconds);
    print_rate("encode", encode);
    print_rate("read", read);
    print_rate("decode", decode);
    std::fprintf(stderr, " | peak memory %.0f MB\n", peak_memory() / 1e6);
  }
};

}  // namespace cli
