// A transformer layer whose steps are a Variant's, in plain form: the equations of layer.hpp, projections.hpp,
// encoder.hpp and merged_attention.hpp once more, open to change. Not for speed.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "../../kernels/functions.hpp"
#include "../../linear.hpp"
#include "../../merged_attention.hpp"
#include "../../rope.hpp"
#include "variant.hpp"

namespace t5gemma2 {

/// Which variant holds for a step.
using VariantOf = std::function<const Variant&(const Step&)>;

/// Gets a tensor as computed, [rows, columns] or, where heads are stacked, [heads*rows, columns]; returns what the
/// pass goes on with.
using Exchange = std::function<Matrix(const std::string& name, Matrix computed, bool stacked)>;

namespace variant_detail {

inline Matrix rounded(Matrix x, const Variant::Number& round) {
  if (round) x = x.unaryExpr(round);
  return x;
}

/// x W^T as v does it.
inline Matrix product(const Variant& v, const Matrix& x, const Weight& W) {
  if (!v.round_weight && !v.round_input && !v.transposes_matrices)
    return rounded(linear(x, W), v.round_output);
  const Matrix weight = rounded(to_matrix(W, 0, W.rows), v.round_weight);
  const Matrix input = rounded(x, v.round_input);
  if (v.transposes_matrices && W.rows == W.cols) return rounded(input * weight, v.round_output);
  return rounded(input * weight.transpose(), v.round_output);
}

/// The norm of each `size` numbers of a row.
inline Matrix norm(const Variant& v, Matrix x, const Vector& weight, float eps) {
  const Index size = v.norms_whole_rows ? x.cols() : weight.size();
  const float e = v.eps.value_or(eps);
  for (Index row = 0; row < x.rows(); ++row)
    for (Index col = 0; col < x.cols(); col += size) {
      auto part = x.row(row).segment(col, size).array();
      if (v.centres) part -= part.mean();
      const float square = part.square().mean();
      part /= v.eps_outside ? std::sqrt(square) + e : std::sqrt(square + e);
      for (Index i = 0; i < size; ++i) part[i] *= v.norm_offset + weight[i % weight.size()];
    }
  return rounded(std::move(x), v.round_output);
}

/// Every head of x [rows, heads*dh] turned by the positions first, first + 1, ...
inline Matrix turn(const Variant& v, const Place& p, Matrix x, Index first) {
  const Index dh = p.config.head_dim,
              turned = static_cast<Index>(static_cast<double>(dh) * v.turned_share) / 2 * 2;
  if (turned == 0) return x;
  const CosSin rope = rope_at(v.rope(p), turned, std::max<Index>(0, first), x.rows());
  for (Index row = 0; row < x.rows(); ++row)
    for (Index start = 0; start < x.cols(); start += dh)
      for (Index i = 0; i < turned / 2; ++i) {
        float& a = x(row, start + (v.pairs_neighbours ? 2 * i : i));
        float& b = x(row, start + (v.pairs_neighbours ? 2 * i + 1 : turned / 2 + i));
        const float cos = rope.cos(row, i), sin = v.turns_back ? -rope.sin(row, i) : rope.sin(row, i);
        std::tie(a, b) = std::pair(a * cos - b * sin, b * cos + a * sin);
      }
  return x;
}

/// The norm weight of this name in the checkpoint.
inline const Vector& norm_weight(const Layer& w, const std::string& name) {
  if (name == "pre_self_attn_layernorm") return w.pre_self_attn_layernorm;
  if (name == "post_self_attn_layernorm") return w.post_self_attn_layernorm;
  if (name == "pre_feedforward_layernorm") return w.pre_feedforward_layernorm;
  if (name == "post_feedforward_layernorm") return w.post_feedforward_layernorm;
  return name == "q_norm" ? w.self_attn.q_norm : w.self_attn.k_norm;
}

inline const Weight& matrix(const Layer& w, const std::string& name) {
  if (name == "q_proj") return w.self_attn.q_proj;
  if (name == "k_proj") return w.self_attn.k_proj;
  if (name == "v_proj") return w.self_attn.v_proj;
  if (name == "o_proj") return w.self_attn.o_proj;
  if (name == "gate_proj") return w.mlp.gate_proj;
  return name == "up_proj" ? w.mlp.up_proj : w.mlp.down_proj;
}

/// The heads of A [rows, heads*dh] in the order of v.
inline Matrix merged(const Variant& v, const Matrix& A, const Heads& heads) {
  Matrix B(A.rows(), A.cols());
  for (Index row = 0; row < A.rows(); ++row)
    for (Index head = 0; head < heads.query; ++head)
      for (Index i = 0; i < heads.dim; ++i) {
        const Index to = v.place_of_head(heads, head);
        Index place = row * A.cols() + to * heads.dim + i;
        if (v.merge == Merge::by_number) place = row * A.cols() + i * heads.query + to;
        if (v.merge == Merge::transposed) place = (to * A.rows() + row) * heads.dim + i;
        B.data()[place] = A(row, head * heads.dim + i);
      }
  return B;
}

}  // namespace variant_detail

/// A layer at its place, with m decoder tokens (on the encoder's side 0) and n encoder tokens.
class VariantLayer {
 public:
  VariantLayer(const Place& place, Index m, Index n, const VariantOf& of, const Exchange& exchange)
      : place_(place), m_(m), n_(n), of_(of), exchange_(exchange) {
    path_ = place.decoder ? "model.decoder.layers." : "model.encoder.text_model.layers.";
    path_ += std::to_string(place.number);
  }

