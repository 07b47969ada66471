// Tied embedding (paper §2): one matrix E [vocab, d] is the encoder's input, the decoder's input and the
// decoder's output.
//
//   x_i      = E[id_i] * sqrt(d)            input
//   logits   = h E^T                        output, then c tanh(logits / c) where a softcap c is set
//
// The paper leaves out: the factor sqrt(d); the softcap; the end-of-image token, whose embedding is on both
// sides a vector of its own, `eoi_embedding`, put in after the scaling; and fine-tuned checkpoints, which may
// store another matrix for each of the decoder's two uses.
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2TextScaledWordEmbedding,
// T5Gemma2LMHead
#pragma once
#include <cmath>
#include <optional>
#include <span>

#include "error.hpp"
#include "linear.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// The parameters of the input embedding.
struct Embedding {
  Weight weight;                         // [vocab, d]   embed_tokens.weight
  Vector eoi_embedding;                  // [d]          embed_tokens.eoi_embedding
  std::optional<Index> eoi_token_index;  // the id that eoi_embedding stands for
};

/// Throws Error, naming `where` they are, unless 0 <= id < vocab for all ids.
inline void check_ids(std::span<const TokenId> ids, Index vocab, const char* where = "prompt") {
  for (const TokenId id : ids)
    if (id < 0 || id >= vocab)
      fail(where, "token id", "0 to " + std::to_string(vocab - 1), std::to_string(id));
}

/// ids [n] -> [n, d]. Throws Error for an id outside the vocabulary, std::invalid_argument where w
/// is incomplete.
inline Matrix embed(const Embedding& w, std::span<const TokenId> ids) {
  check_argument(w.weight.rows > 0 && w.weight.cols > 0, "embed_tokens", "a matrix [vocab, d]", "none");
  check_ids(ids, w.weight.rows);
  check_shape(w.eoi_embedding, w.weight.cols, 1, "embed eoi_embedding");
  const float scale = std::sqrt(static_cast<float>(w.weight.cols));
  Matrix x(static_cast<Index>(ids.size()), w.weight.cols);
  for (Index i = 0; i < x.rows(); ++i) {
    const TokenId id = ids[static_cast<std::size_t>(i)];
    x.row(i) = stored_rows(w.weight, id, 1) * scale;
    if (id == w.eoi_token_index) x.row(i) = w.eoi_embedding.transpose();
    if (!w.weight.changes.empty()) x.row(i) += changed_rows(w.weight, id, 1) * scale;
  }
  return x;
}

/// c tanh(logits / c), or logits unchanged where no softcap c is set; any shape. Throws std::invalid_argument
/// unless c is above 0.
inline Matrix softcap(Matrix logits, const std::optional<float>& cap) {
  check_argument(!cap || (*cap > 0 && std::isfinite(*cap)), "softcap", "a number above 0", cap.value_or(0));
  if (cap) logits = *cap * (logits.array() / *cap).tanh();
  return logits;
}

}  // namespace t5gemma2
