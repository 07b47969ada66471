// Embeddings: one vector e for each text, from its hidden state h_1 ... h_n (hidden_states.hpp). The paper leaves them out;
// the steps and their order are sentence-transformers':
//
//   pooling      mean  e = (h_1 + ... + h_n) / n       all tokens, bos and eos too
//                cls   e = h_1        last  e = h_n
//                none  all of them: [n, d]
//   steps        dense  e = f(W e + b)   or   normalise  e = e / |e|
//   dimensions   the first numbers of e alone
//   normalize    e = e / |e|
//
// Reference: sentence-transformers sentence_transformer/modules/pooling.py Pooling, base/modules/dense.py Dense,
// base/modules/normalize.py Normalize
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "hidden_states.hpp"
#include "linear.hpp"
#include "model.hpp"

namespace t5gemma2 {

enum class Pooling { mean, cls, last, none };

inline constexpr std::array<std::string_view, 4> pooling_names{"mean", "cls", "last", "none"};

enum class Activation { identity, tanh, relu };

struct Dense {
  Weight weight;               // [out, in]
  std::optional<Vector> bias;  // [out]
  Activation activation = Activation::identity;
};

struct Normalize {};

struct EmbedOptions {
  std::optional<Index> layer;  // which hidden state; none: the last
  Pooling pooling = Pooling::mean;
  std::vector<std::variant<Dense, Normalize>> steps;
  std::optional<Index> dimensions;
  bool normalize = false;
};

/// Throws std::invalid_argument for none of pooling_names.
inline Pooling pooling_named(std::string_view name) {
  const auto named = std::ranges::find(pooling_names, name);
  check_argument(named != pooling_names.end(), "pooling", "mean, cls, last or none", name);
  return static_cast<Pooling>(named - pooling_names.begin());
}

/// A folder's options with what is asked for: a pooling or a layer takes the place of all its steps.
inline EmbedOptions with_asked(EmbedOptions options, const std::optional<std::string>& pooling,
                               std::optional<Index> layer, std::optional<Index> dimensions, bool normalize) {
  if (pooling || layer) options = {};
  if (pooling) options.pooling = pooling_named(*pooling);
  options.layer = layer;
  options.dimensions = dimensions;
  options.normalize = normalize || dimensions.has_value();
  return options;
}

/// What is embedded.
struct EmbedInput {
  std::vector<TokenId> ids;      // one or more
  std::vector<Matrix> features;  // of images, as encode takes them
  Index unpooled = 0;            // so many of the first ids are read but not pooled, as those of a prompt
};

// ---- the steps ----

/// h [n, d], of which the rows from `first` on are pooled -> [1, d]; with Pooling::none h itself.
inline Matrix pool(const Matrix& h, Pooling pooling, Index first = 0) {
  if (pooling == Pooling::none) return h;
  check_argument(first >= 0 && first < h.rows(), "pool first", "a row of h", first);
  if (pooling == Pooling::cls) return h.row(first);
  if (pooling == Pooling::last) return h.bottomRows(1);
  return h.bottomRows(h.rows() - first).cast<double>().colwise().mean().cast<float>();
}

/// e [rows, in] -> f(e W^T + b) [rows, out].
inline Matrix apply(const Dense& w, const Matrix& e) {
  Matrix y = linear(e, w.weight);
  if (w.bias) {
    check_shape(*w.bias, y.cols(), 1, "dense bias");
    y.rowwise() += w.bias->transpose();
  }
  if (w.activation == Activation::tanh) y = y.array().tanh();
  if (w.activation == Activation::relu)
    y = y.unaryExpr([](float number) { return number < 0 ? 0.0f : number; });
  return y;
}

/// Each row divided by its length, as far as that is above 1e-12; a NaN makes the whole row NaN.
inline Matrix apply(const Normalize&, Matrix e) {
  for (auto row : e.rowwise()) row /= std::max(static_cast<float>(row.cast<double>().norm()), 1e-12f);
  return e;
}

/// Numbers of an embedding, after steps alone. Throws Error naming the step that does not fit, or the dimensions.
inline Index width_of(const EmbedOptions& options, Index width) {
  for (const auto& step : options.steps)
    if (const auto* dense = std::get_if<Dense>(&step)) {
      check_shape(dense->weight, -1, width, "dense weight");
      width = dense->weight.rows;
    }
  if (!options.dimensions) return width;
  if (*options.dimensions < 1 || *options.dimensions > width)
    fail("embeddings", "dimensions", "1 to " + std::to_string(width), std::to_string(*options.dimensions));
  return *options.dimensions;
}

/// The hidden state h [n, d] of one text -> its embedding [1, width], or with Pooling::none [n, width].
inline Matrix embedding_of(const Matrix& h, const EmbedOptions& options, Index unpooled = 0) {
  Matrix e = pool(h, options.pooling, unpooled);
  for (const auto& step : options.steps) e = std::visit([&](const auto& one) { return apply(one, e); }, step);
  if (options.dimensions) e = e.leftCols(*options.dimensions).eval();
  return options.normalize ? apply(Normalize{}, std::move(e)) : e;
}

// ---- the whole ----

/// How many of the first texts run through the encoder at once: as many as fit into a chunk, and at least one.
inline std::size_t batch_of(std::span<const EmbedInput> texts) {
  std::size_t count = 0;
  Index rows = 0;
  for (const EmbedInput& text : texts) {
    rows += std::ssize(text.ids);
    if (count > 0 && rows > chunk_rows) break;
    ++count;
  }
  return count;
}

/// The hidden states [n_1 + n_2 + ..., d] of texts, all at once.
inline Matrix hidden_states(const Model& model, std::span<const EmbedInput> texts,
                            std::span<const Chunk> places, Index layer, const Progress& progress) {
  Matrix x(places.back().first + places.back().count, model.config.encoder.hidden_size);
  for (std::size_t i = 0; i < texts.size(); ++i)
    places[i].of(x) = encoder_input(model, texts[i].ids, texts[i].features);
  return hidden_state(model.encoder, layer, std::move(x), places, progress);
}

/// The embedding of each text, [1, width]; with Pooling::none [n, width]. The numbers of a text do not depend on the
/// texts beside it, but for the last digit (with set_precision, but for its rounding). Progress counts tokens. Throws Error where an id is outside the
/// vocabulary, image features do not fit, or dimensions are too many; std::invalid_argument where the encoder is
/// incomplete or a text has no ids.
inline std::vector<Matrix> embed(const Model& model, std::span<const EmbedInput> texts,
                                 const EmbedOptions& options = {}, const Progress& progress = {}) {
  check(model.encoder);
  width_of(options, model.config.encoder.hidden_size);
  Index all = 0, done = 0;
  for (const EmbedInput& text : texts) {
    check_argument(!text.ids.empty(), "embed ids", "one or more", "none");
    all += std::ssize(text.ids);
  }
  std::vector<Matrix> embeddings;
  while (!texts.empty()) {
    const std::span batch = texts.first(batch_of(texts));
    std::vector<Chunk> places;
    Index rows = 0;
    for (const EmbedInput& text : batch) {
      places.push_back({rows, std::ssize(text.ids)});
      rows += std::ssize(text.ids);
    }
    const Matrix h =
        hidden_states(model, batch, places, options.layer.value_or(model.config.encoder.num_hidden_layers),
                      [&](Index part, Index of) {
                        if (progress) progress(done + rows * part / std::max<Index>(1, of), all);
                      });
    for (std::size_t i = 0; i < batch.size(); ++i)
      embeddings.push_back(embedding_of(places[i].of(h), options, batch[i].unpooled));
    done += rows;
    texts = texts.subspan(batch.size());
  }
  if (progress) progress(all, all);
  return embeddings;
}

}  // namespace t5gemma2
