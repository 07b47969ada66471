// How a tensor of a file is related to the same one of ours, where it is neither equal nor explained by another
// computation: the same numbers in another shape, order, size or number format.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "../../checkpoint/safetensors.hpp"
#include "../../tensor.hpp"

namespace t5gemma2 {

/// A tensor of ours as the reference stores it, and the file's of the same name.
struct Evidence {
  std::string name;
  std::vector<Index> shape;  // of ours: [1, rows, columns] or [1, heads, rows, columns]
  Matrix ours;               // [product of all axes but the last, columns]
  Index heads = 1;           // that its columns or its second axis hold
  std::vector<Index> their_shape;
  Vector theirs;
  std::string owner = "ours";  // what texts call our side

  Index rows() const { return shape[shape.size() - 2]; }
  Index cols() const { return shape.back(); }
  bool by_head() const { return shape.size() == 4; }
};

namespace relation_detail {

using Text = std::optional<std::string>;

inline Index product(const std::vector<Index>& shape) {
  Index size = 1;
  for (const Index extent : shape) size *= extent;
  return size;
}

/// Equal up to rounding, by the size of y.
inline bool agree(const Eigen::Ref<const Matrix>& x, const Eigen::Ref<const Matrix>& y,
                  float tolerance = 2e-5f) {
  return x.size() > 0 && x.size() == y.size() &&
         (x - y).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() <= tolerance * y.cwiseAbs().maxCoeff();
}

/// The file's numbers, row by row with `cols` in each.
inline Eigen::Map<const Matrix> as_rows(const Evidence& e, Index cols) {
  return {e.theirs.data(), e.theirs.size() / cols, cols};
}

// ---- other shapes ----

inline Text same_numbers(const Evidence& e) {
  if (e.their_shape == e.shape || e.theirs.size() != e.ours.size() || !agree(as_rows(e, e.cols()), e.ours))
    return {};
  const std::vector<Index> without(e.shape.begin() + 1, e.shape.end());
  if (e.their_shape == without) return "the batch axis is missing: " + shape_text(e.their_shape);
  return "the same numbers in another shape: " + shape_text(e.their_shape) + ", " + e.owner + " is " +
         shape_text(e.shape);
}

/// The numbers of [.., a, b] in the order [.., b, a].
inline Text transposed(const Evidence& e) {
  if (e.theirs.size() != e.ours.size()) return {};
  const Index blocks = e.ours.rows() / e.rows();
  Matrix turned(e.ours.rows() * e.cols() / e.rows(), e.rows());
  for (Index i = 0; i < blocks; ++i)
    turned.middleRows(i * e.cols(), e.cols()) = e.ours.middleRows(i * e.rows(), e.rows()).transpose();
  if (e.rows() > 1 && agree(as_rows(e, e.rows()), turned)) return "the last two axes are transposed";
  return {};
}

/// ours [heads, rows, dh] as [rows, heads, dh].
inline Matrix rows_first(const Evidence& e) {
  Matrix y(e.ours.rows(), e.cols());
  for (Index head = 0; head < e.heads; ++head)
    for (Index row = 0; row < e.rows(); ++row)
      y.row(row * e.heads + head) = e.ours.row(head * e.rows() + row);
  return y;
}

inline Text heads_beside(const Evidence& e) {
  if (e.theirs.size() != e.ours.size() || e.heads == 1) return {};
  if (e.by_head() && agree(as_rows(e, e.cols()), rows_first(e)))
    return "heads stand beside each other, [rows, heads, head_dim]; " + e.owner +
           " is [heads, rows, head_dim]";
  if (e.by_head()) return {};
  const Index dh = e.cols() / e.heads;
  Matrix by_head(e.rows() * e.heads, dh);
  for (Index head = 0; head < e.heads; ++head)
    by_head.middleRows(head * e.rows(), e.rows()) = e.ours.middleCols(head * dh, dh);
  if (agree(as_rows(e, dh), by_head)) return "heads come one after the other, [heads, rows, head_dim]";
  return {};
}

inline std::string tokens(Index count, bool first) {
  const std::string which = first ? "first " : "last ";
  return count == 1 ? "its " + which + "token is" : "its " + which + std::to_string(count) + " tokens are";
}

/// Rows are missing at either end, of keys or of tokens.
inline Text fewer_rows(const Evidence& e) {
  if (e.their_shape.size() != e.shape.size() || e.their_shape.back() != e.cols()) return {};
  const Index kept = e.their_shape[e.shape.size() - 2], lost = e.rows() - kept,
              blocks = e.ours.rows() / e.rows();
  if (kept < 1 || lost < 1 || e.theirs.size() != kept * blocks * e.cols()) return {};
  const std::string of = e.name.ends_with("[1]") ? "the encoder side is truncated: " : "rows are missing: ";
  for (const bool first : {false, true}) {
    bool equal = true;
    for (Index i = 0; i < blocks; ++i)
      equal = equal && agree(as_rows(e, e.cols()).middleRows(i * kept, kept),
                             e.ours.middleRows(i * e.rows() + (first ? lost : 0), kept));
    if (equal) return of + tokens(lost, first) + " not there";
  }
  return {};
}

inline Text more_rows(const Evidence& e) {
  if (e.their_shape.size() != 3 || e.shape.size() != 3 || e.their_shape.back() != e.cols()) return {};
  const Index more = e.their_shape[1] - e.rows();
  if (more < 1) return {};
  const auto theirs = as_rows(e, e.cols());
  if (agree(theirs.bottomRows(e.rows()), e.ours))
    return "there are " + std::to_string(more) + " rows more in front";
  if (agree(theirs.topRows(e.rows()), e.ours))
    return "there are " + std::to_string(more) + " rows more at the end";
  return {};
}

inline Text other_width(const Evidence& e) {
  if (e.their_shape.empty() || e.their_shape.back() == e.cols() || e.theirs.size() == e.ours.size())
    return {};
  if (e.name.ends_with("weights")) return {};
  return "another model's file: " + shape_text(e.their_shape) + ", this model's is " + shape_text(e.shape);
}

// ---- the same shape ----

template <class Number>
bool holds_only(const Vector& x) {
  return x.size() > 0 &&
         (x.array() == x.unaryExpr([](float v) { return static_cast<float>(Number(v)); }).array()).all();
}

inline Text rounded(const Evidence& e) {
  if (e.theirs.size() != e.ours.size()) return {};
  const auto theirs = as_rows(e, e.cols());
  if (holds_only<Eigen::bfloat16>(e.theirs) && agree(theirs, e.ours, 2e-2f))
    return "its numbers are bfloat16's: it was computed or kept in bfloat16";
  if (holds_only<Eigen::half>(e.theirs) && agree(theirs, e.ours, 2e-3f))
    return "its numbers are float16's: it was computed or kept in float16";
  return {};
}

inline Text multiple(const Evidence& e) {
  if (e.theirs.size() != e.ours.size()) return {};
  const auto theirs = as_rows(e, e.cols());
  const double square = e.ours.cast<double>().squaredNorm();
  const double factor = e.ours.cast<double>().cwiseProduct(theirs.cast<double>()).sum() / square;
  if (!std::isfinite(factor) || std::abs(factor - 1) < 1e-4 ||
      !agree(static_cast<float>(factor) * e.ours, theirs))
    return {};
  std::ostringstream text;
  if (factor == 0)
    text << "all numbers are 0";
  else
    text << "all numbers are multiplied by " << static_cast<float>(factor);
  return text.str();
}

/// As TransformerLens' compatibility mode does with logits; their softmax is the same.
inline Text centred(const Evidence& e) {
  if (e.theirs.size() != e.ours.size() || e.cols() < 2) return {};
  const Eigen::VectorXf means = e.ours.rowwise().mean();
  if (!agree(e.ours.colwise() - means, as_rows(e, e.cols()))) return {};
  return "the mean of each row is subtracted";
}

inline Text constant(const Evidence& e) {
  if (e.theirs.size() != e.ours.size() || e.theirs.size() < 2) return {};
  if ((e.theirs.array() == e.theirs[0]).all()) {
    std::ostringstream text;
    text << "all numbers are " << e.theirs[0];
    return text.str();
  }
  return {};
}

inline Text other_rows(const Evidence& e) {
  if (e.theirs.size() != e.ours.size() || e.by_head() || e.rows() < 3) return {};
  const auto theirs = as_rows(e, e.cols());
  if (agree(theirs, e.ours.colwise().reverse())) return "rows are in the opposite order";
  for (const Index by : {Index{1}, Index{2}, Index{3}}) {
    const std::string rows = std::to_string(by) + (by > 1 ? " rows" : " row");
    if (by + 2 > e.rows()) break;
    const Index kept = e.rows() - by;
    if (agree(theirs.bottomRows(kept), e.ours.topRows(kept)))
      return "rows are moved by " + rows + " towards the end";
    if (agree(theirs.topRows(kept), e.ours.bottomRows(kept)))
      return "rows are moved by " + rows + " towards the front";
  }
  return {};
}

/// The part of x, in the form of ours, that belongs to a head.
inline Matrix head_of(const Evidence& e, const Eigen::Ref<const Matrix>& x, Index head) {
  if (e.by_head()) return x.middleRows(head * e.rows(), e.rows());
  return x.middleCols(head * (e.cols() / e.heads), e.cols() / e.heads);
}

inline Text other_heads(const Evidence& e) {
  if (e.theirs.size() != e.ours.size() || e.heads < 2) return {};
  const auto theirs = as_rows(e, e.cols());
  std::string order;
  bool differs = false;
  for (Index head = 0; head < e.heads; ++head) {
    Index from = 0;
    while (from < e.heads && !agree(head_of(e, theirs, head), head_of(e, e.ours, from))) ++from;
    if (from == e.heads) return {};
    differs = differs || from != head;
    order += (head ? ", " : "") + std::to_string(from);
  }
  if (!differs) return {};
  return "heads are in another order: " + order;
}

/// Columns of each head in another order: interleaved as for RoPE on neighbours, or [head_dim, heads].
inline Text other_columns(const Evidence& e) {
  if (e.theirs.size() != e.ours.size()) return {};
  const auto theirs = as_rows(e, e.cols());
  const Index heads = e.by_head() ? 1 : e.heads, dh = e.cols() / heads;
  const auto moved = [&](auto to) {
    Matrix y(e.ours.rows(), e.cols());
    for (Index head = 0; head < heads; ++head)
      for (Index i = 0; i < dh; ++i) y.col(to(head, i)) = e.ours.col(head * dh + i);
    return agree(theirs, y);
  };
  if (dh % 2 == 0 &&
      moved([&](Index head, Index i) { return head * dh + (i < dh / 2 ? 2 * i : 2 * i - dh + 1); }))
    return "numbers of each head are interleaved: the halves of RoPE as neighbours";
  if (dh % 2 == 0 && moved([&](Index head, Index i) { return head * dh + (i % 2 ? dh / 2 : 0) + i / 2; }))
    return "numbers of each head are permuted: RoPE's neighbours as halves";
  if (heads > 1 && moved([&](Index head, Index i) { return i * heads + head; }))
    return "heads are interleaved: [rows, head_dim, heads]";
  return {};
}

}  // namespace relation_detail

/// What the file's tensor is to ours; none where it is nothing that is known.
inline std::optional<std::string> relation(const Evidence& e) {
  using namespace relation_detail;
  for (const auto known : {same_numbers, transposed, heads_beside, fewer_rows, more_rows, rounded, constant,
                           multiple, centred, other_rows, other_heads, other_columns, other_width})
    if (Text text = known(e)) return text;
  return {};
}

}  // namespace t5gemma2
