// The kernels that t5gemma2-bench times, at the model's shapes.
#pragma once
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench_limits.hpp"
#include "bench_model.hpp"
#include "bench_work.hpp"

namespace bench_program {

using Run = std::function<void()>;

/// Something that is timed. A name is a path: kernel or step, matrix or layer, number of rows or tokens.
struct Case {
  std::string name;
  Bound bound;
  double work;                   // of a run: FLOP where products bound it, else bytes
  Index tokens;                  // of a run; 0 for kernels
  std::function<Run()> prepare;  // returns what is timed
};

using Cases = std::vector<Case>;

/// Reproducible numbers in [-1, 1].
inline Matrix random_rows(Index rows, Index cols) { return Matrix::Random(rows, cols); }

inline KeyValue random_keys(Index rows, Index cols) {
  return {random_rows(rows, cols), random_rows(rows, cols)};
}

/// One matrix of several layers, so that none is in a cache, as in a whole step.
inline Case linear_case(const std::string& name, std::vector<Weight> weights, Index rows) {
  constexpr double most_flops = 1e10;  // of a run
  const double flops = 2 * size_of(weights.front()) * static_cast<double>(rows);
  if (rows > 1)
    weights.resize(std::min(weights.size(), static_cast<std::size_t>(std::max(1.0, most_flops / flops))));
  const auto count = static_cast<double>(weights.size());
  return {.name = name + "/" + std::to_string(rows),
          .bound = rows > 1 ? Bound::products : Bound::reading,
          .work = count * (rows > 1 ? flops : stored_bytes(weights.front())),
          .tokens = 0,
          .prepare = [weights, rows]() -> Run {
            return [weights, x = random_rows(rows, weights.front().cols)] {
              for (const Weight& W : weights) linear(x, W);
            };
          }};
}

/// v_proj has k_proj's shape, up_proj gate_proj's.
inline void add_linear(const BenchModel& model, Cases& cases) {
  const auto add = [&](const char* name, const auto& matrix_of) {
    std::vector<Weight> weights;
    for (const Layer& layer : model.layers()) {
      const Weight W = matrix_of(layer);
      const bool same_shape = weights.empty() || (W.rows == weights[0].rows && W.cols == weights[0].cols);
      if (same_shape) weights.push_back(W);  // the two sides may have different heads
    }
    for (const Index rows : {1, 16, 128, 512, 2048})
      cases.push_back(linear_case("linear/" + std::string(name), weights, rows));
  };
  add("q_proj", [](const Layer& layer) { return layer.self_attn.q_proj; });
  add("k_proj", [](const Layer& layer) { return layer.self_attn.k_proj; });
  add("o_proj", [](const Layer& layer) { return layer.self_attn.o_proj; });
  add("gate_proj", [](const Layer& layer) { return layer.mlp.gate_proj; });
  add("down_proj", [](const Layer& layer) { return layer.mlp.down_proj; });
  cases.push_back(linear_case("linear/lm_head", {model.decoder.lm_head}, 1));
}

/// Self-attention of the encoder's first layer of a type, where it has one.
inline void add_encoder_attention(const BenchModel& model, LayerType type, const std::string& name, Index n,
                                  Cases& cases) {
  const auto layer = std::ranges::find(model.encoder.layers, type, &Layer::type);
  if (layer == model.encoder.layers.end()) return;
  const Attention w = layer->self_attn;
  const EncoderMask mask{w.window};
  cases.push_back({.name = name + "/" + std::to_string(n),
                   .bound = Bound::products,
                   .work = attention_flops(w.heads, visible_pairs(mask, n, n)),
                   .tokens = 0,
                   .prepare = [w, mask, n]() -> Run {
                     return [w, mask, Q = random_rows(n, w.heads.query * w.heads.dim),
                             x = random_keys(n, w.heads.kv * w.heads.dim)] {
                       attention(Q, x.K, x.V, w.heads, w.scale, mask);
                     };
                   }});
}

/// Merged attention of one layer in which `tokens` follow those in the cache.
struct MergedStep {
  Heads heads;
  float scale;
  Matrix Q;
  KvCache past;
  KeyValue x, h;

