// Ctrl-C: ends the program at once, or asks it to stop.
#pragma once
#include <csignal>

namespace cli {

/// Set by Ctrl-C while a GracefulInterrupt lives.
extern volatile std::sig_atomic_t stop_requested;

/// While one lives, the first Ctrl-C asks the program to stop; the next one ends it.
class GracefulInterrupt {
 public:
  GracefulInterrupt();
  ~GracefulInterrupt();
  GracefulInterrupt(const GracefulInterrupt&) = delete;

 private:
  std::sig_atomic_t before_;  // one may live within another
};

/// From now on Ctrl-C ends the program with status `interrupted`, at the beginning of a line, and removes an
/// unfinished file.
void end_on_interrupt();

}  // namespace cli
