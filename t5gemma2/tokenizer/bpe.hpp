// Byte pair encoding: text to pieces, by merging neighbours. The SentencePiece library does it, on scores
// that give the ids of the tokenizers library (see merges.hpp). Reference: sentencepiece src/bpe_model.cc;
// tokenizers src/models/bpe/model.rs BPE.
#pragma once
#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "../error.hpp"
#include "../tensor.hpp"
#include "sentencepiece_model.hpp"
#include "vocabulary.hpp"

namespace t5gemma2 {

class Bpe {
 public:
  /// Throws std::invalid_argument where check(Vocabulary) does, and Error naming `source` when SentencePiece
  /// refuses the pieces.
  Bpe(const Vocabulary& vocabulary, const std::string& source)
      : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
    const auto loaded = processor_->LoadFromSerializedProto(to_sentencepiece(vocabulary));
    if (!loaded.ok())
      throw Error(source + ": expected pieces for SentencePiece, found: " + loaded.ToString());
    for (const Piece& piece : vocabulary.pieces)
      if (piece.type == PieceType::normal) forbid_cuts(piece.text);
  }

  /// Appends the ids of `text`, which is normalized UTF-8 without added tokens. SentencePiece needs 65 bytes
  /// of memory per byte of text and time that grows faster than the text, so long texts are cut, only before
  /// a '▁' where no piece could hold the characters on both sides: merging never crosses such a place, so the
  /// ids stay the same.
  void encode(std::string_view text, std::vector<TokenId>& ids) const {
    constexpr std::size_t enough = 1024;
    const auto may_cut = [&](std::size_t at) {
      return text.substr(at).starts_with("▁") && !no_cut_behind_[static_cast<unsigned char>(text[at - 1])];
    };
    std::vector<int> part;
    while (!text.empty()) {
      std::size_t cut = std::min(enough, text.size());
      while (cut < text.size() && !may_cut(cut)) ++cut;
      const auto encoded = processor_->Encode(text.substr(0, cut), &part);
      if (!encoded.ok()) throw Error("text: SentencePiece failed: " + encoded.ToString());
      ids.insert(ids.end(), part.begin(), part.end());
      text.remove_prefix(cut);
    }
  }

  /// The id of the piece with this text; that of <unk> when there is none.
  TokenId id_of(std::string_view text) const { return processor_->PieceToId(text); }

  /// The text of the piece `id`. Throws std::invalid_argument when the vocabulary has no such id.
  std::string_view piece(TokenId id) const {
    check_argument(id >= 0 && id < processor_->GetPieceSize(), "piece", "an id of the vocabulary", id);
    return processor_->IdToPiece(id);
  }

 private:
  /// Marks the byte before each '▁' that stands behind another character of a piece.
  void forbid_cuts(std::string_view piece) {
    for (std::size_t at = piece.find("▁", 1); at != piece.npos; at = piece.find("▁", at + 1)) {
      no_cut_behind_[static_cast<unsigned char>(piece[at - 1])] = true;
    }
  }

  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  std::array<bool, 256> no_cut_behind_{};
};

}  // namespace t5gemma2
