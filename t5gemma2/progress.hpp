// Progress reports of long computations.
#pragma once
#include <cmath>
#include <functional>

#include "tensor.hpp"

namespace t5gemma2 {

/// Called before the first piece of work and after each one with the number of pieces finished and of all
/// pieces; each function says what it counts. `all` is 0 where it is not known. May throw to stop the
/// computation.
using Progress = std::function<void(Index finished, Index all)>;

/// Counts pieces, tokens for example, of work that comes in parts of any size: as many are finished as there is
/// work done, so that the remaining ones tell the remaining time.
class WeightedProgress {
 public:
  /// `work` in any unit; `progress`, which may be empty, must outlive this object. Nothing is told of 0 pieces.
  WeightedProgress(const Progress& progress, Index pieces, double work)
      : progress_(progress), pieces_(pieces), work_(work) {
    add(0);
  }

  /// Tells that another part of the work is done.
  void add(double part) {
    done_ += part;
    const double share = work_ > 0 ? done_ / work_ : 0;
    if (progress_ && pieces_ > 0)
      progress_(static_cast<Index>(std::lround(share * static_cast<double>(pieces_))), pieces_);
  }

 private:
  const Progress& progress_;
  Index pieces_;
  double work_, done_ = 0;
};

}  // namespace t5gemma2
