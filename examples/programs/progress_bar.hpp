// Progress on stderr: "encoding [=======>      ] 9/18 0:12", redrawn in place.
#pragma once
#include <functional>
#include <string>
#include <utility>

namespace cli {

/// As wide as the terminal allows; nothing without a terminal, or with TERM=dumb. The remaining time appears
/// after a second, which gives the rate. Where the end is unknown: "writing 9, 3.2/s".
class ProgressBar {
 public:
  ProgressBar(std::string title, bool shown) : title_(std::move(title)), shown_(shown) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;

  /// `all` is 0 where it is unknown.
  void update(long done, long all);

  /// update() as a function, for calls that report progress. The bar must outlive it.
  std::function<void(long done, long all)> watch() {
    return [this](long done, long all) { update(done, all); };
  }

  /// Removes the bar.
  void clear() const;

 private:
  /// The text after the count: the remaining time, or the rate.
  std::string pace(long done, long all);

  std::string title_;
  bool shown_;
  // the run of updates with the same `all` and no step back: its start, first count, last count
  double began_ = 0;
  long first_ = 0, last_ = 0, all_ = -1;
};

}  // namespace cli
