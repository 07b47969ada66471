// Tokens as a person reads them: the prompt's tokens, with those of each image as one piece, and the
// decoder's words. Where the model has no tokenizer (null here), texts are ids.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "t5gemma2/config.hpp"
#include "t5gemma2/tokenizer/tokenizer.hpp"
#include "token_text.hpp"

namespace look {

using namespace t5gemma2;

enum class PieceKind { text, special, image };

/// Tokens shown as one.
struct Piece {
  PieceKind kind = PieceKind::text;
  std::string text;
  Index first = 0, size = 1;  // its tokens

  Index end() const { return first + size; }
};

/// The words that are shown with weights and predictions: [first, first + size) of the decoder's words.
struct ShownWords {
  Index first = 0, size = 0;
  bool made = false;  // whether the decoder made them

  std::span<const Piece> of(std::span<const Piece> words) const {
    return words.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(size));
  }
};

/// Chinese, Japanese, Korean, emoji: written without spaces between words.
inline bool without_spaces(std::string_view character) { return character >= "⺀"; }

inline std::string_view last_character(std::string_view text) {
  std::size_t at = text.size();
  while (at > 0 && (static_cast<unsigned char>(text[--at]) & 0xC0) == 0x80) continue;
  return text.substr(at);
}

/// Whether `id` after the token `before` begins a new word.
inline bool begins_word(const Tokenizer* tokenizer, TokenId before, TokenId id) {
  if (tokenizer == nullptr || tokenizer->is_hidden(before) || tokenizer->is_hidden(id)) return true;
  if (tokenizer->byte_of(before) && tokenizer->byte_of(id)) return false;
  const std::string_view space = "▁", left = tokenizer->piece(before), right = tokenizer->piece(id);
  const auto breaks = [](char c) { return c == '\n' || c == '\t'; };
  if (breaks(left.back()) || breaks(right.front())) return true;
  if (left.ends_with(space)) return false;  // "▁" "1" "9": the word " 19"
  return right.starts_with(space) || without_spaces(last_character(left)) || without_spaces(right);
}

/// One token by itself; without a tokenizer its number.
inline std::string token_text(const Tokenizer* tokenizer, TokenId id) {
  return tokenizer == nullptr ? " " + std::to_string(id) : cli::token_text(*tokenizer, id);
}

/// The tokens [first, first + size) of `ids` as one piece.
inline Piece join(const Tokenizer* tokenizer, std::span<const TokenId> ids, Index first, Index size) {
  const auto part = ids.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(size));
  const bool hidden = tokenizer != nullptr && tokenizer->is_hidden(part[0]);
  return {hidden ? PieceKind::special : PieceKind::text,
          size == 1 ? token_text(tokenizer, part[0]) : tokenizer->decode(part, true), first, size};
}

/// The decoder's ids as words; a new one also begins at each of `borders`.
inline std::vector<Piece> decoder_words(const Tokenizer* tokenizer, std::span<const TokenId> ids,
                                        std::initializer_list<Index> borders) {
  std::vector<Piece> words;
  for (Index first = 0, end = 0; first < std::ssize(ids); first = end) {
    const auto goes_on = [&](Index i) {
      const auto at = static_cast<std::size_t>(i);
      return std::find(borders.begin(), borders.end(), i) == borders.end() &&
             !begins_word(tokenizer, ids[at - 1], ids[at]);
    };
    for (end = first + 1; end < std::ssize(ids) && goes_on(end);) ++end;
    words.push_back(join(tokenizer, ids, first, end - first));
  }
  return words;
}

/// The encoder's ids, a piece each, except that a run of bytes is one piece, as are the tokens of an image.
inline std::vector<Piece> prompt_pieces(const Tokenizer* tokenizer, const Config& config,
                                        std::span<const TokenId> ids, bool with_images) {
  std::vector<Piece> pieces;
  for (Index first = 0; first < std::ssize(ids); first = pieces.back().end()) {
    const TokenId id = ids[static_cast<std::size_t>(first)];
    if (with_images && id == config.image_token_index) {
      pieces.push_back({PieceKind::image, "", first, config.mm_tokens_per_image});
    } else if (with_images && (id == config.boi_token_index || id == config.eoi_token_index)) {
      const bool begin = id == config.boi_token_index;
      pieces.push_back({PieceKind::special, begin ? "<start_of_image>" : "<end_of_image>", first, 1});
    } else {
      Index end = first + 1;
      const auto is_byte = [&](TokenId one) { return tokenizer != nullptr && tokenizer->byte_of(one); };
      if (is_byte(id))
        while (end < std::ssize(ids) && is_byte(ids[static_cast<std::size_t>(end)])) ++end;
      pieces.push_back(join(tokenizer, ids, first, end - first));
    }
  }
  return pieces;
}

}  // namespace look
