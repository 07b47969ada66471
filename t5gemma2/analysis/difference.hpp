// How two tensors differ, in the measures that people use: the largest difference, the angle, the ratio of signal to
// noise, units in the last place; where the worst element lies; which rows and heads are wrong.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "../checkpoint/dtype.hpp"
#include "../tensor.hpp"

namespace t5gemma2 {

/// Where differences lie: a matrix in cells of a few rows and columns, each with the largest difference in it.
struct HeatMap {
  static constexpr Index most_rows = 48, most_cols = 96;  // of cells
  Index rows = 0, cols = 0;                               // of cells
  Index rows_each = 1, cols_each = 1;  // of the matrix, in a cell; in the last ones there may be fewer
  std::vector<int> levels{};           // row by row: a bar of Difference::histogram, -1 where all are equal
};

/// Of ours and theirs, [rows, columns] each; a row is one of all axes but the last.
struct Difference {
  double cosine = 1;  // of all numbers as one vector
  double snr = 0;  // decibels: 10 log10(sum theirs^2 / sum (ours - theirs)^2); infinite where all are equal
  Index median_ulp = 0;  // units in the last place, in the format in which theirs is stored
  Index largest_ulp = 0;
  Index worst_row = 0, worst_col = 0;  // where |ours - theirs| is largest
  float ours = 0, theirs = 0;          // there
  Index wrong_rows = 0, first_wrong_row = -1;
  std::vector<Index> wrong_heads{};  // of a tensor [1, heads, rows, columns]
  std::array<Index, 40>
      histogram{};  // of log10(|ours - theirs| / max |theirs|), from -10 up, four to a decade
  HeatMap heat_map{};
};

namespace difference_detail {

/// Places of float32 numbers in their order; equal for 0 and -0.
inline std::int64_t place_of(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x);
  return bits < 0 ? std::int64_t{std::numeric_limits<std::int32_t>::min()} - bits : bits;
}

/// The same in the order of bfloat16 or float16 numbers.
template <class Half>
std::int64_t place_of_half(float x) {
  const auto bits = std::bit_cast<std::int16_t>(Half(x));
  return bits < 0 ? std::int64_t{std::numeric_limits<std::int16_t>::min()} - bits : bits;
}

inline Index ulps(float x, float y, Dtype dtype) {
  if (dtype == Dtype::bf16)
    return std::abs(place_of_half<Eigen::bfloat16>(x) - place_of_half<Eigen::bfloat16>(y));
  if (dtype == Dtype::f16) return std::abs(place_of_half<Eigen::half>(x) - place_of_half<Eigen::half>(y));
  return std::abs(place_of(x) - place_of(y));
}

/// A difference that is not smaller than any other: NaN is the largest.
inline float size_of(float difference) {
  return std::isnan(difference) ? std::numeric_limits<float>::infinity() : std::abs(difference);
}

inline void measure_ulps(Difference& d, const Matrix& ours, const Eigen::Ref<const Matrix>& theirs,
                         Dtype dtype) {
  std::vector<Index> all;
  all.reserve(static_cast<std::size_t>(ours.size()));
  for (Index i = 0; i < ours.size(); ++i) all.push_back(ulps(ours.data()[i], theirs.data()[i], dtype));
  const auto middle = all.begin() + std::ssize(all) / 2;
  std::nth_element(all.begin(), middle, all.end());
  d.median_ulp = *middle;
  d.largest_ulp = *std::max_element(all.begin(), all.end());
}

/// The bar of the histogram for a difference relative to the largest number.
inline std::size_t bar_of(float relative, std::size_t bars) {
  const float place = relative > 0 ? 4 * (std::log10(relative) + 10) : 0;
  return static_cast<std::size_t>(std::clamp(place, 0.0f, static_cast<float>(bars - 1)));
}

/// The level of a heat map for a difference of this size; what is not finite has the highest.
inline int level_of(float size, float scale) {
  constexpr std::size_t bars = std::tuple_size_v<decltype(Difference::histogram)>;
  if (size == 0) return -1;
  return static_cast<int>(std::isfinite(size) ? bar_of(size / scale, bars) : bars - 1);
}

inline HeatMap heat_map_of(const Matrix& ours, const Eigen::Ref<const Matrix>& theirs, float scale) {
  const auto quotient = [](Index x, Index y) { return (x + y - 1) / y; };  // rounded up
  HeatMap map{.rows_each = quotient(ours.rows(), HeatMap::most_rows),
              .cols_each = quotient(ours.cols(), HeatMap::most_cols)};
  map.rows = quotient(ours.rows(), map.rows_each);
  map.cols = quotient(ours.cols(), map.cols_each);
  for (Index row = 0; row < ours.rows(); row += map.rows_each)
    for (Index col = 0; col < ours.cols(); col += map.cols_each) {
      const Index rows = std::min(map.rows_each, ours.rows() - row),
                  cols = std::min(map.cols_each, ours.cols() - col);
      const float largest = (ours.block(row, col, rows, cols) - theirs.block(row, col, rows, cols))
                                .cwiseAbs()
                                .maxCoeff<Eigen::PropagateNaN>();
      map.levels.push_back(level_of(size_of(largest), scale));
    }
  return map;
}

/// Fills in what is told of all numbers as one vector.
inline void measure_vectors(Difference& d, const Matrix& ours, const Eigen::Ref<const Matrix>& theirs) {
  const Eigen::Map<const Eigen::VectorXf> a(ours.data(), ours.size()), b(theirs.data(), theirs.size());
  const double x = a.cast<double>().norm(), y = b.cast<double>().norm(),
               noise = (a.cast<double>() - b.cast<double>()).norm();
  d.cosine = x == 0 || y == 0 ? (x == y ? 1 : 0) : a.cast<double>().dot(b.cast<double>()) / (x * y);
  d.snr = noise == 0 ? std::numeric_limits<double>::infinity() : 20 * std::log10(y / noise);
}

}  // namespace difference_detail

