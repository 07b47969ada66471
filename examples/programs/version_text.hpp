// What --version prints.
#pragma once
#include <string>

#include "t5gemma2/kernels/isa.hpp"
#include "t5gemma2/version.hpp"

namespace cli {

/// "t5gemma2-generate 0.2.0 (avx2)": with the instruction set in use. Throws Error where T5GEMMA2_ISA is wrong.
inline std::string version_of(const std::string& program) {
  return program + " " + std::string(t5gemma2::version) + " (" +
         std::string(t5gemma2::name_of(t5gemma2::isa())) + ")";
}

}  // namespace cli
