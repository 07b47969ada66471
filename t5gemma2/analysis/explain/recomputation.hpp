// The tensors of a file, each computed once more from the file's own tensors before it, as the guesses say that have
// been accepted so far.
#pragma once
#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../tolerances.hpp"
#include "file_tensors.hpp"
#include "scopes.hpp"
#include "variant_pass.hpp"

namespace t5gemma2 {

/// max |x - y| over max |y|
inline float relative_difference(const Matrix& x, const Matrix& y) {
  const float difference = (x - y).cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
  return difference == 0 ? 0 : difference / y.cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
}

/// What a tensor that is computed from the file's own may differ by: the rounding of a step in its number format, or of
/// the many steps that may lie between a layer's output, or the logits, and the file's tensors before them.
inline float own_tolerance(const std::string& tensor, Dtype dtype) {
  const TensorName name = parse_name(tensor);
  if (dtype != Dtype::f32 || !name.in_layer || name.step.empty()) return default_tolerance(dtype);
  return 2e-5f;
}

class Recomputation {
 public:
  /// All must outlive this object.
  Recomputation(const Model& model, const PassInputs& inputs, const StoredTensors& file)
      : model_(model), inputs_(inputs), file_(file) {}

  const Model& model() const { return model_; }
  const PassInputs& inputs() const { return inputs_; }
  const StoredTensors& file() const { return file_; }
  Accepted& accepted() { return accepted_; }

  bool is_wrong(const std::string& name, float error) const {
    return !(error <= own_tolerance(name, file_.at(name).dtype));
  }

  /// The error of every tensor, and which are wrong, in forward order.
  std::map<std::string, float> errors(std::vector<std::string>& wrong) {
    std::map<std::string, float> all;
    wrong.clear();
    pass([&](const std::string& name, const Matrix& computed, bool, const auto& found) {
      const float error = error_between(computed, found);
      all[name] = error;
      if (is_wrong(name, error)) wrong.push_back(name);
    }).all();
    return all;
  }

  /// The error of one tensor; infinite where the file has it in another shape, or with numbers that are not finite.
  float error_of(const std::string& tensor) {
    float result = std::numeric_limits<float>::infinity();
    compute(tensor, [&](const Matrix& computed, bool, const auto& found) {
      result = error_between(computed, found);
    });
    return result;
  }

  /// Computes a tensor, and tells `told(computed, whether its heads are stacked, the file's)`.
  template <class Told>
  void compute(const std::string& tensor, const Told& told) {
    const TensorName name = parse_name(tensor);
    const Index layers = std::ssize(name.decoder ? model_.decoder.layers : model_.encoder.layers);
    pass([&](const std::string& taken, const Matrix& computed, bool stacked, const auto& found) {
      if (taken == tensor) told(computed, stacked, found);
    }).up_to(name.decoder, std::min(name.layer, layers));
  }

 private:
  /// Told of each tensor that the file has: as computed, and the file's where it may stand for that.
  using Taken = std::function<void(const std::string& name, const Matrix& computed, bool stacked,
                                   const std::optional<Matrix>& found)>;

  VariantPass pass(const Taken& taken) {
    return {
        model_, inputs_, [this](const Step& step) -> const Variant& { return accepted_.at(step); },
        [this](const std::string& name, Index rows, Index cols) { return stored(name, rows, cols, false); },
        [this, taken](const std::string& name, Matrix computed, bool stacked) {
          auto found = stored(name, computed.rows(), computed.cols(), stacked);
          if (file_.contains(name)) taken(name, computed, stacked, found);
          return found ? std::move(*found) : std::move(computed);
        }};
  }

  std::optional<Matrix> stored(const std::string& name, Index rows, Index cols, bool stacked) const {
    const auto found = file_.find(name);
    return found == file_.end() ? std::nullopt : matrix_of(found->second, rows, cols, stacked);
  }

  static float error_between(const Matrix& computed, const std::optional<Matrix>& found) {
    return found ? relative_difference(computed, *found) : std::numeric_limits<float>::infinity();
  }

  const Model& model_;
  PassInputs inputs_;
  const StoredTensors& file_;
  Accepted accepted_;
};

}  // namespace t5gemma2
