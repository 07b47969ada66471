// Two reference files without a model: tensors of the same name, and the inputs.
#pragma once
#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../tensor.hpp"
#include "comparer.hpp"
#include "difference.hpp"
#include "explain/relations.hpp"
#include "forward_order.hpp"
#include "reference/reference_file.hpp"

namespace t5gemma2 {

namespace compare_files_detail {

inline bool has_numbers(const StoredTensor& tensor) {
  return storage_type(tensor.dtype).has_value() || tensor.dtype == Dtype::i64 || tensor.dtype == Dtype::i32;
}

/// Ids as numbers: those of a vocabulary are whole in float32.
inline Vector numbers_of(const StoredTensor& tensor) {
  if (storage_type(tensor.dtype)) return to_vector(tensor);
  const std::vector<Index> ids = to_integers(tensor);
  return Eigen::Map<const Eigen::Matrix<Index, Eigen::Dynamic, 1>>(ids.data(), std::ssize(ids)).cast<float>();
}

/// Names of what is computed, in forward order.
inline std::vector<std::string> names_in_order(const ReferenceFile& file) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : file.tensors)
    if (!name.starts_with(truth_prefix)) names.push_back(name);
  for (const auto& [name, statistics] : file.statistics)
    if (!file.tensors.contains(name)) names.push_back(name);
  std::sort(names.begin(), names.end(), comes_before);
  return names;
}

/// Heads of a tensor, by its own axis or by that of the norm behind it; 1 where neither tells.
inline Index heads_of(const ReferenceFile& file, const std::string& name) {
  const auto axis = [&](const std::string& of) {
    const auto found = file.tensors.find(of);
    return found != file.tensors.end() && found->second.shape.size() == 4 ? found->second.shape[1] : Index{1};
  };
  for (const auto& [projection, norm] : {std::pair("q_proj", "q_norm"), std::pair("k_proj", "k_norm"),
                                         std::pair("v_proj", "k_norm"), std::pair("o_proj", "q_norm")}) {
    const std::size_t at = name.rfind(projection);
    if (at != std::string::npos) return axis(name.substr(0, at) + norm + name.substr(at + 6));
  }
  return axis(name);
}

/// Integers, which must be equal, and images.
inline TensorComparison compare_inputs(const std::string& name, const StoredTensor& a,
                                       const StoredTensor& b) {
  TensorComparison line{.name = name, .shape = b.shape, .verdict = Verdict::wrong_type, .found = a.shape};
  if (!has_numbers(a) || !has_numbers(b)) return line;
  line.verdict = Verdict::wrong_shape;
  if (a.shape != b.shape) return line;
  line.verdict = Verdict::ok;
  const Vector ours = numbers_of(a), theirs = numbers_of(b);
  if (ours.size() == 0) return line;
  const Index columns = b.shape.empty() ? 1 : b.shape.back();
  const auto rows = [&](const Vector& x) {
    return Matrix(Eigen::Map<const Matrix>(x.data(), x.size() / columns, columns));
  };
  line.difference = difference_of(rows(ours), rows(theirs), Dtype::f32, 0, 0);
  line.max_difference = (ours - theirs).cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
  line.relative = line.max_difference == 0 ? 0 : line.max_difference / theirs.cwiseAbs().maxCoeff();
  if (!(line.max_difference == 0)) line.verdict = Verdict::over_tolerance;
  return line;
}

/// With the tolerance of A's number formats where that is more than that of B's.
inline Tolerances widened(Tolerances tolerances, const ReferenceFile& a) {
  if (tolerances.all) return tolerances;
  for (const auto& [name, tensor] : a.tensors)
    if (tensor.dtype == Dtype::bf16 || tensor.dtype == Dtype::f16)
      tolerances.by_pattern.insert(tolerances.by_pattern.begin(), {name, default_tolerance(tensor.dtype)});
  return tolerances;
}

/// Compares what `name` is in A.
inline void report_to(Comparer& comparer, const ReferenceFile& a, const ReferenceFile& b,
                      const std::string& name) {
  const auto found = a.tensors.find(name);
  if (found == a.tensors.end()) return comparer.compare_statistics(name, a.statistics.at(name));
  const StoredTensor& tensor = found->second;
  const bool same_rows = b.tensors.contains(name);  // where a name says which rows there are, both have them
  if (storage_type(tensor.dtype))
    comparer.compare(same_rows ? split_last_rows(name).first : name, tensor.shape, to_vector(tensor).data());
  else if (same_rows)
    comparer.add_result(compare_inputs(name, tensor, b.tensors.at(name)));
}

/// The first that differs, if it is the same numbers in another form.
inline std::optional<Reason> reason_of(const Comparison& c, const ReferenceFile& a, const ReferenceFile& b) {
  const auto first = std::ranges::find_if(c.tensors, [](const auto& t) { return t.verdict != Verdict::ok; });
  if (first == c.tensors.end()) return {};
  const auto ours = a.tensors.find(first->name), theirs = b.tensors.find(first->name);
  if (ours == a.tensors.end() || theirs == b.tensors.end()) return {};
  const StoredTensor &x = ours->second, &y = theirs->second;
  if (!storage_type(x.dtype) || !storage_type(y.dtype) || x.shape.size() < 3 || x.shape.size() > 4) return {};
  const Vector numbers = to_vector(x);
  if (numbers.size() == 0) return {};
  const auto text = relation(
      {.name = first->name,
       .shape = x.shape,
       .ours = Eigen::Map<const Matrix>(numbers.data(), numbers.size() / x.shape.back(), x.shape.back()),
       .heads = heads_of(a, first->name),
       .their_shape = y.shape,
       .theirs = to_vector(y),
       .owner = "A"});
  return text ? std::optional(Reason{.tensor = first->name, .text = *text, .where = ""}) : std::nullopt;
}

}  // namespace compare_files_detail

/// B's tensors against those of A of the same name, in forward order; integers must be equal. What one file alone holds is
/// listed, not compared. Where the first that differs is the same numbers in another form, that is its reason. Throws Error
/// where a file's truth is not as check_truth expects.
inline Comparison compare_files(const ReferenceFile& a, const ReferenceFile& b,
                                const Tolerances& tolerances = {}) {
  using namespace compare_files_detail;
  Comparer comparer(b, widened(tolerances, a));
  for (const std::string& name : names_in_order(a))
    if (is_activation(name))
      report_to(comparer, a, b, name);
    else if (const auto theirs = b.tensors.find(name); theirs != b.tensors.end())
      comparer.add_result(compare_inputs(name, a.tensors.at(name), theirs->second));
  Comparison result = comparer.finish();
  for (const TensorComparison& tensor : result.tensors)
    if (tensor.verdict == Verdict::missing) result.not_ours.push_back(tensor.name);
  std::erase_if(result.tensors, [](const auto& tensor) { return tensor.verdict == Verdict::missing; });
  std::ranges::sort(result.not_ours, comes_before);
  if (const auto reason = reason_of(result, a, b)) result.reasons.push_back(*reason);
  result.ours = "A";
  result.theirs = "B";
  return result;
}

}  // namespace t5gemma2
