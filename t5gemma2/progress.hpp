// Progress reports of long computations.
#pragma once
#include <functional>

#include "tensor.hpp"

namespace t5gemma2 {

/// Called before the first piece of work and after each one with the number of pieces finished and of all
/// pieces (layers, unless the function says otherwise). `all` is 0 where it is not known. May throw to stop
/// the computation.
using Progress = std::function<void(Index finished, Index all)>;

}  // namespace t5gemma2
