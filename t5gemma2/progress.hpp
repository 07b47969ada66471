// How far a long computation has come, for whoever waits for it. The paper has nothing of this.
#pragma once
#include <functional>

#include "tensor.hpp"

namespace t5gemma2 {

/// Called before the first piece of work and after each with the number of finished pieces (layers, or what
/// the function says) and of all; 0 of all where nobody knows how many there will be. May throw to stop.
using Progress = std::function<void(Index finished, Index all)>;

}  // namespace t5gemma2
