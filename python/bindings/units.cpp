// The text modules of the paper on arrays: the engine's own functions under their own names.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cmath>
#include <optional>
#include <random>

#include "arrays.hpp"
#include "bindings.hpp"
#include "calls.hpp"
#include "t5gemma2/decoder.hpp"
#include "t5gemma2/encoder.hpp"
#include "t5gemma2/merged_attention.hpp"
#include "t5gemma2/sampling.hpp"

namespace t5gemma2::python {

namespace {

using nb::literals::operator""_a;

constexpr Index most_tokens = Index{1} << 31;

/// What attention needs beside weights.
struct AttentionSettings {
  double query_pre_attn_scalar, rope_theta, rope_factor;
  std::optional<Index> sliding_window;
  float rms_norm_eps;
};

Attention attention_of(const Weights& weights, const AttentionSettings& s) {
  Attention w{.q_proj = weights.matrix("q_proj"),
              .k_proj = weights.matrix("k_proj"),
              .v_proj = weights.matrix("v_proj"),
              .o_proj = weights.matrix("o_proj"),
              .q_norm = weights.vector("q_norm"),
              .k_norm = weights.vector("k_norm"),
              .heads = {},
              .eps = s.rms_norm_eps,
              .scale = static_cast<float>(1 / std::sqrt(s.query_pre_attn_scalar)),
              .window = s.sliding_window.value_or(no_window)};
  const Index dh = w.q_norm.size();
  check_argument(s.query_pre_attn_scalar > 0 && std::isfinite(s.query_pre_attn_scalar),
                 "query_pre_attn_scalar", "a number above 0", s.query_pre_attn_scalar);
  check_argument(s.rms_norm_eps >= 0 && std::isfinite(s.rms_norm_eps), "rms_norm_eps", "0 or more",
                 s.rms_norm_eps);
  check_argument(w.window > 0, "sliding_window", "1 or more, or None", w.window);
  check_argument(dh > 0 && dh % 2 == 0, "q_norm.weight", "an even number of numbers", dh);
  check_argument(w.q_proj.rows % dh == 0, "q_proj.weight", "rows for whole heads of q_norm's size",
                 w.q_proj.rows);
  w.heads = {w.q_proj.rows / dh, w.k_proj.rows / dh, dh};
  return w;
}

FeedForward feed_forward_of(const Weights& weights) {
  return {weights.matrix("gate_proj"), weights.matrix("up_proj"), weights.matrix("down_proj")};
}

CosSin rope_of(const Attention& w, const AttentionSettings& s, Index first_position, Index rows) {
  return rope_at({s.rope_theta, s.rope_factor}, w.heads.dim, first_position, rows);
}

// ---- row by row ----

nb::object rms_norm_py(nb::handle x, nb::handle weight, float eps) {
  const Array in = array_of(x, "x");
  const Matrix rows = rows_of(in);
  const Vector w = vector_of(array_of(weight, "weight"));
  return like(in, without_gil(all_threads, [&] { return rms_norm(rows, w, eps); }));
}

nb::object linear_py(nb::handle x, nb::handle weight) {
  const Array in = array_of(x, "x"), w = array_of(weight, "weight");
  const Matrix rows = rows_of(in);
  const Weight W = weight_of(w);
  return like(in, without_gil(all_threads, [&] { return linear(rows, W); }));
}

nb::object gelu_tanh_py(nb::handle x) {
  const Array in = array_of(x, "x");
  Matrix rows = matrix_of(in);
  return like(in, without_gil(all_threads, [&] { return gelu_tanh(std::move(rows)); }));
}

nb::object feed_forward_py(nb::handle x, nb::handle weights) {
  const Array in = array_of(x, "x");
  const Matrix rows = rows_of(in);
  const FeedForward w = feed_forward_of(Weights(weights));
  return like(in, without_gil(all_threads, [&] { return feed_forward(w, rows); }));
}

nb::object softcap_py(nb::handle logits, std::optional<float> cap) {
  const Array in = array_of(logits, "logits");
  if (cap) check_argument(*cap > 0 && std::isfinite(*cap), "cap", "a number above 0, or None", *cap);
  return like(in, softcap(matrix_of(in), cap));
}

// ---- attention ----

nb::object rope_py(nb::handle x, Index head_dim, double theta, double factor, Index first_position) {
  const Array in = array_of(x, "x");
  Matrix rows = sequence_of(in);
  check_argument(first_position <= most_tokens, "first_position", "at most 2^31", first_position);
  const CosSin rope = rope_at({theta, factor}, head_dim, first_position, rows.rows());
  return like(in, without_gil(all_threads, [&] { return apply_rope(std::move(rows), rope); }));
}

void check_tokens(Index tokens, const char* name) {
  check_argument(tokens >= 0 && tokens <= most_tokens, name, "0 to 2^31", tokens);
}

/// Who sees whom, as bool [queries, keys].
template <class Mask>
nb::object mask_array(const Mask& mask, Index queries, Index keys) {
  check_argument(mask.window > 0, "sliding_window", "1 or more, or None", mask.window);
  check(mask, keys);
  const auto size = static_cast<std::size_t>(queries * keys);
  auto* seen = new bool[size];
  const nb::capsule owner(seen, [](void* p) noexcept { delete[] static_cast<bool*>(p); });
  for (Index query = 0; query < queries; ++query)
    for (Index key = 0; key < keys; ++key) seen[query * keys + key] = mask(query, key);
  const std::size_t shape[2] = {static_cast<std::size_t>(queries), static_cast<std::size_t>(keys)};
  return nb::cast(nb::ndarray<nb::numpy, bool>(seen, 2, shape, owner));
}

nb::object encoder_mask_py(Index n, std::optional<Index> sliding_window) {
  check_tokens(n, "n");
  return mask_array(EncoderMask{sliding_window.value_or(no_window)}, n, n);
}

nb::object decoder_mask_py(Index m, std::optional<Index> sliding_window) {
  check_tokens(m, "m");
  return mask_array(DecoderMask{sliding_window.value_or(no_window)}, m, m);
}

nb::object merged_mask_py(Index m, Index n, std::optional<Index> sliding_window) {
  check_tokens(m, "m");
  check_tokens(n, "n");
  check_tokens(m + n, "m + n");
  return mask_array(MergedMask{sliding_window.value_or(no_window), m}, m, m + n);
}

/// A mask in an array of bool [queries, keys].
struct ArrayMask {
  nb::ndarray<const bool, nb::ndim<2>, nb::device::cpu> seen;

