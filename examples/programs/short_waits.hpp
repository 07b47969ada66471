// How long OpenMP's threads wait for each other before they sleep.
#pragma once

namespace cli {

/// Restarts the program with GOMP_SPINCOUNT set, unless it or OMP_WAIT_POLICY is. By default GNU's OpenMP
/// lets waiting threads spin for milliseconds: on a busy machine they keep the core from the thread that
/// they wait for, and decoding becomes ten times slower. OpenMP reads the variable before main, so a restart
/// is needed.
void restart_with_short_waits(char** argv);

}  // namespace cli
