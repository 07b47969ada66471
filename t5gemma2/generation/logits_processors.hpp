// The rules of generation_config.json that forbid, force or favour tokens before the next one is chosen. They
// change scores [vocab] of the token that follows `ids` in place; scores are logits, or in beam search
// log-probabilities. LogitsProcessors applies them in transformers' order.
//
// Unless they say otherwise, functions throw Error for an id outside the vocabulary. Each rule is a class
// of generation/logits_process.py.
//
// Reference: transformers generation/utils.py GenerationMixin._get_logits_processor
#pragma once
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "../checkpoint/generation_config.hpp"
#include "../embedding.hpp"
#include "../error.hpp"
#include "../sampling.hpp"
#include "../tensor.hpp"

namespace t5gemma2 {

/// Adds each bias to the score of its last id where `ids` end with the ids before that. Throws
/// std::invalid_argument for a bias without ids.
inline void bias_sequences(Vector& scores, std::span<const TokenId> ids,
                           std::span<const SequenceBias> biases) {
  if (biases.empty()) return;
  Vector sum = Vector::Zero(scores.size());
  for (const auto& [sequence, bias] : biases) {
    check_argument(!sequence.empty(), "sequence_bias ids", "one or more", "none");
    check_ids(sequence, scores.size(), "sequence_bias");
    const std::span before = std::span(sequence).first(sequence.size() - 1);
    if (before.size() <= ids.size() && std::ranges::equal(before, ids.last(before.size())))
      sum[sequence.back()] += bias;
  }
  scores += sum;
}

/// Divides the score of every id in `ids` by the penalty where it is above 0, and multiplies it where it is
/// below; once, however often the id occurs. A penalty below 1 favours these ids.
inline void penalise_repetition(Vector& scores, std::span<const TokenId> ids, double penalty) {
  generation_config_detail::check_positive(penalty, "repetition penalty");
  if (penalty == 1) return;
  check_ids(ids, scores.size(), "repetition penalty");
  const auto factor = static_cast<float>(penalty);
  std::vector<TokenId> seen(ids.begin(), ids.end());
  std::ranges::sort(seen);
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (const TokenId id : seen) scores[id] = scores[id] < 0 ? scores[id] * factor : scores[id] / factor;
}

/// Makes `ids` impossible; ids beyond the vocabulary are ignored, as by transformers.
inline void forbid(Vector& scores, std::span<const TokenId> ids) {
  for (const TokenId id : ids) {
    check_argument(id >= 0, "forbidden token id", "0 or more", id);
    if (id < scores.size()) scores[id] = impossible;
  }
}

/// Forbids each token that would complete, at the end of `ids`, an n-gram of `text`; n = 0 forbids none.
inline void forbid_ngrams_of(Vector& scores, std::span<const TokenId> text, std::span<const TokenId> ids,
                             Index n) {
  check_argument(n >= 0, "n-gram size", "0 or more", n);
  const auto size = static_cast<std::size_t>(n);
  if (n == 0 || ids.size() + 1 < size) return;
  const std::span end = ids.last(size - 1);
  for (std::size_t at = 0; at + size <= text.size(); ++at)
    if (std::ranges::equal(text.subspan(at, size - 1), end)) forbid(scores, text.subspan(at + size - 1, 1));
}

/// Forbids all tokens but `ids`.
inline void force(Vector& scores, std::span<const TokenId> ids) {
  check_ids(ids, scores.size(), "forced tokens");
  scores.setConstant(impossible);
  for (const TokenId id : ids) scores[id] = 0;
}

/// Adds |score| * (factor^tokens - 1) to the score of each eos id, at most the largest float32; ids beyond
/// the vocabulary are ignored.
inline void favour_the_end(Vector& scores, std::span<const TokenId> eos, double factor, Index tokens) {
  generation_config_detail::check_positive(factor, "exponential_decay_length_penalty factor");
  constexpr double most = std::numeric_limits<float>::max();
  const double growth = std::min(std::pow(factor, static_cast<double>(tokens)) - 1, most);
  const Vector before = scores;  // an id may stand twice in eos
  for (const TokenId id : eos)
    if (id >= 0 && id < scores.size() && std::isfinite(before[id]))
      scores[id] = static_cast<float>(
          std::min(double{before[id]} + std::abs(before[id]) * static_cast<float>(growth), most));
}

/// The log softmax in place: logits become log p. Where all tokens are impossible they stay so.
inline void log_softmax(Vector& scores) {
  check_argument(scores.size() > 0, "scores", "one for each token", "none");
  const float largest = scores.maxCoeff();
  if (largest == impossible) return;
  scores.array() -= largest;
  scores.array() -= static_cast<float>(std::log(scores.cast<double>().array().exp().sum()));
}

/// All rules of one request.
class LogitsProcessors {
 public:
  /// `options` must outlive this object; `prompt` is the number of ids in the decoder prompt. Throws Error
  /// where the options do not go together, or not with this prompt; std::invalid_argument where one is out of
  /// range, and where `prompt` is 0.
  LogitsProcessors(const GenerateOptions& options, Index prompt, Index vocab_size)
      : config_(options.config),
        encoder_ids_(options.encoder_input_ids),
        repeat_last_n_(options.repeat_last_n),
        prompt_(prompt),
        vocab_size_(vocab_size),
        limits_(length_limits(options.config, prompt)) {
    if (prompt < 1) throw std::invalid_argument("LogitsProcessors: expected a decoder prompt, found no ids");
    check(options, vocab_size);
    const std::set<TokenId> eos(config_.eos_token_id.begin(), config_.eos_token_id.end());
    for (const auto& word : config_.bad_words_ids)
      if (word.size() > 1 || !eos.contains(word[0])) bad_words_.push_back({word, impossible});
  }
  LogitsProcessors(GenerateOptions&&, Index, Index) = delete;

  /// scores [vocab] of the token that follows `ids`, the decoder prompt's among them. Throws Error when a
  /// score is not finite, std::invalid_argument for scores of another size and for fewer ids than the decoder
  /// prompt has.
  void operator()(Vector& scores, std::span<const TokenId> ids) const {
    check_shape(scores, vocab_size_, 1, "scores");
    check_argument(std::ssize(ids) >= prompt_, "ids", "the decoder prompt's, and more", ids.size());
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
  /// The number of last ids, of `size`, that the repetition penalty looks at.
  std::size_t repeat_last_n(std::size_t size) const {
    return repeat_last_n_ ? std::min(size, static_cast<std::size_t>(*repeat_last_n_)) : size;
  }

  const GenerationConfig& config_;
  const std::vector<TokenId>& encoder_ids_;
  std::optional<Index> repeat_last_n_;
  Index prompt_, vocab_size_;
  LengthLimits limits_;
  std::vector<SequenceBias> bad_words_;
};

}  // namespace t5gemma2
