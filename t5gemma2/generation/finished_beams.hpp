// The finished texts of beam search, and when there are enough of them. A finished text's score is
//
//   sum of log p(token) / tokens^length_penalty
//
// Reference: transformers generation/utils.py GenerationMixin._update_finished_beams,
// GenerationMixin._check_early_stop_heuristic, GenerationMixin._beam_search_has_unfinished_sequences
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include "../checkpoint/generation_config.hpp"
#include "../sampling.hpp"
#include "../tensor.hpp"

namespace t5gemma2 {

/// A text and its score.
struct Beam {
  std::vector<TokenId> ids;  // the decoder prompt's, then new ones
  float score = 0;
  bool ended = false;
};

namespace beam_search_detail {

/// Added to the score of a text that no longer counts, which puts it far below every other.
inline constexpr float out = -1e9f;

/// Keeps the k with the largest scores, largest first; equal scores are in torch.topk's order.
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

/// The num_beams best texts that have ended, best first; a free place holds a Beam that has not ended.
class Finished {
 public:
  /// `config` must outlive this object; `most` is the largest number of new tokens.
  Finished(const GenerationConfig& config, Index most)
      : config_(config),
        most_(most),
        best_(static_cast<std::size_t>(config.num_beams), Beam{{}, out, false}) {}

  /// Adds those of the first num_beams of `texts` that have ended; each has `tokens` new tokens.
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

  /// Whether a running text with this score and `tokens` new tokens may still become one of the best.
  bool open_to(float score, Index tokens) const {
    const bool full = std::ranges::all_of(best_, &Beam::ended);
    if (score <= out / 2 || (full && config_.early_stopping == EarlyStopping::yes)) return false;
    const bool longest = config_.early_stopping == EarlyStopping::never && config_.length_penalty > 0;
    return !full || by_length(score, longest ? most_ : tokens) > best_.back().score;
  }

  /// At most num_return_sequences of them. Throws Error when no text has ended.
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

}  // namespace beam_search_detail

}  // namespace t5gemma2
