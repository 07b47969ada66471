// The next token, given the scores after generation/logits_processors.hpp (the paper leaves out sampling):
//
//   greedy     the first of the tokens with the largest score
//   sampling   a draw from the softmax of scores / temperature, over the candidates that are left by, in
//              transformers' order:
//                top_k       the k largest
//                top_p       of these the smallest set that holds probability top_p
//                min_p       of these those with at least min_p times the largest probability
//                typical_p   of these the most typical that hold probability typical_p
//
// The programs' flags for these have llama.cpp's names; the order is transformers'.
//
// Reference: transformers generation/logits_process.py TemperatureLogitsWarper, TopKLogitsWarper,
// TopPLogitsWarper, MinPLogitsWarper, TypicalLogitsWarper
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/generation_config.hpp"
#include "error.hpp"
#include "tensor.hpp"

namespace t5gemma2 {

/// The score of a token that cannot be chosen.
inline constexpr float impossible = -std::numeric_limits<float>::infinity();

/// A token and its score.
struct Candidate {
  TokenId id;
  float score;
};

[[noreturn]] inline void fail_without_token() {
  throw Error("logits: expected a token that may come next, found none: the rules forbid all");
}

/// The first of the largest scores. Throws Error when no token is possible, std::invalid_argument where
/// there are no scores or one is NaN.
inline TokenId most_likely(const Vector& scores) {
  check_argument(scores.size() > 0, "scores", "one for each token", "none");
  check_argument(!scores.hasNaN(), "scores", "numbers", "NaN");
  Index largest = 0;
  if (scores.maxCoeff(&largest) == impossible) fail_without_token();
  return static_cast<TokenId>(largest);
}

/// The top_k largest of the possible tokens (all of them where top_k is 0) and those equal to the last of
/// these, largest first, equal scores by id.
inline std::vector<Candidate> top_candidates(const Vector& scores, Index top_k) {
  check_argument(top_k >= 0, "top_k", "0 or more", top_k);
  std::vector<Candidate> all;
  for (Index id = 0; id < scores.size(); ++id)
    if (std::isfinite(scores[id])) all.push_back({static_cast<TokenId>(id), scores[id]});
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.score != b.score ? a.score > b.score : a.id < b.id;
  };
  if (const auto k = static_cast<std::size_t>(top_k); k > 0 && k < all.size()) {
    std::nth_element(all.begin(), all.begin() + top_k - 1, all.end(), before);
    const float least = all[k - 1].score;
    std::erase_if(all, [&](const Candidate& c) { return c.score < least; });
  }
  std::sort(all.begin(), all.end(), before);
  return all;
}

/// softmax over candidates (anything with a score), which are sorted, largest first. Throws
/// std::invalid_argument for no candidates, and for scores that are not finite or not sorted.
template <class Scored>
std::vector<double> probabilities(const std::vector<Scored>& candidates) {
  check_argument(!candidates.empty(), "candidates", "one or more", "none");
  std::vector<double> p;
  for (const Scored& c : candidates) p.push_back(std::exp(double{c.score} - double{candidates[0].score}));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  check_argument(std::isfinite(sum), "candidates", "finite scores, largest first", "others");
  for (double& one : p) one /= sum;
  return p;
}

/// Keeps the largest candidates until they hold top_p of the probability; at least `least`.
inline void keep_top_p(std::vector<Candidate>& candidates, double top_p, std::size_t least = 1) {
  generation_config_detail::check_probability(top_p, "top_p");
  if (top_p == 1) return;
  const std::vector<double> p = probabilities(candidates);
  std::size_t kept = 0;
  for (double held = 0; kept < p.size() && (kept < least || held < top_p); ++kept) held += p[kept];
  candidates.resize(kept);
}