  /// x [rows, d] -> [rows, d]. H, and the same before the encoder's norm, [n, d], are for the decoder.
  Matrix operator()(const Matrix& x, const Matrix& H, const Matrix& before_norm) const {
    const Matrix X = norm("pre_self_attn_layernorm", x);
    const Matrix O = give("self_attn", attend(X, place_.decoder ? encoder_output(H, before_norm) : H));
    const Matrix y = add("post_self_attn_layernorm", x, X, O);
    const Matrix Y = norm("pre_feedforward_layernorm", at("mlp").parallel ? x : y);
    return give("", add("post_feedforward_layernorm", y, Y, give("mlp", feed_forward(Y))));
  }

 private:
  const Variant& at(const std::string& step) const { return of_({place_.decoder, &place_, step}); }
  Matrix give(const std::string& step, Matrix x, bool stacked = false) const {
    return exchange_(step.empty() ? path_ : path_ + "." + step, std::move(x), stacked);
  }

  /// `step` is the module's name, "[1]" behind it at its second call.
  Matrix product(const std::string& parent, const std::string& step, const Matrix& x) const {
    const Variant& v = at(step);
    const std::string module = module_of(step);
    const Weight& own = variant_detail::matrix(place_.layer, module);
    const Weight& W = variant_detail::matrix(place_.layer, v.matrix_of(module));
    const bool fits = W.rows == own.rows && W.cols == own.cols;
    return give(parent + step, variant_detail::product(v, x, fits ? W : own));
  }

  Matrix normalised(const std::string& step, const Matrix& x) const {
    const Variant& v = at(step);
    if (v.left_out.contains(step)) return x;
    const std::string from = v.weight_of(module_of(step));
    return variant_detail::norm(v, x, variant_detail::norm_weight(place_.layer, from), place_.layer.eps);
  }
  Matrix norm(const std::string& step, const Matrix& x) const { return give(step, normalised(step, x)); }

  /// The residual stream after a sub-layer: x what it was given, X the same normalised, y what it gives.
  Matrix add(const std::string& post_norm, const Matrix& x, const Matrix& X, const Matrix& y) const {
    const Residual residual = at(post_norm).residual;
    if (residual == Residual::normalised_with_x) return norm(post_norm, x + y);
    Matrix after = norm(post_norm, y);
    if (residual == Residual::left_out) return after;
    return residual == Residual::to_the_normalised ? X + after : x + after;
  }

  Matrix encoder_output(const Matrix& H, const Matrix& before_norm) const {
    const EncoderOutput form = at("k_proj[1]").encoder_output;
    if (form == EncoderOutput::before_its_norm && before_norm.rows() == H.rows()) return before_norm;
    if (form == EncoderOutput::normalised_by_the_layer) return normalised("pre_self_attn_layernorm", H);
    if (form == EncoderOutput::backwards) return H.colwise().reverse();
    return H;
  }

  /// Queries or keys of x, turned from position `first` on; `call` is "[1]" for those of H.
  Matrix projected(const std::string& name, const std::string& call, const Matrix& x,
                   std::optional<Index> first) const {
    const Matrix raw = product("self_attn.", name + "_proj" + call, x);
    const Variant& v = at("weights");
    const auto turned = [&](Matrix y) {
      return first ? variant_detail::turn(v, place_, std::move(y), *first) : y;
    };
    const std::string step = name + "_norm" + call;
    if (v.norms_after_rope) return give("self_attn." + step, normalised(step, turned(raw)));
    return turned(give("self_attn." + step, normalised(step, raw)));
  }

