// The time and the memory that the program takes.
#pragma once
#include <chrono>
#include <fstream>
#include <string>

namespace cli {

/// Seconds since some moment in the past: for differences.
inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The largest resident memory so far, in bytes, including the mapped weights that were read. (Not from
/// getrusage, whose peak may be that of the program that started this one.)
inline double peak_memory() {
  std::ifstream status("/proc/self/status");
  std::string name, rest;
  for (double kilobytes = 0; status >> name; std::getline(status, rest))
    if (name == "VmHWM:" && status >> kilobytes) return kilobytes * 1024;
  return 0;
}

}  // namespace cli
