// Which token comes next, given the logits (the paper leaves this to the user). In the reference's order:
//
//   repetition penalty (ids the decoder holds already: logit > 0 is divided by it, else multiplied)
//   greedy: the first of the largest
//   or a draw from softmax of: logits / temperature, the top_k largest, the smallest set with probability >=
//   top_p, those with at least min_p times the largest probability
//
// Reference: transformers RepetitionPenaltyLogitsProcessor, Temperature-, TopK-, TopP-, MinPLogitsWarper.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "embedding.hpp"
#include "error.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

struct Sampling {
  bool greedy = true;
  float repetition_penalty = 1;  // > 0; 1 is off; also applies when greedy
  float temperature = 1;         // > 0
  Index top_k = 50;              // 0 is off
  float top_p = 1;               // 1 is off
  float min_p = 0;               // 0 is off
  std::uint64_t seed = 0;
};

/// A token and its logit.
struct Candidate {
  TokenId id;
  float logit;
};

/// logits [vocab], changed in place for every id that occurs in `ids`, once.
inline void penalise_repetition(Vector& logits, std::span<const TokenId> ids, float penalty) {
  if (penalty == 1) return;
  std::vector<TokenId> seen(ids.begin(), ids.end());
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (const TokenId id : seen) logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
}

/// The top_k largest (all where top_k is 0), with ties of the last, largest first; equal logits by id.
inline std::vector<Candidate> top_candidates(const Vector& logits, Index top_k) {
  std::vector<Candidate> all(static_cast<std::size_t>(logits.size()));
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] = {static_cast<TokenId>(i), logits[static_cast<Index>(i)]};
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  if (const auto k = static_cast<std::size_t>(top_k); k > 0 && k < all.size()) {
    std::nth_element(all.begin(), all.begin() + top_k - 1, all.end(), before);
    const float least = all[k - 1].logit;
    std::erase_if(all, [&](const Candidate& c) { return c.logit < least; });
  }
  std::sort(all.begin(), all.end(), before);
  return all;
}

/// softmax over candidates, largest first.
inline std::vector<double> probabilities(std::span<const Candidate> candidates) {
  std::vector<double> p;
  for (const Candidate& c : candidates) p.push_back(std::exp(double{c.logit} - double{candidates[0].logit}));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& one : p) one /= sum;
  return p;
}

/// Keeps the largest candidates until they hold top_p of the probability; at least one.
inline void keep_top_p(std::vector<Candidate>& candidates, float top_p) {
  if (top_p >= 1) return;
  const std::vector<double> p = probabilities(candidates);
  std::size_t kept = 0;
  for (double held = 0; kept < p.size() && (kept == 0 || held < double{top_p}); ++kept) held += p[kept];
  candidates.resize(kept);
}

/// Keeps the candidates with at least min_p of the largest one's probability.
inline void keep_min_p(std::vector<Candidate>& candidates, float min_p) {
  if (min_p <= 0) return;
  const std::vector<double> p = probabilities(candidates);
  std::size_t kept = 1;
  while (kept < p.size() && p[kept] >= double{min_p} * p[0]) ++kept;
  candidates.resize(kept);
}

class Sampler {
 public:
  explicit Sampler(const Sampling& sampling) : sampling_(sampling), random_(sampling.seed) {}

  /// logits [vocab] after the decoder's ids so far (bos and prefix included) -> the next id.
  /// Throws Error when a logit is not finite, or not after division by the temperature.
  TokenId next(Vector logits, std::span<const TokenId> ids) {
    check_finite(logits, "logits");
    penalise_repetition(logits, ids, sampling_.repetition_penalty);
    Index largest = 0;
    if (sampling_.greedy) return logits.maxCoeff(&largest), static_cast<TokenId>(largest);
    logits /= sampling_.temperature;
    check_finite(logits, "logits / temperature");
    std::vector<Candidate> candidates = top_candidates(logits, sampling_.top_k);
    keep_top_p(candidates, sampling_.top_p);
    keep_min_p(candidates, sampling_.min_p);
    return draw(candidates);
  }

 private:
  static void check_finite(const Vector& logits, const char* what) {
    if (!logits.allFinite())
      throw Error(std::string(what) + ": expected finite numbers, found NaN or infinity");
  }

  TokenId draw(std::span<const Candidate> candidates) {
    // Not std::uniform_real_distribution: its numbers differ between standard libraries, a seed's text must
    // not.
    double left = static_cast<double>(random_() >> 11) * 0x1p-53;
    const std::vector<double> p = probabilities(candidates);
    for (std::size_t i = 0; i < p.size(); ++i)
      if ((left -= p[i]) < 0) return candidates[i].id;
    return candidates.back().id;
  }

  Sampling sampling_;
  std::mt19937_64 random_;
};

}  // namespace t5gemma2
