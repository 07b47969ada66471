// The softmax weights of merged attention, word by word, taken from a trace.
//
//   weights [words, layers, heads, columns]   columns: the n tokens of the prompt, then the decoder's words
//
// A word's row is the mean over its tokens of the softmax that predicted each (that of the token before it);
// the column of a decoder's word is the sum over its tokens. So each row sums to 1. Columns belong to parts:
// 0 is the prompt's text, 1 the first image, ..., the last one the decoder's own past.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "look_words.hpp"
#include "t5gemma2/trace.hpp"

namespace look {

/// The number of words whose weights fit into a page of about `megabytes`; 1 at least.
inline Index most_words(const TextConfig& decoder, Index columns, double megabytes) {
  constexpr double digits_per_byte = 4.0 / 3;  // base64
  const Index bytes_a_word = decoder.num_hidden_layers * decoder.num_attention_heads * columns;
  return std::max<Index>(1, static_cast<Index>(megabytes * 1e6 / digits_per_byte) / bytes_a_word);
}

class Weights {
 public:
  /// Rows for `shown` words from `first_shown` on, which is above 0: nothing predicts the first word.
  Weights(const TextConfig& decoder, std::span<const Piece> prompt, std::span<const Piece> words,
          Index first_shown, Index shown)
      : layers_(decoder.num_hidden_layers), heads_(decoder.num_attention_heads), words_(words) {
    shown_ = words.subspan(static_cast<std::size_t>(first_shown), static_cast<std::size_t>(shown));
    for (const Piece& piece : prompt) {
      const Index part = piece.kind == PieceKind::image ? ++images_ : 0;
      part_of_.insert(part_of_.end(), static_cast<std::size_t>(piece.size), part);
    }
    prompt_columns_ = std::ssize(part_of_);
    part_of_.insert(part_of_.end(), words.size(), images_ + 1);
    values_ = Matrix::Zero(shown * layers_ * heads_, std::ssize(part_of_));
  }

  /// The trace to give to the decoder.
  Trace trace() {
    const auto ends = [](const std::string& name, const char* end) { return name.ends_with(end); };
    return {.report =
                [this, ends](const std::string& name, const std::vector<Index>& shape, const float* values) {
                  const bool own = ends(name, ".self_attn.weights");
                  if (own || ends(name, ".self_attn.cross_weights")) add(layer_of(name), own, shape, values);
                },
            .wants = [ends](const std::string& name) { return ends(name, "weights"); }};
  }

  Index parts() const { return images_ + 2; }

  /// The weights in a byte each: `sums` [rows, parts] of each row in each part, and `levels` [rows, columns]
  /// relative to the part's largest weight in the row, level = 255 sqrt(weight / largest). The weight is
  /// about sum * level^2 / (sum of level^2 in the part); the root keeps small weights apart.
  struct Packed {
    std::vector<float> sums;
    std::vector<std::uint8_t> levels;
  };
  Packed pack() const {
    Packed packed;
    packed.levels.reserve(static_cast<std::size_t>(values_.size()));
    for (Index row = 0; row < values_.rows(); ++row) {
      std::vector<float> sum(static_cast<std::size_t>(parts())), largest = sum;
      for (Index column = 0; column < values_.cols(); ++column) {
        const std::size_t part = part_of(column);
        sum[part] += values_(row, column);
        largest[part] = std::max(largest[part], values_(row, column));
      }
      packed.sums.insert(packed.sums.end(), sum.begin(), sum.end());
      for (Index column = 0; column < values_.cols(); ++column) {
        const float most = largest[part_of(column)];
        const float level = most > 0 ? 255 * std::sqrt(values_(row, column) / most) : 0;
        packed.levels.push_back(static_cast<std::uint8_t>(std::lround(level)));
      }
    }
    return packed;
  }

 private:
  std::size_t part_of(Index column) const {
    return static_cast<std::size_t>(part_of_[static_cast<std::size_t>(column)]);
  }

  /// "model.decoder.layers.7.self_attn.weights" -> 7
  static Index layer_of(const std::string& name) {
    const std::string_view before = "layers.";
    return std::stoll(name.substr(name.find(before) + before.size()));
  }

  /// values [1, heads, m, m] on the decoder's own tokens, or [1, heads, m, n] on the encoder's.
  void add(Index layer, bool own, const std::vector<Index>& shape, const float* values) {
    const Index m = shape[2], keys = shape[3];
    for (Index word = 0; word < std::ssize(shown_); ++word)
      for (Index head = 0; head < heads_; ++head) {
        const Piece& tokens = shown_[static_cast<std::size_t>(word)];
        const Eigen::Map<const Matrix> by_token(values + (head * m + tokens.first - 1) * keys, tokens.size,
                                                keys);
        const Eigen::RowVectorXf mean = by_token.colwise().mean();
        auto row = values_.row((word * layers_ + layer) * heads_ + head);
        if (own)
          for (Index i = 0; i < std::ssize(words_); ++i) {
            const Piece& past = words_[static_cast<std::size_t>(i)];
            row[prompt_columns_ + i] = mean.segment(past.first, past.size).sum();
          }
        else
          row.head(prompt_columns_) = mean;
      }
  }

  Index layers_, heads_, images_ = 0, prompt_columns_ = 0;
  std::span<const Piece> words_, shown_;
  std::vector<Index> part_of_;  // of each column
  Matrix values_;               // [words*layers*heads, columns]
};

}  // namespace look
