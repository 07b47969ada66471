// Beam search: num_beams texts grow side by side, and the best of those that end are the answer.
//
//   score(text) = sum of log p(token)                              while the text grows
//               = sum of log p(token) / tokens^length_penalty      when it has ended (finished_beams.hpp)
//
// Each step takes the num_beams * max(2, number of eos ids + 1) best continuations of the running texts, so
// that num_beams are left when some of them end.
//
// Reference: transformers generation/utils.py GenerationMixin._beam_search
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "../decoder.hpp"
#include "../progress.hpp"
#include "../sampling.hpp"
#include "finished_beams.hpp"
#include "logits_processors.hpp"

namespace t5gemma2 {

namespace beam_search_detail {

/// A running text and a token that may follow it.
struct Continuation {
  std::int32_t beam;
  TokenId id;
  float score;  // of the text with this token
};

/// Keeps `count` of the continuations, drawn by their probability, each at most once, in the order of draws.
inline void keep_drawn(std::vector<Continuation>& all, std::size_t count, std::mt19937_64& random) {
  std::erase_if(all, [](const Continuation& c) { return c.score == impossible; });
  if (all.empty()) fail_without_token();
  std::ranges::sort(all, std::greater(), &Continuation::score);
  std::vector<double> p = probabilities(all);
  std::vector<Continuation> drawn;
  for (double whole = 1; drawn.size() < std::min(count, all.size());) {
    const std::size_t i = draw(p, random, whole);
    if (p[i] <= 0) break;  // those left have no probability
    drawn.push_back(all[i]);
    whole -= std::exchange(p[i], 0.0);
  }
  all = std::move(drawn);
}

/// Scores [vocab]: those of the candidates, and `impossible` for all other tokens.
inline Vector only(const std::vector<Candidate>& candidates, Index vocab_size) {
  Vector scores = Vector::Constant(vocab_size, impossible);
  for (const auto& [id, score] : candidates) scores[id] = score;
  return scores;
}

/// log p of the tokens [vocab] that may follow a beam, given their logits.
inline Vector log_probabilities(Vector logits, const Beam& beam, const GenerateOptions& options,
                                const LogitsProcessors& process) {
  const Index vocab_size = logits.size(), least = std::ssize(options.config.eos_token_id) + 1;
  log_softmax(logits);
  process(logits, beam.ids);
  if (options.sample) logits = only(candidates_of(std::move(logits), options.config, least), vocab_size);
  if (options.config.renormalize_logits) log_softmax(logits);
  return logits;
}

/// The best continuations of the running texts, best first, or some drawn, in the order of the draws; logits
/// are [beams, vocab].
inline std::vector<Continuation> continuations(const Matrix& logits, const std::vector<Beam>& beams,
                                               const GenerateOptions& options,
                                               const LogitsProcessors& process, std::mt19937_64& random) {
  const GenerationConfig& config = options.config;
  const std::size_t count = std::max(std::size_t{2}, config.eos_token_id.size() + 1) * beams.size();
  std::vector<Continuation> all;
  all.reserve(static_cast<std::size_t>(logits.size()));
  for (std::size_t i = 0; i < beams.size(); ++i) {
    const Vector scores = log_probabilities(logits.row(static_cast<Index>(i)), beams[i], options, process);
    for (Index id = 0; id < scores.size(); ++id)
      all.push_back({static_cast<std::int32_t>(i), static_cast<TokenId>(id), scores[id] + beams[i].score});
  }
  if (options.sample)
    keep_drawn(all, count, random);
  else
    keep_top(all, count);
  return all;
}

/// The texts with their continuations.
inline std::vector<Beam> longer(const std::vector<Beam>& beams, const std::vector<Continuation>& next) {
  std::vector<Beam> texts;
  for (const auto& [beam, id, score] : next) {
    texts.push_back({beams[static_cast<std::size_t>(beam)].ids, score});
    texts.back().ids.push_back(id);
  }
  return texts;
}

/// Advances the decoder by these continuations -> logits [beams, vocab] of the tokens that follow; `states`
/// then holds one state for each continuation. The last continuation of a state moves it, the others copy it.
inline Matrix advance(const Decoder& w, const std::vector<Continuation>& going,
                      std::vector<DecoderState>& states) {
  std::vector<DecoderState> next;
  std::vector<TokenId> ids;
  for (auto one = going.begin(); one != going.end(); ++one) {
    DecoderState& state = states[static_cast<std::size_t>(one->beam)];
    const bool again = std::ranges::count(one + 1, going.end(), one->beam, &Continuation::beam) > 0;
    next.push_back(again ? state : std::move(state));
    ids.push_back(one->id);
  }
  states = std::move(next);
  return decode_together(w, states, ids);
}

}  // namespace beam_search_detail

/// Whether a text with these ids, the decoder prompt's first, has ended.
using HasEnded = std::function<bool(std::span<const TokenId>)>;

/// H [n, d] and the decoder prompt (at least one id) -> the num_return_sequences best continuations of it,
/// best first, or as many as have ended. Progress counts tokens. Throws Error for an id outside the
/// vocabulary, for logits that are not finite, and where the options do not go together;
/// std::invalid_argument where w is incomplete or an argument is out of range.
inline std::vector<Beam> beam_search(const Decoder& w, const Matrix& H, const std::vector<TokenId>& prompt,
                                     const GenerateOptions& options, const HasEnded& has_ended,
                                     const Progress& progress = {}) {
  using namespace beam_search_detail;
  check(w);
  check_argument(static_cast<bool>(has_ended), "has_ended", "a function", "none");
  const LogitsProcessors process(options, std::ssize(prompt), w.config.vocab_size);
  const Index most = length_limits(options.config, std::ssize(prompt)).most - std::ssize(prompt);
  if (most == 0) return {Beam{prompt}};
  const auto num_beams = static_cast<std::size_t>(options.config.num_beams);
  std::mt19937_64 random(options.seed);
  DecoderState start = start_decoder(w, H, progress);
  const Vector first = decode(w, start, prompt, progress);
  Matrix logits = first.transpose().replicate(options.config.num_beams, 1);
  std::vector<DecoderState> states(num_beams, start);
  std::vector<Beam> beams(num_beams, Beam{prompt, out});  // all the same text, so only the first has a score
  beams[0].score = 0;
  Finished finished(options.config, most);
  for (Index made = 1; made <= most; ++made) {
    std::vector<Continuation> next = continuations(logits, beams, options, process, random);
    std::vector<Beam> texts = longer(beams, next);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      texts[i].ended = made == most || has_ended(texts[i].ids);
      if (texts[i].ended) next[i].score += out;
    }
    const bool all_ended = std::ranges::all_of(texts, &Beam::ended);
    finished.add(std::move(texts), made);
    keep_top(next, num_beams);
    if (all_ended || !finished.open_to(next[0].score, made)) break;
    if (progress) progress(made, 0);
    beams = longer(beams, next);
    logits = advance(w, next, states);
  }
  return finished.best();
}

}  // namespace t5gemma2
