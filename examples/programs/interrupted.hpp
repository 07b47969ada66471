// Ctrl-C in a step that has no partial result: the step ends with an exception.
#pragma once
#include <exception>

#include "ctrl_c.hpp"
#include "progress_bar.hpp"
#include "t5gemma2/progress.hpp"
#include "t5gemma2/tensor.hpp"

namespace cli {

struct Interrupted : std::exception {};

/// Throws Interrupted after Ctrl-C.
inline void throw_if_interrupted() {
  if (stop_requested) throw Interrupted();
}

/// Progress that the bar shows and Ctrl-C stops. The bar must outlive it.
inline t5gemma2::Progress interruptible(ProgressBar& bar) {
  return [&bar](t5gemma2::Index done, t5gemma2::Index all) {
    bar.update(done, all);
    throw_if_interrupted();
  };
}

}  // namespace cli
