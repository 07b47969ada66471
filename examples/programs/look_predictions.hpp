// The probability of each token that the decoder wrote, and of the likeliest ones in its place:
//
//   p [vocab] = softmax(logits of the token before)     of the logits before penalties, temperature and top_k
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "t5gemma2/decoder.hpp"
#include "t5gemma2/error.hpp"
#include "t5gemma2/sampling.hpp"

namespace look {

using namespace t5gemma2;

struct LikelyToken {
  TokenId id = 0;
  double probability = 0;
};

struct Prediction {
  LikelyToken token;              // the one that was written
  Index rank = 1;                 // its place among all by probability; 1 is the likeliest
  std::vector<LikelyToken> best;  // the likeliest of all; may include `token`
};

/// `id` as predicted by logits [vocab]. Throws Error for logits that are no finite numbers.
inline Prediction prediction_of(const Vector& logits, TokenId id) {
  constexpr Index most = 5;
  if (!logits.allFinite()) throw Error("logits: expected finite numbers, found NaN or infinity");
  const float largest = logits.maxCoeff();
  const double sum = (logits.array() - largest).cast<double>().exp().sum();
  const auto probability = [&](float logit) { return std::exp(double{logit} - double{largest}) / sum; };
  std::vector<Candidate> candidates = top_candidates(logits, std::min(most, logits.size()));
  candidates.resize(std::min<std::size_t>(candidates.size(), most));  // ties of the last
  const float logit = logits[id];
  Prediction prediction{{id, probability(logit)}, 1 + (logits.array() > logit).count(), {}};
  for (const Candidate& one : candidates) prediction.best.push_back({one.id, probability(one.score)});
  return prediction;
}

/// x [m, d] after the decoder's last norm, of ids [m] -> the predictions of ids [first, end), first >= 1.
inline std::vector<Prediction> predictions(const Decoder& w, const Matrix& x, std::span<const TokenId> ids,
                                           Index first, Index end) {
  constexpr Index block = 16;  // rows of logits [rows, vocab] at a time: a vocabulary is large
  std::vector<Prediction> list;
  for (Index at = first; at < end; at += block) {
    const Index rows = std::min(block, end - at);
    const Matrix logits = logits_of(w, x.middleRows(at - 1, rows));
    for (Index row = 0; row < rows; ++row)
      list.push_back(prediction_of(logits.row(row), ids[static_cast<std::size_t>(at + row)]));
  }
  return list;
}

}  // namespace look
