// A vocabulary: the pieces of text that have an id. Gemma's has 262144 of them: characters and what merging
// makes of them, the 256 bytes, and added tokens such as <bos>.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "../tensor.hpp"
#include "utf8.hpp"

namespace t5gemma2 {

/// How SentencePiece treats a piece; the numbers are those of its file format.
enum class PieceType : std::uint8_t {
  normal = 1,        // made by merging
  unknown = 2,       // <unk>
  control = 3,       // never made from text
  user_defined = 4,  // only in files of others, see add_missing_flags in sentencepiece_model.hpp
  unused = 5,
  byte = 6  // <0x00> to <0xFF>: a character without a piece becomes its bytes
};

struct Piece {
  std::string text;  // UTF-8; empty for an id without a piece
  float score =
      unset;  // of two possible merges, the one that makes the piece with the higher score comes first
  PieceType type = PieceType::normal;
  bool added = false;       // an added token: found in a text before anything is merged
  bool special = false;     // left out when text is printed
  bool extra = false;       // an added token that model.vocab of tokenizer.json lacks
  bool normalized = false;  // an added token: searched for after the others, where ' ' is '▁' already
  bool lstrip = false;      // an added token: includes the white space before it
  bool rstrip = false;      // an added token: includes the white space behind it
};

struct Vocabulary {
  std::vector<Piece> pieces;        // in id order
  TokenId bos = -1;                 // in front of every text
  std::optional<TokenId> eos = {};  // behind every text, where the tokenizer puts one
  TokenId unk = -1;                 // the piece of type unknown, which SentencePiece requires
};

/// The ids of pieces by their texts, which are views into the vocabulary.
using PieceIds = std::unordered_map<std::string_view, TokenId>;

/// Gemma's normalizer: ' ' becomes '▁'.
inline std::string normalize(std::string_view text) {
  std::string normalized;
  for (const char c : text) c == ' ' ? normalized += "▁" : normalized += c;
  return normalized;
}

/// The piece of a byte: "<0x0A>".
inline std::string byte_piece(unsigned char byte) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  return {'<', '0', 'x', digits[byte / 16], digits[byte % 16], '>'};
}

/// The byte that the piece "<0x0A>" stands for; nothing for other pieces.
inline std::optional<char> byte_of_piece(std::string_view piece) {
  const bool is_byte = piece.size() == 6 && piece.starts_with("<0x") && piece.ends_with(">") &&
                       piece.find_first_not_of("0123456789ABCDEFabcdef", 3) == 5;
  if (!is_byte) return std::nullopt;
  return static_cast<char>(std::stoi(std::string(piece.substr(3, 2)), nullptr, 16));
}

/// Whether the piece is "<unusedN>".
inline bool is_unused_piece(std::string_view piece) {
  constexpr std::string_view name = "<unused";
  if (!piece.starts_with(name) || !piece.ends_with(">")) return false;
  const std::string_view number = piece.substr(name.size(), piece.size() - name.size() - 1);
  return !number.empty() && number.find_first_not_of("0123456789") == number.npos;
}

inline bool is_one_character(std::string_view text) {
  return !text.empty() && utf8_character(text) == text.size();
}

/// The flags of a piece, in the order of their bits.
constexpr std::array piece_flags = {&Piece::added,      &Piece::special, &Piece::extra,
                                    &Piece::normalized, &Piece::lstrip,  &Piece::rstrip};

inline std::uint64_t flags_of(const Piece& piece) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < piece_flags.size(); ++i) bits |= std::uint64_t{piece.*piece_flags[i]} << i;
  return bits;
}

inline void set_flags(Piece& piece, std::uint64_t bits) {
  for (std::size_t i = 0; i < piece_flags.size(); ++i) piece.*piece_flags[i] = (bits >> i & 1) != 0;
}

/// Throws std::invalid_argument naming the field of `piece` that its maker left out or set wrongly.
inline void check(const Piece& piece, std::size_t id) {
  const auto require = [&](bool fits, const char* field, const char* expected, const auto& found) {
    if (!fits) check_argument(false, ("piece " + std::to_string(id) + " " + field).c_str(), expected, found);
  };
  require(valid_utf8(piece.text) == piece.text.size(), "text", "UTF-8", "other bytes");
  require(!piece.added || !piece.text.empty(), "text", "that of an added token", "none");
  const bool merged = piece.type == PieceType::normal && utf8_character(piece.text) < piece.text.size();
  require(!merged || !std::isnan(piece.score), "score", "a number", piece.score);
}

/// Throws std::invalid_argument naming the field of `vocabulary` that its maker left out or set wrongly.
inline void check(const Vocabulary& vocabulary) {
  const auto has_text = [&](TokenId id) {
    return id >= 0 && id < std::ssize(vocabulary.pieces) &&
           !vocabulary.pieces[static_cast<std::size_t>(id)].text.empty();
  };
  check_argument(has_text(vocabulary.bos), "bos of the vocabulary", "the id of a piece", vocabulary.bos);
  check_argument(!vocabulary.eos || has_text(*vocabulary.eos), "eos of the vocabulary", "the id of a piece",
                 vocabulary.eos.value_or(0));
  const auto is_unknown = [](const Piece& piece) { return piece.type == PieceType::unknown; };
  check_argument(
      has_text(vocabulary.unk) && is_unknown(vocabulary.pieces[static_cast<std::size_t>(vocabulary.unk)]),
      "unk of the vocabulary", "the id of a piece of type unknown", vocabulary.unk);
  for (std::size_t id = 0; id < vocabulary.pieces.size(); ++id) check(vocabulary.pieces[id], id);
}

}  // namespace t5gemma2
