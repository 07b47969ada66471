// The version of the engine; CMakeLists.txt says the same.
#pragma once
#include <string_view>

namespace t5gemma2 {

inline constexpr std::string_view version = "0.2.0";

}  // namespace t5gemma2