  Matrix attend(const Matrix& X, const Matrix& H) const {
    const Variant& v = at("weights");
    const Index first_key = v.first_key(m_, n_);
    const auto when = [](bool turns, Index first) { return turns ? std::optional(first) : std::nullopt; };
    const Matrix Q = projected("q", "", X, when(v.rotates_queries, v.first_query(m_, n_)));
    Matrix K = projected("k", "", X, when(v.rotates_keys, first_key));
    Matrix V = product("self_attn.", "v_proj", X);
    if (v.rotates_values) V = variant_detail::turn(v, place_, std::move(V), first_key);
    if (place_.decoder && H.rows() > 0) {
      std::optional<Index> first;
      if (v.first_encoder_key) first = v.first_encoder_key(m_, n_);
      K = stack(K, projected("k", "[1]", H, first));
      V = stack(V, product("self_attn.", "v_proj[1]", H));
    }
    const Heads& heads = place_.layer.self_attn.heads;
    const Matrix A = weighted(probabilities(Q, K, X.rows()), V);
    return product("self_attn.", "o_proj", variant_detail::merged(at("o_proj"), A, heads));
  }

  /// Scores of a head, masked, through one softmax or two: [rows, keys].
  Matrix probabilities_of(Index head, const Matrix& Q, const Matrix& K, Index own) const {
    const Variant& v = at("weights");
    const Heads& heads = place_.layer.self_attn.heads;
    const auto q = Q.middleCols(v.query_head(heads, head) * heads.dim, heads.dim).cast<double>();
    const auto k = K.middleCols(v.key_head(heads, head) * heads.dim, heads.dim).cast<double>();
    Matrix p = (q * k.transpose() * v.scale(place_)).cast<float>();
    if (v.score_softcap) {
      const auto cap = static_cast<float>(*v.score_softcap);
      p = cap * (p.array() / cap).tanh();
    }
    for (Index query = 0; query < p.rows(); ++query) {
      for (Index key = 0; key < p.cols(); ++key)
        if (key < own ? !v.mask(place_, query, key) : !v.cross_mask(place_, query, key - own, K.rows() - own))
          p(query, key) = -std::numeric_limits<float>::infinity();
      const Index first = v.two_softmaxes ? own : p.cols();
      softmax(p.row(query).data(), first);
      if (first < p.cols()) softmax(p.row(query).data() + first, p.cols() - first);
    }
    return p;
  }

  /// [heads*rows, keys], the first `own` keys the tokens' own.
  Matrix probabilities(const Matrix& Q, const Matrix& K, Index own) const {
    const Index heads = place_.layer.self_attn.heads.query;
    Matrix P(heads * Q.rows(), K.rows());
    for (Index head = 0; head < heads; ++head)
      P.middleRows(head * Q.rows(), Q.rows()) = probabilities_of(head, Q, K, own);
    P.leftCols(own) = give("self_attn.weights", P.leftCols(own), true);
    if (own < K.rows())
      P.rightCols(K.rows() - own) = give("self_attn.cross_weights", P.rightCols(K.rows() - own), true);
    return P;
  }

  /// P [heads*rows, keys], V [keys, kv heads*dh] -> A [rows, heads*dh]
  Matrix weighted(const Matrix& P, const Matrix& V) const {
    const Variant& v = at("weights");
    const Heads& heads = place_.layer.self_attn.heads;
    const Index rows = P.rows() / heads.query;
    Matrix A(rows, heads.query * heads.dim);
    for (Index head = 0; head < heads.query; ++head)
      A.middleCols(head * heads.dim, heads.dim) =
          P.middleRows(head * rows, rows) * V.middleCols(v.value_head(heads, head) * heads.dim, heads.dim);
    return A;
  }

  Matrix feed_forward(const Matrix& x) const {
    const Variant& v = at("act_fn");
    Matrix gate = product("mlp.", "gate_proj", x), up = product("mlp.", "up_proj", x);
    if (v.swaps_gate) std::swap(gate, up);
    Matrix h = give("mlp.act_fn", variant_detail::rounded(v.act(gate), v.round_output));
    if (v.adds_gate)
      h += up;
    else if (!v.leaves_up_out)
      h.array() *= up.array();
    return product("mlp.", "down_proj", h);
  }

  const Place& place_;
  Index m_, n_;
  const VariantOf& of_;
  const Exchange& exchange_;
  std::string path_;
};

}  // namespace t5gemma2
