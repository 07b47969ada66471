// Token ids to text while they are being generated. Reference: tokenizers src/tokenizer/mod.rs DecodeStream.
#pragma once
#include <string>

#include "../tensor.hpp"
#include "piece_decoder.hpp"
#include "tokenizer.hpp"

namespace t5gemma2 {

/// Decodes id by id. The texts that push and finish return, joined, are the text that
/// Tokenizer::decode returns.
class TextStream {
 public:
  /// The tokenizer must live longer.
  explicit TextStream(const Tokenizer& tokenizer, bool show_special = false)
      : tokenizer_(&tokenizer), show_special_(show_special) {}
  explicit TextStream(Tokenizer&&, bool = false) = delete;

  /// The text that is certain now (whole UTF-8 characters, perhaps none). Throws Error on a negative id.
  std::string push(TokenId id) { return decoder_.push(tokenizer_->shown_piece(id, show_special_)); }

  /// The text of the byte pieces that still wait. To be called at the end.
  std::string finish() { return decoder_.finish(); }

 private:
  const Tokenizer* tokenizer_;
  bool show_special_;
  PieceDecoder decoder_;
};

}  // namespace t5gemma2
