// The version of the engine, the same as in CMakeLists.txt.
#pragma once
#include <string_view>

namespace t5gemma2 {

inline constexpr std::string_view version = "0.2.0";

}  // namespace t5gemma2
