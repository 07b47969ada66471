// A range of keys, by their rows in a segment.
#pragma once
#include <algorithm>

#include "../tensor.hpp"

namespace t5gemma2 {

/// Keys [begin, end).
struct KeyRange {
  Index begin, end;

  Index size() const { return std::max<Index>(0, end - begin); }
};

}  // namespace t5gemma2
