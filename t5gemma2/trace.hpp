// Taps: every intermediate tensor under the reference's own name, the path of the transformers module whose
// output it is (`model.encoder.text_model.layers.3.self_attn.k_norm`, `logits`, ...).
//
// A Tap is a place in the module tree. Without a trace (the default) it costs a branch and no memory:
//
//   const Matrix Q = tap("q_proj", linear(X, w.q_proj));      // reported, then passed on
//   feed_forward(w.mlp, x, tap / "mlp");                      // a child module
//
// An empty tensor (the encoder side's keys where n = 0) is not reported. In transformers the same tensors
// come from forward hooks on the modules.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor.hpp"

namespace t5gemma2 {

/// The receiver of tensors. `report` gets a name, the shape in the reference's order, and the values
/// row-major, valid during the call only. `wants` is asked before the engine makes a tensor that it does not
/// need itself (attention probabilities).
struct Trace {
  std::function<void(const std::string& name, const std::vector<Index>& shape, const float* values)> report;
  std::function<bool(const std::string& name)> wants = [](const std::string&) { return true; };
};

class Tap {
 public:
  Tap() = default;
  explicit Tap(const Trace& trace) : trace_(&trace) {}

  /// The child module `name` of this place.
  Tap operator/(std::string_view name) const {
    if (!trace_) return {};
    Tap child(*trace_);
    child.path_ = path(name);
    return child;
  }
  Tap operator/(Index number) const { return trace_ ? *this / std::to_string(number) : Tap(); }

  /// Reports x [rows, cols] as [1, rows, cols] and passes it on. An empty name stands for this place itself.
  Matrix operator()(std::string_view name, Matrix x) const {
    report(name, {1, x.rows(), x.cols()}, x);
    return x;
  }

  /// Reports x [rows, heads*size] as the reference stores heads, [1, heads, rows, size], and passes it on.
  Matrix heads(std::string_view name, Index heads, Matrix x) const {
    if (!trace_ || x.size() == 0) return x;
    check_argument(heads > 0 && x.cols() % heads == 0, "Tap heads", "a divisor of the columns", heads);
    const Index rows = x.rows(), size = x.cols() / heads;
    Matrix by_head(heads * rows, size);
    for (Index head = 0; head < heads; ++head)
      by_head.middleRows(head * rows, rows) = x.middleCols(head * size, size);
    report(name, {1, heads, rows, size}, by_head);
    return x;
  }

  /// Reports x [heads*rows, cols], head by head, as [1, heads, rows, cols].
  void stacked(std::string_view name, Index heads, const Matrix& x) const {
    report(name, {1, heads, x.rows() / heads, x.cols()}, x);
  }

  /// Reports x [side*side, channels], row by row over the image, as [1, channels, side, side].
  void channels_first(std::string_view name, const Matrix& x) const {
    if (!trace_) return;
    const auto side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(x.rows()))));
    const Matrix transposed = x.transpose();
    report(name, {1, x.cols(), side, side}, transposed);
  }

  /// Whether there is a trace.
  explicit operator bool() const { return trace_ != nullptr; }

  /// Whether there is a trace and it wants this tensor.
  bool wants(std::string_view name) const { return trace_ && trace_->wants(path(name)); }

 private:
  void report(std::string_view name, const std::vector<Index>& shape, const Matrix& x) const {
    if (trace_ && x.size() > 0) trace_->report(path(name), shape, x.data());
  }

  std::string path(std::string_view name) const {
    if (path_.empty()) return std::string(name);
    return name.empty() ? path_ : path_ + "." + std::string(name);
  }

  const Trace* trace_ = nullptr;
  std::string path_;
};

/// Stacks the tensors [1, ...] of several runs of the same modules (one run per image) into tensors
/// [runs, ...], in the order of the first run.
class StackedTrace {
 public:
  /// The trace of all runs, one run after the other. This object must outlive it.
  Trace trace() {
    return {.report = [this](const std::string& name, const std::vector<Index>& shape, const float* values) {
      auto entry =
          std::find_if(tensors_.begin(), tensors_.end(), [&](const Entry& e) { return e.name == name; });
      if (entry == tensors_.end()) entry = tensors_.insert(entry, {name, {}, {}});
      Index size = 1;
      for (const Index extent : shape) size *= extent;
      entry->values.insert(entry->values.end(), values, values + size);
      const Index runs = entry->shape.empty() ? 0 : entry->shape[0];
      entry->shape = shape;
      entry->shape[0] += runs;
    }};
  }

  /// Reports the stacked tensors.
  void report_to(const Trace& trace) const {
    for (const Entry& entry : tensors_) trace.report(entry.name, entry.shape, entry.values.data());
  }

 private:
  struct Entry {
    std::string name;
    std::vector<Index> shape;
    std::vector<float> values;
  };

  std::vector<Entry> tensors_;
};

}  // namespace t5gemma2
