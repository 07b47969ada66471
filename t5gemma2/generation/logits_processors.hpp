// What generation_config.json forbids, forces and favours, before the next token is chosen: scores [vocab] of
// what follows `ids`, changed in place. Scores are logits, or in beam search log-probabilities. The paper
// leaves all of it out. Functions stand in the reference's order, and LogitsProcessors applies them in it.
//
// Reference: transformers GenerationMixin._get_logits_processor and the ...LogitsProcessor classes.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "../checkpoint/generation_config.hpp"
#include "../error.hpp"
#include "../sampling.hpp"
#include "../tensor.hpp"

namespace t5gemma2 {

/// Adds each bias whose ids, but for the last, are the end of `ids`.
inline void bias_sequences(Vector& scores, std::span<const TokenId> ids,
                           std::span<const SequenceBias> biases) {
  if (biases.empty()) return;
  Vector sum = Vector::Zero(scores.size());
  for (const auto& [sequence, bias] : biases) {
    const std::span before = std::span(sequence).first(sequence.size() - 1);
    if (before.size() <= ids.size() && std::ranges::equal(before, ids.last(before.size())))
      sum[sequence.back()] += bias;
  }
  scores += sum;
}

/// Divides what is above 0 by the penalty and multiplies what is below, for every id that occurs in `ids`,
/// once. A penalty below 1 favours.
inline void penalise_repetition(Vector& scores, std::span<const TokenId> ids, double penalty) {
  if (penalty == 1) return;
  const auto factor = static_cast<float>(penalty);
  std::vector<TokenId> seen(ids.begin(), ids.end());
  std::ranges::sort(seen);
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (const TokenId id : seen) scores[id] = scores[id] < 0 ? scores[id] * factor : scores[id] / factor;
}

inline void forbid(Vector& scores, std::span<const TokenId> ids) {
  for (const TokenId id : ids)
    if (id < scores.size()) scores[id] = impossible;
}

/// Forbids what would make the end of `ids` an n-gram that stands in `text`.
inline void forbid_ngrams_of(Vector& scores, std::span<const TokenId> text, std::span<const TokenId> ids,
                             Index n) {
  const auto size = static_cast<std::size_t>(n);
  if (n == 0 || ids.size() + 1 < size) return;
  const std::span end = ids.last(size - 1);
  for (std::size_t at = 0; at + size <= text.size(); ++at)
    if (std::ranges::equal(text.subspan(at, size - 1), end)) forbid(scores, text.subspan(at + size - 1, 1));
}

/// Forbids all but `ids`.
inline void force(Vector& scores, std::span<const TokenId> ids) {
  scores.setConstant(impossible);
  for (const TokenId id : ids) scores[id] = 0;
}

/// Raises the eos ids by a power of the factor, `tokens` ids after its start.
inline void favour_the_end(Vector& scores, std::span<const TokenId> eos, double factor, Index tokens) {
  constexpr double most = std::numeric_limits<float>::max();
  const double growth = std::min(std::pow(factor, static_cast<double>(tokens)) - 1, most);
  const Vector before = scores;  // an id may stand twice in eos
  for (const TokenId id : eos)
    if (id < scores.size() && std::isfinite(before[id]))
      scores[id] = static_cast<float>(
          std::min(double{before[id]} + std::abs(before[id]) * static_cast<float>(growth), most));
}

/// log softmax: log p of each token, given its logit. Where none is possible, none becomes so.
inline void log_softmax(Vector& scores) {
  const float largest = scores.maxCoeff();
  if (largest == impossible) return;
  scores.array() -= largest;
  scores.array() -= static_cast<float>(std::log(scores.cast<double>().array().exp().sum()));
}

/// All of them, for one request.
class LogitsProcessors {
 public:
  /// `options` must live longer; prompt: the number of decoder ids at the start. Throws Error where the
  /// options do not go together, or not with this prompt.
  LogitsProcessors(const GenerateOptions& options, Index prompt, Index vocab_size)
      : config_(options.config),
        encoder_ids_(options.encoder_input_ids),
        repeat_last_n_(options.repeat_last_n),
        prompt_(prompt),
        limits_(length_limits(options.config, prompt)) {
    if (prompt < 1) throw std::invalid_argument("LogitsProcessors: expected a decoder prompt, found no ids");
    check(options, vocab_size);
    const std::set<TokenId> eos(config_.eos_token_id.begin(), config_.eos_token_id.end());
    for (const auto& word : config_.bad_words_ids)
      if (word.size() > 1 || !eos.contains(word[0])) bad_words_.push_back({word, impossible});
  }
  LogitsProcessors(GenerateOptions&&, Index, Index) = delete;

  /// scores [vocab] of what follows `ids`, the decoder prompt's among them. Throws Error when one is not
  /// finite.
  void operator()(Vector& scores, std::span<const TokenId> ids) const {
    if (!scores.allFinite()) throw Error("logits: expected finite numbers, found NaN or infinity");
    const GenerationConfig& c = config_;
    const auto size = std::ssize(ids);
    bias_sequences(scores, ids, c.sequence_bias);
    penalise_repetition(scores, encoder_ids_, 1 / c.encoder_repetition_penalty);
    penalise_repetition(scores, ids.last(repeat_last_n(ids.size())), c.repetition_penalty);
    forbid_ngrams_of(scores, ids, ids, c.no_repeat_ngram_size);
    forbid_ngrams_of(scores, encoder_ids_, ids, c.encoder_no_repeat_ngram_size);
    bias_sequences(scores, ids, bad_words_);
    if (size < limits_.least) forbid(scores, c.eos_token_id);
    if (c.forced_bos_token_id && size == 1) force(scores, std::span(&*c.forced_bos_token_id, 1));
    if (!c.forced_eos_token_id.empty() && size == limits_.most - 1) force(scores, c.forced_eos_token_id);
    if (const auto& decay = c.exponential_decay_length_penalty; decay && size > prompt_ + decay->start)
      favour_the_end(scores, c.eos_token_id, decay->factor, size - prompt_ - decay->start);
    forbid(scores, c.suppress_tokens);
    const bool begins_behind_bos = prompt_ == 1 && c.forced_bos_token_id;
    if (size == prompt_ + (begins_behind_bos ? 1 : 0)) forbid(scores, c.begin_suppress_tokens);
  }

 private:
  /// How many of `size` ids the repetition penalty counts.
  std::size_t repeat_last_n(std::size_t size) const {
    return repeat_last_n_ ? std::min(size, static_cast<std::size_t>(*repeat_last_n_)) : size;
  }

  const GenerationConfig& config_;
  const std::vector<TokenId>& encoder_ids_;
  std::optional<Index> repeat_last_n_;
  Index prompt_;
  LengthLimits limits_;
  std::vector<SequenceBias> bad_words_;
};

}  // namespace t5gemma2