  MergedStep(const Attention& w, Index before, Index tokens, Index n)
      : heads(w.heads),
        scale(w.scale),
        Q(random_rows(tokens, w.heads.query * w.heads.dim)),
        past(w.heads.kv * w.heads.dim, no_window),
        x(random_keys(tokens, w.heads.kv * w.heads.dim)),
        h(random_keys(n, w.heads.kv * w.heads.dim)) {
    const KeyValue kept = random_keys(before, w.heads.kv * w.heads.dim);
    past.append(kept.K, kept.V);
  }

  void operator()() const {
    attention(Q, heads, scale, KeySegment{past.K(), past.V(), CacheMask{past}},
              KeySegment{x.K, x.V, DecoderMask{}}, KeySegment{h.K, h.V, AllVisible{}});
  }
};

/// A step of decoding, in every layer, and a block of a prompt, in one.
inline void add_merged_attention(const BenchModel& model, Index n, Cases& cases) {
  constexpr Index before = 64, block = 256;
  const Decoder w = model.decoder;
  cases.push_back({.name = "attention/merged_step/" + std::to_string(n),
                   .bound = Bound::reading,
                   .work = key_value_bytes(w, before + 1 + n),
                   .tokens = 0,
                   .prepare = [w, n]() -> Run {
                     std::vector<MergedStep> layers;
                     for (const Layer& layer : w.layers)
                       layers.push_back(MergedStep(layer.self_attn, before, 1, n));
                     return [layers = std::move(layers)] {
                       for (const MergedStep& step : layers) step();
                     };
                   }});
  const Attention first = w.layers.front().self_attn;
  const double pairs = visible_pairs(DecoderMask{}, block, block) + static_cast<double>(block * n);
  cases.push_back({.name = "attention/merged_prompt/" + std::to_string(n),
                   .bound = Bound::products,
                   .work = attention_flops(first.heads, pairs),
                   .tokens = 0,
                   .prepare = [first, n]() -> Run { return MergedStep(first, 0, block, n); }});
}

/// change(x) over [2048, cols] in place; work is what it reads and writes.
template <class Change>
Case elementwise_case(const std::string& name, Index cols, const Change& change) {
  constexpr Index rows = 2048;
  return {.name = name + "/" + std::to_string(rows),
          .bound = Bound::none,
          .work = 2.0 * sizeof(float) * static_cast<double>(rows * cols),
          .tokens = 0,
          .prepare = [cols, change]() -> Run {
            return [change, x = random_rows(rows, cols)]() mutable { change(x); };
          }};
}

inline void add_elementwise(const BenchModel& model, Cases& cases) {
  const TextConfig& c = model.encoder.config;
  const Layer& layer = model.encoder.layers.front();
  cases.push_back(elementwise_case("rms_norm", c.hidden_size, [layer](Matrix& x) {
    x = rms_norm(x, layer.pre_self_attn_layernorm, layer.eps);
  }));
  cases.push_back(
      elementwise_case("gelu", c.intermediate_size, [](Matrix& x) { x = gelu_tanh(std::move(x)); }));
  const auto rope = std::make_shared<const CosSin>(rope_at(c.full_attention, c.head_dim, 0, 2048));
  cases.push_back(elementwise_case("rope", c.num_attention_heads * c.head_dim,
                                   [rope](Matrix& x) { x = apply_rope(std::move(x), *rope); }));
  if (!model.vision) return;
  const Siglip& tower = model.vision->vision_tower;
  cases.push_back(elementwise_case("layer_norm", tower.config.hidden_size,
                                   [w = tower.post_layernorm](Matrix& x) { x = layer_norm(w, x); }));
}

}  // namespace bench_program
