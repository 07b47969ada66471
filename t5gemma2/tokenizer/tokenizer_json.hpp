// A vocabulary from tokenizer.json, the format of Hugging Face's tokenizers library, as far as Gemma's
// uses it:
//
//   model   {"type": "BPE", "byte_fallback": true, "vocab": {"piece": id, ...}, "merges": [["a", "b"], ...]}
//   normalizer, pre_tokenizer, post_processor, decoder   see pipeline.hpp
//   added_tokens                                         see added_tokens_json.hpp
//
// A file that asks for anything else is refused: ids that are silently wrong are worse than an error.
// Reference: tokenizers src/tokenizer/mod.rs Tokenizer::from_file.
#pragma once
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../error.hpp"
#include "../io/json_fields.hpp"
#include "added_tokens_json.hpp"
#include "merges.hpp"
#include "pipeline.hpp"
#include "tokenizer_json_reader.hpp"
#include "vocabulary.hpp"

namespace t5gemma2 {

namespace tokenizer_json_detail {

/// Refuses settings of the model that would give other ids than SentencePiece does.
inline void check_model(const JsonField& model) {
  if (!model["type"].given() || model["type"].text() != "BPE") model["type"].refuse("BPE");
  if (!model["byte_fallback"].given() || !model["byte_fallback"].boolean())
    model["byte_fallback"].refuse("true");
  if (model["dropout"].given() && model["dropout"].number(0, 1) > 0) model["dropout"].refuse("null");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (model[affix].given() && !model[affix].text().empty()) model[affix].refuse("none");
  }
  if (model["ignore_merges"].given() && model["ignore_merges"].boolean())
    model["ignore_merges"].refuse("false");
  if (!model["merges"].is_array()) model["merges"].refuse("a list");
  model["vocab"].keys();  // throws unless it is an object
}

/// The pieces in id order, all of type control for now; without a text where no piece has the id.
inline std::vector<Piece> pieces_by_id(std::vector<std::pair<std::string, nlohmann::json>>&& vocab,
                                       const std::string& file) {
  constexpr std::uint64_t most = 1 << 20;  // four times as many as Gemma has
  std::vector<Piece> pieces;
  for (auto& [text, id] : vocab) {
    const auto refuse = [&, &text = text, &id = id](const std::string& expected) {
      fail(file, "model.vocab[" + in_quotes(text) + "]", expected, in_quotes(id.dump()));
    };
    if (text.empty()) refuse("a piece that is not empty");
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= most) {
      refuse("an id from 0 to " + std::to_string(most - 1));
    }
    const auto place = id.get<std::size_t>();
    if (place >= pieces.size()) pieces.resize(place + 1, {.text = {}, .type = PieceType::control});
    if (!pieces[place].text.empty()) refuse("an id that is not that of " + in_quotes(pieces[place].text));
    pieces[place].text = std::move(text);
  }
  return pieces;
}

/// `capacity` is that of `pieces` from here on: ids hold views into them.
inline PieceIds ids_of(std::vector<Piece>& pieces, std::size_t capacity) {
  pieces.reserve(capacity);
  PieceIds ids;
  ids.reserve(pieces.size());
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    if (!pieces[id].text.empty()) ids.emplace(pieces[id].text, static_cast<TokenId>(id));
  }
  return ids;
}

/// The id of the piece `text`. Throws Error naming `field` when there is none.
inline TokenId require(const PieceIds& ids, const std::string& text, const std::string& file,
                       const char* field) {
  const auto id = ids.find(text);
  if (id == ids.end()) fail(file, field, "the piece " + in_quotes(text), "none");
  return id->second;
}

/// Marks <unk>. As there is a piece for each byte, no text becomes <unk>, but SentencePiece requires it.
inline TokenId mark_unknown(std::vector<Piece>& pieces, const PieceIds& ids, const JsonField& unk,
                            const std::string& file) {
  const TokenId id = require(ids, unk.text(), file, "model.unk_token");
  Piece& piece = pieces[static_cast<std::size_t>(id)];
  if (is_one_character(piece.text)) unk.refuse("a piece longer than one character");
  piece.type = PieceType::unknown;
  return id;
}

inline void mark_bytes(std::vector<Piece>& pieces, const PieceIds& ids, const std::string& file) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string text = byte_piece(static_cast<unsigned char>(byte));
    pieces[static_cast<std::size_t>(require(ids, text, file, "model.vocab"))].type = PieceType::byte;
  }
}

}  // namespace tokenizer_json_detail

/// The vocabulary of a tokenizer.json, whose content is `text`. Throws Error naming `file` and the field that
/// is not as it should be.
inline Vocabulary vocabulary_from_json(std::string_view text, const std::string& file) {
  namespace detail = tokenizer_json_detail;
  TokenizerJson json = read_tokenizer_json(text, file);
  const JsonField root(json.rest, file), model = root["model"];
  detail::check_model(model);
  check_pipeline(root);

  const auto size = std::ssize(json.vocab);
  Vocabulary vocabulary;
  std::vector<Piece>& pieces = vocabulary.pieces;
  pieces = detail::pieces_by_id(std::move(json.vocab), file);
  const std::vector<JsonField> added_tokens = root["added_tokens"].items();
  PieceIds ids = detail::ids_of(pieces, pieces.size() + added_tokens.size());
  vocabulary.unk = detail::mark_unknown(pieces, ids, model["unk_token"], file);
  detail::mark_bytes(pieces, ids, file);
  apply_merges(pieces, ids, json.merges, file);
  add_tokens(added_tokens, pieces, ids, size);
  const Frame frame = frame_of(root["post_processor"], pieces);
  vocabulary.bos = frame.bos;
  vocabulary.eos = frame.eos;
  return vocabulary;
}

}  // namespace t5gemma2
