// The mask that the zeros of a file's softmax weights show.
#pragma once
#include <optional>
#include <string>

#include "file_tensors.hpp"
#include "guess.hpp"

namespace t5gemma2 {

namespace seen_mask_detail {

/// The largest weight of any head, [queries, keys]; none where the file has no such tensor.
inline std::optional<Matrix> largest_weights(const StoredTensors& file, const std::string& tensor) {
  const auto found = file.find(tensor);
  if (found == file.end() || found->second.shape.size() != 4 || found->second.shape[0] != 1) return {};
  const Index heads = found->second.shape[1], rows = found->second.shape[2], keys = found->second.shape[3];
  const auto P = matrix_of(found->second, heads * rows, keys, true);
  if (!P) return {};
  Matrix largest = P->topRows(rows);
  for (Index head = 1; head < heads; ++head) largest = largest.cwiseMax(P->middleRows(head * rows, rows));
  return largest;
}

/// What the middle query sees: "query 13 sees 9 of the keys 1 to 13 of 26".
inline std::string text_of(const Matrix& weights) {
  const Index query = weights.rows() / 2;
  Index first = -1, last = -1, count = 0;
  for (Index key = 0; key < weights.cols(); ++key) {
    if (!(weights(query, key) > 0)) continue;
    if (first < 0) first = key;
    last = key;
    ++count;
  }
  const std::string who = "query " + std::to_string(query) + " sees ";
  if (count == 0) return who + "no key";
  const std::string which = count == last - first + 1 ? "the keys " : std::to_string(count) + " of the keys ";
  return who + which + std::to_string(first) + " to " + std::to_string(last) + " of " +
         std::to_string(weights.cols());
}

}  // namespace seen_mask_detail

/// The guess that a layer has the mask which its softmax weights in the file show; none where `tensor` is not of these.
inline std::optional<Guess> seen_mask(const StoredTensors& file, const std::string& tensor) {
  if (!tensor.ends_with("weights")) return {};
  const std::string layer = tensor.substr(0, tensor.rfind('.'));
  const auto own = seen_mask_detail::largest_weights(file, layer + ".weights");
  const auto cross = seen_mask_detail::largest_weights(file, layer + ".cross_weights");
  const auto& shown = tensor.ends_with("cross_weights") ? cross : own;
  if (!shown) return {};
  const auto visible = [](const std::optional<Matrix>& weights, Index query, Index key) {
    return !weights || query >= weights->rows() || key >= weights->cols() || (*weights)(query, key) > 0;
  };
  return Guess{"another mask: " + seen_mask_detail::text_of(*shown), [=](Variant& v) {
                 v.mask = [=](const Place&, Index q, Index k) { return visible(own, q, k); };
                 v.cross_mask = [=](const Place&, Index q, Index k, Index) { return visible(cross, q, k); };
               }};
}

}  // namespace t5gemma2