/// ours and theirs [rows, columns], not empty, of which theirs is stored as `dtype`; heads of a tensor that is stored
/// head by head, else 0; a row is wrong where a difference in it is over `allowed`.
inline Difference difference_of(const Matrix& ours, const Eigen::Ref<const Matrix>& theirs, Dtype dtype,
                                Index heads, float allowed) {
  check_shape(theirs, ours.rows(), ours.cols(), "difference_of theirs");
  check_argument(ours.size() > 0, "difference_of ours", "a number or more", "none");
  Difference d;
  const float scale = theirs.cwiseAbs().maxCoeff<Eigen::PropagateNumbers>();
  float worst = -1;
  for (Index row = 0; row < ours.rows(); ++row) {
    bool wrong = false;
    for (Index col = 0; col < ours.cols(); ++col) {
      const float size = difference_detail::size_of(ours(row, col) - theirs(row, col));
      ++d.histogram[static_cast<std::size_t>(std::max(0, difference_detail::level_of(size, scale)))];
      wrong = wrong || !(size <= allowed);
      if (size <= worst) continue;
      worst = size;
      std::tie(d.worst_row, d.worst_col, d.ours, d.theirs) =
          std::tuple(row, col, ours(row, col), theirs(row, col));
    }
    if (!wrong) continue;
    if (d.wrong_rows++ == 0) d.first_wrong_row = row;
    const Index head = heads > 0 ? row / (ours.rows() / heads) : -1;
    if (head >= 0 && (d.wrong_heads.empty() || d.wrong_heads.back() != head)) d.wrong_heads.push_back(head);
  }
  difference_detail::measure_vectors(d, ours, theirs);
  difference_detail::measure_ulps(d, ours, theirs, dtype);
  d.heat_map = difference_detail::heat_map_of(ours, theirs, scale);
  return d;
}

// ---- where something lies, in the tensor's own terms ----

/// Names of the axes of a tensor with this name and so many axes, those of one element left out in texts.
inline std::vector<std::string> axes_of(const std::string& name, std::size_t axes) {
  const bool vision =
      name.find("vision_tower") != std::string::npos || name.find("projector") != std::string::npos;
  const std::string rows = name.ends_with("[1]") ? "encoder token" : "token";
  std::vector<std::string> all;
  if (axes == 4 && name.ends_with("weights"))
    all = {"text", "head", "query", "key"};
  else if (axes == 4 && vision)
    all = {"image", "channel", "row", "column"};
  else if (axes == 4)
    all = {"text", "head", rows, "number"};
  else if (axes == 3 && vision)
    all = {"image", "patch", "feature"};
  else if (axes == 3)
    all = {"text", rows, name == "logits" || name == "lm_head" ? "id" : "feature"};
  else if (axes == 2 && name.ends_with("_ids"))
    all = {"text", "token"};
  else
    for (std::size_t i = 0; i < axes; ++i) all.push_back("axis " + std::to_string(i));
  return all;
}

/// "head 2, query 5, key 0" of a row and a column (-1: the row alone) of a tensor of this shape.
inline std::string place_text(const std::string& name, const std::vector<Index>& shape, Index row,
                              Index col) {
  if (shape.empty()) return "the number itself";
  std::vector<Index> at(shape.size(), col);
  for (std::size_t axis = shape.size() - 1; axis-- > 0; row /= shape[axis]) at[axis] = row % shape[axis];
  const std::vector<std::string> axes = axes_of(name, shape.size());
  std::string text;
  for (std::size_t axis = 0; axis + (col < 0 ? 1 : 0) < shape.size(); ++axis)
    if (shape[axis] > 1 || axis > 0)
      text += (text.empty() ? "" : ", ") + axes[axis] + " " + std::to_string(at[axis]);
  return text;
}

}  // namespace t5gemma2
