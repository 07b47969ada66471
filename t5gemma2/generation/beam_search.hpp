// Beam search: several texts grow side by side, and the best of those that end are the answer.
//
//   score(text) = sum of log p(token)           of a running text
//               = that / tokens^length_penalty  of a finished one
//
// Each step the num_beams running texts are continued by the tokens that make the best of all, num_beams
// times the number of eos ids and one more of them, so that num_beams are left when some end. The paper
// leaves all of it out. Reference: transformers GenerationMixin._beam_search.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "../decoder.hpp"
#include "../progress.hpp"
#include "../sampling.hpp"
#include "logits_processors.hpp"

namespace t5gemma2 {

/// A text and its score.
struct Beam {
  std::vector<TokenId> ids;  // the decoder prompt's first
  float score = 0;
  bool ended = false;
};

namespace beam_search_detail {

/// Added to the score of what does not count any more, which is then far below every other.
inline constexpr float out = -1e9f;

/// A running text and a token that may follow it.
struct Continuation {
  std::int32_t beam;
  TokenId id;
  float score;  // of both
};

/// The k with the largest scores, largest first. Equal scores come in the order that torch.topk gives them.
template <class Scored>
void keep_top(std::vector<Scored>& all, std::size_t k) {
  const auto before = [](const Scored& a, const Scored& b) { return a.score > b.score; };
  k = std::min(k, all.size());
  const auto end = all.begin() + static_cast<std::ptrdiff_t>(k);
  if (k * 64 <= all.size()) {
    std::partial_sort(all.begin(), end, all.end(), before);
  } else {
    std::nth_element(all.begin(), end - 1, all.end(), before);
    std::sort(all.begin(), end - 1, before);
  }
  all.resize(k);
}

/// `count` of the continuations, drawn one after the other, each at most once.
inline void keep_drawn(std::vector<Continuation>& all, std::size_t count, std::mt19937_64& random) {
  std::erase_if(all, [](const Continuation& c) { return c.score == impossible; });
  if (all.empty()) fail_without_token();
  std::ranges::sort(all, std::greater(), &Continuation::score);
  std::vector<double> p = probabilities(all);
  std::vector<Continuation> drawn;
  for (double whole = 1; drawn.size() < std::min(count, all.size());) {
    const std::size_t i = draw(p, random, whole);
    if (p[i] <= 0) break;  // what is left has no probability
    drawn.push_back(all[i]);
    whole -= std::exchange(p[i], 0.0);
  }
  all = std::move(drawn);
}

/// The scores of these candidates; all other tokens are impossible.
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

/// The best texts that have ended, best first; places that none has taken yet hold a Beam that has not.
class Finished {
 public:
  /// most: the largest number of new tokens.
  Finished(const GenerationConfig& config, Index most)
      : config_(config),
        most_(most),
        best_(static_cast<std::size_t>(config.num_beams), Beam{{}, out, false}) {}

  /// The first num_beams of `texts`, of `tokens` new ones each, where they have ended.
  void add(std::vector<Beam> texts, Index tokens) {
    for (std::size_t rank = 0; rank < texts.size(); ++rank) {
      Beam& text = texts[rank];
      text.ended = text.ended && rank < best_.size() && text.score > impossible;
      const float score = by_length(text.score, tokens);
      text.score = text.ended ? std::max(score, out / 2) : score + out;
    }
    const std::size_t places = best_.size();
    best_.insert(best_.end(), std::make_move_iterator(texts.begin()), std::make_move_iterator(texts.end()));
    keep_top(best_, places);
  }

  /// Whether a running text of `tokens` new ones and this score might still get among them.
  bool open_to(float score, Index tokens) const {
    const bool full = std::ranges::all_of(best_, &Beam::ended);
    if (score <= out / 2 || (full && config_.early_stopping == EarlyStopping::yes)) return false;
    const bool longest = config_.early_stopping == EarlyStopping::never && config_.length_penalty > 0;
    return !full || by_length(score, longest ? most_ : tokens) > best_.back().score;
  }

  std::vector<Beam> best() const {
    std::vector<Beam> texts;
    std::ranges::copy_if(best_, std::back_inserter(texts), &Beam::ended);
    if (texts.empty()) fail_without_token();
    texts.resize(std::min(texts.size(), static_cast<std::size_t>(config_.num_return_sequences)));
    return texts;
  }

 private:
  float by_length(float score, Index tokens) const {
    constexpr double least = std::numeric_limits<float>::lowest();
    const double penalty = std::pow(static_cast<double>(tokens), config_.length_penalty);
    return static_cast<float>(std::max(double{score} / penalty, least));
  }

  const GenerationConfig& config_;
  Index most_;
  std::vector<Beam> best_;
};

/// What may follow the running texts, best or first drawn first, given their logits [beams, vocab].
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
  options.sample ? keep_drawn(all, count, random) : keep_top(all, count);
  return all;
}

/// The texts of these continuations.
inline std::vector<Beam> longer(const std::vector<Beam>& beams, const std::vector<Continuation>& next) {
  std::vector<Beam> texts;
  for (const auto& [beam, id, score] : next) {
    texts.push_back({beams[static_cast<std::size_t>(beam)].ids, score});
    texts.back().ids.push_back(id);
  }
  return texts;
}

/// The states behind these continuations, and the logits of what follows. The last to use a state takes it
/// over, others copy it.
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
/// best first; fewer where there are fewer. Progress counts tokens. Throws Error for an id outside the
/// vocabulary, for logits that are not finite, and where the options do not go together.
inline std::vector<Beam> beam_search(const Decoder& w, const Matrix& H, const std::vector<TokenId>& prompt,
                                     const GenerateOptions& options, const HasEnded& has_ended,
                                     const Progress& progress = {}) {
  using namespace beam_search_detail;
  const LogitsProcessors process(options, std::ssize(prompt), w.config.vocab_size);
  const Index most = length_limits(options.config, std::ssize(prompt)).most - std::ssize(prompt);
  if (most == 0) return {Beam{prompt}};
  const auto num_beams = static_cast<std::size_t>(options.config.num_beams);
  std::mt19937_64 random(options.seed);
  DecoderState start = start_decoder(w, H, progress);
  const Vector first = decode(w, start, prompt, progress);
  Matrix logits = first.transpose().replicate(options.config.num_beams, 1);
  std::vector<DecoderState> states(num_beams, start);
  std::vector<Beam> beams(num_beams, Beam{prompt, out});  // all the same text: only the first counts
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