/// Keeps the candidates with at least min_p of the largest one's probability; at least `least`.
inline void keep_min_p(std::vector<Candidate>& candidates, double min_p, std::size_t least = 1) {
  generation_config_detail::check_probability(min_p, "min_p");
  if (min_p == 0) return;
  const std::vector<double> p = probabilities(candidates);
  std::size_t kept = std::min(least, p.size());
  while (kept < p.size() && p[kept] >= min_p * p[0]) ++kept;
  candidates.resize(kept);
}

/// Keeps the candidates whose surprise, -log p, is nearest to the mean surprise (the entropy) until they hold
/// typical_p of the probability, and those equally near as the last of these; at least `least`.
inline void keep_typical(std::vector<Candidate>& candidates, double typical_p, std::size_t least = 1) {
  check_argument(typical_p > 0 && typical_p <= 1, "typical_p", "a number above 0, at most 1", typical_p);
  if (typical_p == 1) return;
  const std::vector<double> p = probabilities(candidates);
  double entropy = 0;
  for (const double one : p) entropy -= one > 0 ? one * std::log(one) : 0;
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto strangeness = [&](std::size_t i) { return std::abs(-std::log(p[i]) - entropy); };
  std::ranges::stable_sort(order, {}, strangeness);
  std::size_t kept = 0;
  for (double held = 0; kept < p.size() && (kept < least || held < typical_p); ++kept) held += p[order[kept]];
  while (kept < p.size() && strangeness(order[kept]) <= strangeness(order[kept - 1])) ++kept;
  order.resize(kept);
  std::ranges::sort(order);
  std::vector<Candidate> typical;
  for (const std::size_t i : order) typical.push_back(candidates[i]);
  candidates = std::move(typical);
}

/// The candidates of a draw, largest first; at least `least` where there are as many. Throws Error when the
/// temperature is so small that a score overflows, and when no token is possible; std::invalid_argument for
/// fields of c that are out of range.
inline std::vector<Candidate> candidates_of(Vector scores, const GenerationConfig& c, Index least = 1) {
  generation_config_detail::check_search(c, true);
  check_argument(least > 0, "candidates_of least", "1 or more", least);
  const auto at_least = static_cast<std::size_t>(least);
  const auto finite = [&] { return scores.array().isFinite().count(); };
  if (scores.hasNaN() || (scores.array() == -impossible).any())
    throw Error("scores: expected finite numbers, found NaN or infinity");
  const Index possible = finite();
  scores /= static_cast<float>(c.temperature);
  if (finite() != possible)
    throw Error("logits / temperature: expected finite numbers, found NaN or infinity");
  std::vector<Candidate> candidates = top_candidates(scores, c.top_k == 0 ? 0 : std::max(c.top_k, least));
  if (candidates.empty()) fail_without_token();
  keep_top_p(candidates, c.top_p, at_least);
  keep_min_p(candidates, c.min_p, at_least);
  keep_typical(candidates, c.typical_p, at_least);
  return candidates;
}

/// An index i with probability p[i] / whole, where `whole` is the sum of all p. Throws std::invalid_argument
/// for an empty p or a NaN in it.
inline std::size_t draw(std::span<const double> p, std::mt19937_64& random, double whole = 1) {
  check_argument(!p.empty(), "draw p", "one or more", "none");
  // Not std::uniform_real_distribution: its numbers differ between standard libraries, and a seed must give
  // the same text everywhere.
  double left = static_cast<double>(random() >> 11) * 0x1p-53 * whole;
  for (std::size_t i = 0; i < p.size(); ++i)
    if ((left -= p[i]) < 0) return i;
  check_argument(!std::isnan(left), "draw p", "numbers", "NaN");
  return p.size() - 1;  // rounding left a little
}

/// A token, drawn by its probability. Throws as candidates_of does.
inline TokenId draw_token(const Vector& scores, const GenerationConfig& c, std::mt19937_64& random) {
  const std::vector<Candidate> candidates = candidates_of(scores, c);
  return candidates[draw(probabilities(candidates), random)].id;
}

}  // namespace t5gemma2
