#include "ctrl_c.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "errors.hpp"
#include "t5gemma2/io/atomic_file.hpp"
#include "terminal.hpp"

namespace cli {

volatile std::sig_atomic_t stop_requested = 0;

namespace {

volatile std::sig_atomic_t graceful = 0;

void on_interrupt(int) {
  const int errno_before = errno;
  constexpr int pause = 50;  // milliseconds; a terminal sends the signal before it shows ^C
  poll(nullptr, 0, pause);
  errno = errno_before;
  control_key_was_shown();
  if (graceful && !stop_requested) {
    stop_requested = 1;
    return;
  }
  if (const char* const file = t5gemma2::unfinished_file) unlink(file);
  fresh_line();
  _exit(interrupted);
}

}  // namespace

GracefulInterrupt::GracefulInterrupt() : before_(graceful) { graceful = 1; }
GracefulInterrupt::~GracefulInterrupt() { graceful = before_; }

void end_on_interrupt() {
  struct sigaction action {};
  sigaction(SIGINT, nullptr, &action);
  if (action.sa_handler == SIG_IGN) return;  // a program in a script's background
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

}  // namespace cli
