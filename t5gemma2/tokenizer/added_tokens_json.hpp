// The added tokens of a tokenizer.json:
//
//   [{"id": 2, "content": "<bos>", "special": true, "normalized": false, "lstrip": false, "rstrip": false,
//     "single_word": false}, ...]
//
// A token in model.vocab has its id there. The others get the ids from the size of model.vocab on, one after
// the other, even where the file leaves gaps: so does the tokenizers library, with which models are trained.
// Reference: tokenizers src/tokenizer/added_vocabulary.rs AddedVocabulary::add_tokens.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "../io/json_fields.hpp"
#include "vocabulary.hpp"

namespace t5gemma2 {

namespace added_tokens_detail {

/// A token as the file describes it. Throws Error for single_word: it would need to know the letters of
/// all scripts.
inline Piece added_piece(const JsonField& token) {
  const JsonField content = token["content"], single_word = token["single_word"];
  if (content.text().empty()) content.refuse("a text that is not empty");
  if (single_word.boolean()) single_word.refuse("false (of " + in_quotes(content.text()) + ")");
  return {.text = content.text(),
          .type = PieceType::control,
          .added = true,
          .special = token["special"].boolean(),
          .normalized = token["normalized"].boolean(),
          .lstrip = token["lstrip"].boolean(),
          .rstrip = token["rstrip"].boolean()};
}

/// Marks the added tokens that are among the pieces and appends the others. `size` is the number of entries
/// of model.vocab.
class TokenAdder {
 public:
  TokenAdder(std::vector<Piece>& pieces, PieceIds& ids, Index size)
      : pieces_(pieces), ids_(ids), next_(size), lowest_(size) {}

  void add(const JsonField& token) {
    const Piece added = added_piece(token);
    const Index id = token["id"].integer(0, std::numeric_limits<TokenId>::max());
    const auto known = ids_.find(added.text);
    if (known == ids_.end())
      append(added, id, token);
    else
      mark(known->second, added, id, token);
    refuse_same_when_normalized(added, token["content"]);
    lowest_ = std::max(lowest_, next_);
  }

 private:
  /// A token that the vocabulary lacks; the file says `id`.
  void append(const Piece& added, Index id, const JsonField& token) {
    const std::string reason = " (model.vocab lacks " + in_quotes(added.text) + ")";
    if (id < lowest_) token["id"].refuse(std::to_string(lowest_) + " or more" + reason);
    if (next_ == std::ssize(pieces_)) pieces_.emplace_back();
    Piece& piece = pieces_[static_cast<std::size_t>(next_)];
    if (!piece.text.empty())
      token["id"].refuse("no other piece with id " + std::to_string(next_), in_quotes(piece.text));
    piece = added;
    piece.extra = true;
    ids_.emplace(piece.text, static_cast<TokenId>(next_++));
    lowest_ = id + 1;
  }

  /// A token that has the id `known`; the file says `id`.
  void mark(TokenId known, const Piece& added, Index id, const JsonField& token) {
    Piece& piece = pieces_[static_cast<std::size_t>(known)];
    if (piece.added) {
      Piece again = added;
      again.extra = piece.extra;
      if (flags_of(again) != flags_of(piece))
        token["content"].refuse("a text that is not added twice in different ways");
      return;
    }
    if (id != known)
      token["id"].refuse(std::to_string(known) + " (as model.vocab says of " + in_quotes(piece.text) + ")");
    set_flags(piece, flags_of(added));
    next_ = std::max<Index>(next_, known + 1);
  }

  /// Of two tokens with the same normalized text, the tokenizers library takes either, by chance.
  void refuse_same_when_normalized(const Piece& added, const JsonField& content) {
    if (!added.normalized) return;
    const auto [other, is_new] = normalized_.emplace(normalize(added.text), added.text);
    if (!is_new && other->second != added.text)
      content.refuse("a text that differs from " + in_quotes(other->second) + " when normalized");
  }

  std::vector<Piece>& pieces_;
  PieceIds& ids_;  // views into pieces_, which must not be reallocated
  Index next_;     // the id of the next token that model.vocab lacks
  Index lowest_;   // the least id that the file may give it: the tokens are in the order of their ids
  std::map<std::string, std::string> normalized_;  // of the tokens with `normalized`: normalized text -> text
};

}  // namespace added_tokens_detail

/// Marks the added tokens of `added_tokens`, a list, among `pieces`, and appends those that model.vocab
/// lacks. `ids` are those of `pieces`, and `size` is the number of entries of model.vocab. `pieces` must have
/// the capacity for all. Throws Error naming the token that is not as it should be.
inline void add_tokens(const std::vector<JsonField>& added_tokens, std::vector<Piece>& pieces, PieceIds& ids,
                       Index size) {
  check_argument(pieces.capacity() >= pieces.size() + added_tokens.size(), "capacity of pieces",
                 "room for all added tokens", pieces.capacity());
  added_tokens_detail::TokenAdder adder(pieces, ids, size);
  for (const JsonField& token : added_tokens) adder.add(token);
}

}  // namespace t5gemma2
