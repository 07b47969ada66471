// A vocabulary as a SentencePiece model (tokenizer.model): a protobuf message, of which a few fields
// are needed.
//
//   ModelProto      1 piece (repeated, in id order)   2 TrainerSpec   3 NormalizerSpec
//                   200 checksum, 201 id behind every text (our own, see cache.hpp)
//   SentencePiece   1 text   2 score   3 type   200 flags of added tokens (our own; other readers skip them)
//   TrainerSpec     3 model type (2 = BPE)   24 '▁' as suffix   35 byte fallback   41 bos id
//                   45, 46 unk, bos text
//   NormalizerSpec  2 character map   3 dummy prefix   4 remove extra spaces   5 ' ' becomes '▁'
//
// Reference: google/sentencepiece src/sentencepiece_model.proto.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "../error.hpp"
#include "protobuf.hpp"
#include "utf8.hpp"
#include "vocabulary.hpp"

namespace t5gemma2 {

constexpr unsigned flags_field = 200;  // in a SentencePiece
constexpr unsigned eos_field = 201;    // in a ModelProto

/// The text in the file for an id without a piece, since SentencePiece requires a different text for each id.
/// Not UTF-8, so that no piece can have it.
inline std::string placeholder_text(std::size_t id) { return "\xFF" + std::to_string(id); }

/// The vocabulary as a SentencePiece BPE model with Gemma's normalizer. Throws std::invalid_argument where
/// check(Vocabulary) does.
inline std::string to_sentencepiece(const Vocabulary& vocabulary) {
  check(vocabulary);
  std::string model, message;
  for (std::size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const Piece& piece = vocabulary.pieces[id];
    message.clear();
    wire::put(message, 1, piece.text.empty() ? placeholder_text(id) : piece.text);
    wire::put_fixed(message, 2, std::isnan(piece.score) ? 0.0f : piece.score);
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
  if (vocabulary.eos) wire::put(model, eos_field, static_cast<std::uint64_t>(*vocabulary.eos));
  return model;
}

namespace sentencepiece_detail {

using wire::Field, wire::Reader;

/// Sets what a model of others says only by the type of a piece. SentencePiece searches for user-defined
/// pieces after ' ' has become '▁', tokenizer.json before that, and it is the latter that is followed here:
/// runs of '▁' are then made by merging.
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
  Piece piece{.text = {}, .score = 0};  // the format's default
  bool flagged = false;
  Reader reader(message, file);
  for (Field field; reader.next(field);) {
    if (field.number == 1) piece.text = field.content;
    if (field.number == 2) piece.score = field.as_float();
    if (field.number == 3) {
      if (field.value < 1 || field.value > 6) refuse("a type from 1 to 6", std::to_string(field.value));
      piece.type = static_cast<PieceType>(field.value);
    }
    if (field.number == flags_field) {
      flagged = true;
      set_flags(piece, field.value);
    }
  }
  if (std::isnan(piece.score)) refuse("a score that is a number", "NaN");
  if (flagged && piece.text == placeholder_text(id)) {
    if (piece.added) refuse("a text of what is added", "none");
    piece.text.clear();
    return piece;
  }
  if (piece.text.empty()) refuse("a text", "an empty one");
  if (valid_utf8(piece.text) < piece.text.size()) refuse("UTF-8", "other bytes");
  if (!flagged) add_missing_flags(piece);
  return piece;
}

/// The settings that decide which ids a text gets, with the format's defaults.
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

}  // namespace sentencepiece_detail

/// Reads a SentencePiece model: one written by to_sentencepiece, or Gemma's own tokenizer.model, where the
/// types of the pieces say which are added and which are special. Throws Error naming `file` and the field
/// when it is broken or unlike Gemma's.
inline Vocabulary from_sentencepiece(std::string_view model, const std::string& file) {
  Vocabulary vocabulary;
  sentencepiece_detail::Settings settings;
  std::optional<std::uint64_t> eos;
  wire::Reader reader(model, file);
  for (wire::Field field; reader.next(field);) {
    if (field.number == 1) {
      vocabulary.pieces.push_back(
          sentencepiece_detail::read_piece(field.content, vocabulary.pieces.size(), file));
    }
    if (field.number == 2) sentencepiece_detail::read_trainer(field.content, settings, file);
    if (field.number == 3) sentencepiece_detail::read_normalizer(field.content, settings, file);
    if (field.number == eos_field) eos = field.value;
  }
  sentencepiece_detail::check(settings, file);
  const auto& pieces = vocabulary.pieces;
  if (settings.bos >= pieces.size() || !pieces[settings.bos].special) {
    fail(file, "trainer_spec.bos_id", "the id of a control piece", std::to_string(settings.bos));
  }
  vocabulary.bos = static_cast<TokenId>(settings.bos);
  if (eos && (*eos >= pieces.size() || !pieces[*eos].special))
    fail(file, "the id behind every text", "that of a control piece", std::to_string(*eos));
  if (eos) vocabulary.eos = static_cast<TokenId>(*eos);
  const auto is_unknown = [](const Piece& piece) { return piece.type == PieceType::unknown; };
  vocabulary.unk = static_cast<TokenId>(std::ranges::find_if(pieces, is_unknown) - pieces.begin());
  if (vocabulary.unk == std::ssize(pieces)) fail(file, "pieces", "one of type unknown", "none");
  return vocabulary;
}

}  // namespace t5gemma2