  bool operator()(Index query, Index key) const {
    return seen(static_cast<std::size_t>(query), static_cast<std::size_t>(key));
  }
};

/// Throws TypeError for anything but bool, ValueError for another shape.
ArrayMask mask_of(nb::handle mask, Index queries, Index keys) {
  nb::ndarray<const bool, nb::device::cpu> any;
  const nb::object viewed = viewable(mask);
  const std::string expected = "bool [" + std::to_string(queries) + ", " + std::to_string(keys) + "]";
  if (!nb::ndarray_check(viewed) || !nb::try_cast(viewed, any, false))
    throw nb::type_error(("mask: expected " + expected + ", found " + description_of(mask)).c_str());
  ArrayMask array;
  const bool fits = nb::try_cast(viewed, array.seen, false) &&
                    static_cast<Index>(array.seen.shape(0)) == queries &&
                    static_cast<Index>(array.seen.shape(1)) == keys;
  check_argument(fits, "mask", expected.c_str(), description_of(mask));
  return array;
}

nb::object attention_py(nb::handle Q, nb::handle K, nb::handle V, nb::handle mask, Index num_attention_heads,
                        Index num_key_value_heads, float scale) {
  const Array in = array_of(Q, "Q");
  const Matrix q = sequence_of(in), k = sequence_of(array_of(K, "K")), v = sequence_of(array_of(V, "V"));
  check_argument(num_attention_heads > 0, "num_attention_heads", "1 or more", num_attention_heads);
  check_argument(num_key_value_heads > 0, "num_key_value_heads", "1 or more", num_key_value_heads);
  check_argument(q.cols() % num_attention_heads == 0, "Q", "columns for num_attention_heads heads", q.cols());
  const Heads heads{num_attention_heads, num_key_value_heads, q.cols() / num_attention_heads};
  if (mask.is_none())
    return like(in, without_gil(all_threads, [&] { return attention(q, k, v, heads, scale, AllVisible{}); }));
  const ArrayMask seen = mask_of(mask, q.rows(), k.rows());
  return like(in, without_gil(all_threads, [&] { return plain_attention(q, k, v, heads, scale, seen); }));
}

nb::object self_attention_py(nb::handle X, nb::handle weights, double query_pre_attn_scalar,
                             double rope_theta, double rope_factor, std::optional<Index> sliding_window,
                             float rms_norm_eps) {
  const AttentionSettings s{query_pre_attn_scalar, rope_theta, rope_factor, sliding_window, rms_norm_eps};
  const Array in = array_of(X, "X");
  const Matrix x = sequence_of(in);
  const Attention w = attention_of(Weights(weights), s);
  const CosSin rope = rope_of(w, s, 0, x.rows());
  return like(in, without_gil(all_threads, [&] { return self_attention(w, x, rope); }));
}

nb::object merged_attention_py(nb::handle X, nb::handle H, nb::handle weights, double query_pre_attn_scalar,
                               double rope_theta, double rope_factor, std::optional<Index> sliding_window,
                               float rms_norm_eps) {
  const AttentionSettings s{query_pre_attn_scalar, rope_theta, rope_factor, sliding_window, rms_norm_eps};
  const Array in = array_of(X, "X");
  const Matrix x = sequence_of(in), h = sequence_of(array_of(H, "H"));
  const Attention w = attention_of(Weights(weights), s);
  const CosSin rope = rope_of(w, s, 0, x.rows());
  return like(in, without_gil(all_threads, [&] { return merged_attention(w, x, h, rope); }));
}

nb::object transformer_layer_py(nb::handle x, nb::handle weights, nb::handle H, double query_pre_attn_scalar,
                                double rope_theta, double rope_factor, std::optional<Index> sliding_window,
                                float rms_norm_eps) {
  const AttentionSettings s{query_pre_attn_scalar, rope_theta, rope_factor, sliding_window, rms_norm_eps};
  const Array in = array_of(x, "x");
  const Matrix rows = sequence_of(in);
  const std::optional<Matrix> h = H.is_none() ? std::nullopt : std::optional(sequence_of(array_of(H, "H")));
  const Weights all(weights);
  const Layer w{.type = sliding_window ? LayerType::sliding_attention : LayerType::full_attention,
                .self_attn = attention_of(all / "self_attn", s),
                .mlp = feed_forward_of(all / "mlp"),
                .pre_self_attn_layernorm = all.vector("pre_self_attn_layernorm"),
                .post_self_attn_layernorm = all.vector("post_self_attn_layernorm"),
                .pre_feedforward_layernorm = all.vector("pre_feedforward_layernorm"),
                .post_feedforward_layernorm = all.vector("post_feedforward_layernorm"),
                .eps = s.rms_norm_eps};
  const CosSin rope = rope_of(w.self_attn, s, 0, rows.rows());
  const auto attend = [&](const Matrix& X) {
    return h ? merged_attention(w.self_attn, X, *h, rope) : self_attention(w.self_attn, X, rope);
  };
  return like(in, without_gil(all_threads, [&] { return transformer_layer(w, rows, {}, attend); }));
}

TokenId sample_py(nb::handle scores, double temperature, Index top_k, double top_p, double min_p,
                  double typical_p, std::uint64_t seed) {
  GenerationConfig c;
  c.temperature = temperature;
  c.top_k = top_k;
  c.top_p = top_p;
  c.min_p = min_p;
  c.typical_p = typical_p;
  std::mt19937_64 random(seed);
  return draw_token(vector_of(array_of(scores, "scores")), c, random);
}

/// What the attentions say of their arguments.
constexpr const char* attention_text =
    "\n\nweights: q_proj.weight [heads*head_dim, d], k_proj.weight and v_proj.weight [kv heads*head_dim, "
    "d],\n"
    "o_proj.weight [d, heads*head_dim], q_norm.weight and k_norm.weight [head_dim].\n"
    "Scores are divided by sqrt(query_pre_attn_scalar). sliding_window: None in a global layer; else the "
    "tokens that a\n"
    "query sees of its own side, half of them on each side in the encoder, the last ones in the decoder.";

void bind_rows(nb::module_& m) {
  m.def("rms_norm", rms_norm_py,
        nb::sig("def rms_norm(x: numpy.typing.ArrayLike, weight: numpy.typing.ArrayLike, eps: float = "
                "1e-06) -> numpy.typing.NDArray[numpy.float32]"),
        "x"_a.none(), "weight"_a.none(), "eps"_a = 1e-6f,
        "x / sqrt(mean(x^2) + eps) * (1 + weight), over the last axis. x [.., d], weight [d] -> [.., d].\n\n"
        "Paper, section 2. Reference: T5Gemma2RMSNorm");
  m.def("linear", linear_py,
        nb::sig("def linear(x: numpy.typing.ArrayLike, weight: numpy.typing.ArrayLike) -> "
                "numpy.typing.NDArray[numpy.float32]"),
        "x"_a.none(), "weight"_a.none(), "x W^T. x [.., in], weight [out, in] -> [.., out].");
  m.def("gelu_tanh", gelu_tanh_py,
        nb::sig("def gelu_tanh(x: numpy.typing.ArrayLike) -> numpy.typing.NDArray[numpy.float32]"),
        "x"_a.none(),
        "x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), elementwise. x [..] -> [..].\n\nReference: GELUTanh");
  m.def("feed_forward", feed_forward_py,
        nb::sig("def feed_forward(x: numpy.typing.ArrayLike, weights: collections.abc.Mapping[str, "
                "numpy.typing.ArrayLike]) -> numpy.typing.NDArray[numpy.float32]"),
        "x"_a.none(), "weights"_a.none(),
        "(gelu(x Wgate^T) * (x Wup^T)) Wdown^T. x [.., d] -> [.., d].\n\n"
        "weights: gate_proj.weight and up_proj.weight [intermediate_size, d], down_proj.weight [d, "
        "intermediate_size].\n"
        "Paper, section 2. Reference: T5Gemma2MLP");
  m.def("softcap", softcap_py,
        nb::sig("def softcap(logits: numpy.typing.ArrayLike, cap: float | None = None) -> "
                "numpy.typing.NDArray[numpy.float32]"),
        "logits"_a.none(), "cap"_a = nb::none(),
        "cap tanh(logits / cap), or logits where cap is None. [..] -> [..].");

  m.def("sample", sample_py,
        nb::sig("def sample(scores: numpy.typing.ArrayLike, *, temperature: float = 1.0, top_k: int = "
                "50, top_p: float = 1.0, min_p: float = 0.0, typical_p: float = 1.0, seed: int = 0) "
                "-> int"),
        "scores"_a.none(), nb::kw_only(), "temperature"_a = 1.0, "top_k"_a = 50, "top_p"_a = 1.0,
        "min_p"_a = 0.0, "typical_p"_a = 1.0, "seed"_a = 0,
        "A token drawn from the softmax of scores [vocab], such as logits, divided by temperature; the same "
        "for the same\n"
        "seed. Left are the top_k largest (0: all), of these as many as make up top_p, those of at least "
        "min_p times the\n"
        "largest probability, and the typical_p most typical ones.");
}

void bind_positions(nb::module_& m) {
  m.def("rope", rope_py,
        nb::sig("def rope(x: numpy.typing.ArrayLike, *, head_dim: int, theta: float, factor: float = "
                "1.0, first_position: int = 0) -> numpy.typing.NDArray[numpy.float32]"),
        "x"_a.none(), nb::kw_only(), "head_dim"_a, "theta"_a, "factor"_a = 1.0, "first_position"_a = 0,
        "Rotates the heads of each row by its position. x [rows, heads*head_dim] -> the same shape; rows are "
        "at\n"
        "first_position, first_position + 1, ...; frequencies are theta^(-2i/head_dim) / factor.\n\n"
        "Paper, section 2. Reference: T5Gemma2RotaryEmbedding, apply_rotary_pos_emb");
  m.def("encoder_mask", encoder_mask_py,
        nb::sig("def encoder_mask(n: int, sliding_window: int | None = None) -> "
                "numpy.typing.NDArray[numpy.bool_]"),
        "n"_a, "sliding_window"_a = nb::none(),
        "Which keys the encoder's queries see: bool [n, n]. None: a global layer.");
  m.def("decoder_mask", decoder_mask_py,
        nb::sig("def decoder_mask(m: int, sliding_window: int | None = None) -> "
                "numpy.typing.NDArray[numpy.bool_]"),
        "m"_a, "sliding_window"_a = nb::none(), "The same of the decoder's own tokens: bool [m, m].");
  m.def(
      "merged_mask", merged_mask_py,
      nb::sig("def merged_mask(m: int, n: int, sliding_window: int | None = None) -> "
              "numpy.typing.NDArray[numpy.bool_]"),
      "m"_a, "n"_a, "sliding_window"_a = nb::none(),
      "M of merged attention: bool [m, m + n], keys are the decoder's m tokens, then the encoder's n. Paper, "
      "equation 4.");
}

void bind_attention(nb::module_& m) {
  m.def("attention", attention_py,
        nb::sig("def attention(Q: numpy.typing.ArrayLike, K: numpy.typing.ArrayLike, V: "
                "numpy.typing.ArrayLike, mask: numpy.typing.ArrayLike | None = None, *, "
                "num_attention_heads: int, num_key_value_heads: int, scale: float) -> "
                "numpy.typing.NDArray[numpy.float32]"),
        "Q"_a.none(), "K"_a.none(), "V"_a.none(), "mask"_a = nb::none(), nb::kw_only(),
        "num_attention_heads"_a, "num_key_value_heads"_a, "scale"_a,
        "softmax(Q K^T scale, masked) V. Q [m, heads*head_dim], K and V [keys, kv heads*head_dim] -> [m, "
        "heads*head_dim];\n"
        "mask: bool [m, keys], None: every key is visible.\n\nPaper, equation 4. Reference: "
        "eager_attention_forward");
  m.def("self_attention", self_attention_py,
        nb::sig("def self_attention(X: numpy.typing.ArrayLike, weights: collections.abc.Mapping[str, "
                "numpy.typing.ArrayLike], *, query_pre_attn_scalar: float, rope_theta: float, "
                "rope_factor: float = 1.0, sliding_window: int | None = None, rms_norm_eps: float = "
                "1e-06) -> numpy.typing.NDArray[numpy.float32]"),
        "X"_a.none(), "weights"_a.none(), nb::kw_only(), "query_pre_attn_scalar"_a, "rope_theta"_a,
        "rope_factor"_a = 1.0, "sliding_window"_a = nb::none(), "rms_norm_eps"_a = 1e-6f,
        (std::string("The encoder's attention. X [n, d] -> [n, d].") + attention_text +
         "\nReference: T5Gemma2SelfAttention")
            .c_str());
  m.def("merged_attention", merged_attention_py,
        nb::sig("def merged_attention(X: numpy.typing.ArrayLike, H: numpy.typing.ArrayLike, weights: "
                "collections.abc.Mapping[str, numpy.typing.ArrayLike], *, query_pre_attn_scalar: "
                "float, rope_theta: float, rope_factor: float = 1.0, sliding_window: int | None = "
                "None, rms_norm_eps: float = 1e-06) -> numpy.typing.NDArray[numpy.float32]"),
        "X"_a.none(), "H"_a.none(), "weights"_a.none(), nb::kw_only(), "query_pre_attn_scalar"_a,
        "rope_theta"_a, "rope_factor"_a = 1.0, "sliding_window"_a = nb::none(), "rms_norm_eps"_a = 1e-6f,
        (std::string("Self- and cross-attention in one softmax. X [m, d], H [n, d] -> [m, d].") +
         attention_text + "\nPaper, equations 1 to 5. Reference: T5Gemma2MergedAttention")
            .c_str());
  m.def("transformer_layer", transformer_layer_py,
        nb::sig("def transformer_layer(x: numpy.typing.ArrayLike, weights: "
                "collections.abc.Mapping[str, numpy.typing.ArrayLike], H: numpy.typing.ArrayLike | "
                "None = None, *, query_pre_attn_scalar: float, rope_theta: float, rope_factor: float "
                "= 1.0, sliding_window: int | None = None, rms_norm_eps: float = 1e-06) -> "
                "numpy.typing.NDArray[numpy.float32]"),
        "x"_a.none(), "weights"_a.none(), "H"_a = nb::none(), nb::kw_only(), "query_pre_attn_scalar"_a,
        "rope_theta"_a, "rope_factor"_a = 1.0, "sliding_window"_a = nb::none(), "rms_norm_eps"_a = 1e-6f,
        "A layer of the encoder, or with H [n, d] of the decoder. x [rows, d] -> [rows, d].\n\n"
        "weights: names of the checkpoint below layers.N, as self_attn.q_proj.weight and "
        "mlp.gate_proj.weight.\n"
        "Reference: T5Gemma2EncoderLayer, T5Gemma2DecoderLayer");
}

}  // namespace

void bind_units(nb::module_& m) {
  bind_rows(m);
  bind_positions(m);
  bind_attention(m);
}

}  // namespace t5gemma2::python
