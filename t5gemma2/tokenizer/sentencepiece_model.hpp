// The pieces of a tokenizer, and their form as a SentencePiece model: a protobuf message of which a few
// fields are needed, so that it is written and read here by hand.
//
//   ModelProto      1 piece (repeated, in id order)   2 TrainerSpec   3 NormalizerSpec   200 checksum (ours)
//   SentencePiece   1 text   2 score   3 type   200 flags (ours: Gemma's added tokens; other readers skip it)
//   TrainerSpec     3 model type (2 = BPE)   24 '▁' as suffix   35 byte fallback   41 bos id
//                   45, 46 unk, bos text
//   NormalizerSpec  2 character map   3 dummy prefix   4 remove extra spaces   5 ' ' becomes '▁'
//
// Reference: sentencepiece_model.proto of google/sentencepiece.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "../error.hpp"
#include "protobuf.hpp"
#include "utf8.hpp"

namespace t5gemma2 {

using TokenId = std::int32_t;

/// What SentencePiece may do with a piece; the numbers are the format's.
enum class PieceType : std::uint8_t {
  normal = 1,        // made by merging
  unknown = 2,       // <unk>
  control = 3,       // never made from text
  user_defined = 4,  // only in files from elsewhere, see add_missing_flags
  unused = 5,
  byte = 6  // <0x00> to <0xFF>: a character without a piece becomes its bytes
};

struct Piece {
  std::string text;  // empty: an id without a piece
  float score = 0;   // of two possible merges the one into the piece with the higher score comes first
  PieceType type = PieceType::normal;
  bool added = false;       // an added token: stands for itself wherever the text holds it
  bool special = false;     // left out when text is printed
  bool extra = false;       // an added token that the vocabulary lacks
  bool normalized = false;  // an added token: looked for behind the others, where ' ' is '▁' already
  bool lstrip = false;      // an added token: takes the white space before it along
  bool rstrip = false;      // an added token: takes the white space behind it along
};

/// What Gemma's normaliser makes of a text.
inline std::string normalize(std::string_view text) {
  std::string normalized;
  for (const char c : text) c == ' ' ? normalized += "▁" : normalized += c;
  return normalized;
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

/// SentencePiece wants another text for each id: that of one without a piece is no UTF-8, as no piece is.
inline std::string text_of_none(std::size_t id) { return "\xFF" + std::to_string(id); }

constexpr unsigned flags_field = 200;     // in a SentencePiece
constexpr unsigned checksum_field = 200;  // in the ModelProto, see tokenizer_cache.hpp

struct Vocabulary {
  std::vector<Piece> pieces;  // in id order
  TokenId bos = 0;
  TokenId unk = 0;
};

/// The vocabulary as a SentencePiece BPE model with the normaliser of Gemma: ' ' becomes '▁', nothing else.
inline std::string to_sentencepiece(const Vocabulary& vocabulary) {
  std::string model, message;
  for (std::size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const Piece& piece = vocabulary.pieces[id];
    message.clear();
    wire::put(message, 1, piece.text.empty() ? text_of_none(id) : piece.text);
    wire::put_fixed(message, 2, piece.score);
    wire::put(message, 3, static_cast<std::uint64_t>(piece.type));
    wire::put(message, flags_field, flags_of(piece));
    wire::put(model, 1, message);
  }
  std::string trainer, normalizer;
  const auto text = [&](TokenId id) { return vocabulary.pieces[static_cast<std::size_t>(id)].text; };
  wire::put(trainer, 3, 2);   // BPE
  wire::put(trainer, 35, 1);  // byte fallback
  wire::put(trainer, 41, static_cast<std::uint64_t>(vocabulary.bos));
  wire::put(trainer, 45, text(vocabulary.unk));
  wire::put(trainer, 46, text(vocabulary.bos));
  wire::put(normalizer, 1, "identity");
  wire::put(normalizer, 3, 0);
  wire::put(normalizer, 4, 0);
  wire::put(normalizer, 5, 1);
  wire::put(model, 2, trainer);
  wire::put(model, 3, normalizer);
  return model;
}

namespace model_detail {

using wire::Field, wire::Reader;

/// What holds for the pieces of a model from elsewhere. SentencePiece looks for user-defined pieces after ' '
/// became '▁'. tokenizer.json, which decides, looks before: there runs of '▁' come from merging, too.
inline void add_missing_flags(Piece& piece) {
  piece.special = piece.type == PieceType::control || piece.type == PieceType::unknown;
  piece.added = piece.special || piece.type == PieceType::user_defined;
  if (piece.type != PieceType::user_defined) return;
  std::string_view rest = piece.text;
  while (rest.starts_with("▁")) rest.remove_prefix(std::string_view("▁").size());
  piece.type = rest.empty() ? PieceType::normal : PieceType::control;
}

inline Piece read_piece(std::string_view message, std::size_t id, const std::string& file) {
  const auto refuse = [&](const char* expected, const std::string& found) {
    fail(file, "piece " + std::to_string(id), expected, found);
  };
  Piece piece;
  bool flagged = false;
  Reader reader(message, file);
  for (Field field; reader.next(field);) {
    if (field.number == 1) piece.text = field.content;
    if (field.number == 2) piece.score = field.real();
    if (field.number == 3) {
      if (field.value < 1 || field.value > 6) refuse("a type from 1 to 6", std::to_string(field.value));
      piece.type = static_cast<PieceType>(field.value);
    }
    if (field.number == flags_field) {
      flagged = true;
      set_flags(piece, field.value);
    }
  }
  if (flagged && piece.text == text_of_none(id)) {
    if (piece.added) refuse("a text of what is added", "none");
    piece.text.clear();
    return piece;
  }
  if (piece.text.empty()) refuse("a text", "an empty one");
  if (valid_utf8(piece.text) < piece.text.size()) refuse("UTF-8", "other bytes");
  if (!flagged) add_missing_flags(piece);
  return piece;
}

/// Settings of a model, with the format's defaults.
struct Settings {
  std::uint64_t model_type = 1, suffix = 0, byte_fallback = 0, bos = 1;
  std::uint64_t dummy_prefix = 1, remove_spaces = 1, escape_spaces = 1, character_map = 0;
};

inline void read_trainer(std::string_view message, Settings& settings, const std::string& file) {
  Reader reader(message, file);
  for (Field field; reader.next(field);) {
    if (field.number == 3) settings.model_type = field.value;
    if (field.number == 24) settings.suffix = field.value;
    if (field.number == 35) settings.byte_fallback = field.value;
    if (field.number == 41) settings.bos = field.value;
  }
}

inline void read_normalizer(std::string_view message, Settings& settings, const std::string& file) {
  Reader reader(message, file);
  for (Field field; reader.next(field);) {
    if (field.number == 2) settings.character_map = field.content.size();
    if (field.number == 3) settings.dummy_prefix = field.value;
    if (field.number == 4) settings.remove_spaces = field.value;
    if (field.number == 5) settings.escape_spaces = field.value;
  }
}

inline void check(const Settings& settings, const std::string& file) {
  const auto expect = [&](std::uint64_t found, std::uint64_t expected, const std::string& field) {
    if (found != expected) fail(file, field, std::to_string(expected), std::to_string(found));
  };
  expect(settings.model_type, 2, "trainer_spec.model_type (2 is BPE)");
  expect(settings.byte_fallback, 1, "trainer_spec.byte_fallback");
  expect(settings.suffix, 0, "trainer_spec.treat_whitespace_as_suffix");
  expect(settings.character_map, 0, "normalizer_spec.precompiled_charsmap (bytes)");
  expect(settings.dummy_prefix, 0, "normalizer_spec.add_dummy_prefix");
  expect(settings.remove_spaces, 0, "normalizer_spec.remove_extra_whitespaces");
  expect(settings.escape_spaces, 1, "normalizer_spec.escape_whitespaces");
}

}  // namespace model_detail

/// Reads a SentencePiece model: one that to_sentencepiece wrote, or Gemma's own tokenizer.model, where the
/// types of the pieces say which are added and which special. Throws Error naming `file` when it is broken or
/// is not made like Gemma's.
inline Vocabulary from_sentencepiece(std::string_view model, const std::string& file) {
  Vocabulary vocabulary;
  model_detail::Settings settings;
  wire::Reader reader(model, file);
  for (wire::Field field; reader.next(field);) {
    if (field.number == 1) {
      vocabulary.pieces.push_back(model_detail::read_piece(field.content, vocabulary.pieces.size(), file));
    }
    if (field.number == 2) model_detail::read_trainer(field.content, settings, file);
    if (field.number == 3) model_detail::read_normalizer(field.content, settings, file);
  }
  model_detail::check(settings, file);
  const auto& pieces = vocabulary.pieces;
  if (settings.bos >= pieces.size() || !pieces[settings.bos].special) {
    fail(file, "trainer_spec.bos_id", "the id of a control piece", std::to_string(settings.bos));
  }
  vocabulary.bos = static_cast<TokenId>(settings.bos);
  const auto is_unknown = [](const Piece& piece) { return piece.type == PieceType::unknown; };
  vocabulary.unk = static_cast<TokenId>(std::ranges::find_if(pieces, is_unknown) - pieces.begin());
  if (vocabulary.unk == std::ssize(pieces)) fail(file, "pieces", "one of type unknown", "none");
  return vocabulary;
}

}  // namespace t5gemma2
