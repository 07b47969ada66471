// How likely a text is: the log-probability of each token of a target, given H and the ids before it.
//
//   ids       y_0  ...  y_k | y_k+1  ...  y_m          a start (bos, and a text perhaps), then the target
//   log p(y_i+1 | y_0 ... y_i, H) = z[y_i+1] - log(sum over v of e^z[v])          z [vocab], the logits of y_i
//
// So the logits of a token say what follows it: those of the last one, y_m, are not needed. They are taken as the decoder
// gives them (decoder.hpp, after the softcap), before penalties and temperature. The paper leaves this out.
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2ForConditionalGeneration
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "chunks.hpp"
#include "decoder.hpp"
#include "error.hpp"
#include "progress.hpp"
#include "sampling.hpp"

namespace t5gemma2 {

struct LikelyToken {
  TokenId id = 0;
  double logprob = 0;  // natural logarithm
};

struct TokenScore {
  LikelyToken token;
  Index rank = 1;                 // its place among all tokens by probability; 1 is the likeliest
  std::vector<LikelyToken> best;  // the likeliest of all; may include `token`
};

/// `id` as logits [vocab] predict it, with the `most` likeliest tokens. Throws Error for logits that are no finite
/// numbers, std::invalid_argument for an id outside the vocabulary.
inline TokenScore score_token(const Vector& logits, TokenId id, Index most = 0) {
  if (!logits.allFinite()) throw Error("logits: expected finite numbers, found NaN or infinity");
  check_argument(id >= 0 && id < logits.size(), "score_token id", "one of the vocabulary", id);
  const double largest = logits.maxCoeff();
  const double log_sum = largest + std::log((logits.cast<double>().array() - largest).exp().sum());
  const float own = logits[id];
  TokenScore score{{id, own - log_sum}, 1 + (logits.array() > own).count(), {}};
  if (most == 0) return score;
  std::vector<Candidate> candidates = top_candidates(logits, std::min(most, logits.size()));
  candidates.resize(std::min(candidates.size(), static_cast<std::size_t>(most)));  // ties of the last
  for (const Candidate& one : candidates) score.best.push_back({one.id, one.score - log_sum});
  return score;
}

/// x [m, d] after the decoder's last norm, whose rows are followed by `next` [m] -> the score of each of these.
inline std::vector<TokenScore> score_rows(const Decoder& w, const Matrix& x, std::span<const TokenId> next,
                                          Index most = 0) {
  constexpr Index block = 16;  // rows of logits [rows, vocab] at a time: a vocabulary is large
  check_shape(x, std::ssize(next), -1, "score_rows x");
  std::vector<TokenScore> scores(next.size());
  for (Index first = 0; first < x.rows(); first += block) {
    const Index rows = std::min(block, x.rows() - first);
    const Matrix logits = logits_of(w, x.middleRows(first, rows));
    parallel_tasks(rows, [&](Index row) {
      const auto i = static_cast<std::size_t>(first + row);
      scores[i] = score_token(logits.row(row), next[i], most);
    });
  }
  return scores;
}

/// What comes before one target or several: it is read once for all.
struct TargetStart {
  DecoderState state;  // after all ids but the last
  TokenId last = 0;
};

/// H [n, d], n may be 0, and the ids that begin each text, one or more. Progress counts the tokens of H, then those ids.
/// Throws as `decode` does.
inline TargetStart start_target(const Decoder& w, const Matrix& H, std::span<const TokenId> ids,
                                const Progress& progress = {}) {
  check_argument(!ids.empty(), "start_target ids", "one or more", "none");
  check_ids(ids, w.config.vocab_size, "decoder prompt");
  TargetStart start{start_decoder(w, H, progress), ids.back()};
  if (ids.size() > 1) decode(w, start.state, ids.first(ids.size() - 1), progress);
  return start;
}

/// The scores of the ids of a target that follows the start. Progress counts them. Throws Error for an id outside the
/// vocabulary and for logits that are no finite numbers.
inline std::vector<TokenScore> score(const Decoder& w, const TargetStart& start,
                                     std::span<const TokenId> target, Index most = 0,
                                     const Progress& progress = {}) {
  check_ids(target, w.config.vocab_size, "target");
  std::vector<TokenId> before{start.last};
  before.insert(before.end(), target.begin(), target.end());
  const Index all = std::ssize(target);
  DecoderState state = start.state;
  std::vector<TokenScore> scores;
  if (progress) progress(0, all);
  for (const Chunk& block : blocks_of(w, state, all)) {
    const auto first = static_cast<std::size_t>(block.first), count = static_cast<std::size_t>(block.count);
    const Matrix x = decoder_step(w, state, std::span(before).subspan(first, count));
    for (TokenScore& one : score_rows(w, x, target.subspan(first, count), most))
      scores.push_back(std::move(one));
    if (progress) progress(block.first + block.count, all);
  }
  return scores;
}

/// Of a target: the log-probability of the whole, and that of a token in the mean.
struct TargetScore {
  double sum = 0, mean = 0, perplexity = 1;  // perplexity = e^-mean
};

inline TargetScore score_of(std::span<const TokenScore> tokens) {
  check_argument(!tokens.empty(), "score_of tokens", "one or more", "none");
  TargetScore whole;
  for (const TokenScore& one : tokens) whole.sum += one.token.logprob;
  whole.mean = whole.sum / static_cast<double>(tokens.size());
  whole.perplexity = std::exp(-whole.mean);
  return whole;
}

}  // namespace t5gemma2
