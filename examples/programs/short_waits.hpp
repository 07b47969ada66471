// How long OpenMP's threads wait for each other before they sleep.
#pragma once

namespace cli {

/// GNU's OpenMP lets waiting threads spin for milliseconds; on a busy machine they keep the core from the
/// thread that they wait for, and decoding becomes ten times slower. It reads this variable before main, so
/// the program starts itself once more.
void restart_with_short_waits(char** argv);

}  // namespace cli
