// tokenizer.json, the format of Hugging Face's tokenizers library, as far as Gemma's uses it:
//
//   model          {"type": "BPE", "byte_fallback": true, "vocab": {"piece": id, ...}, "merges": [["a", "b"],
//                  ...]}
//   added_tokens   see added_tokens_json.hpp
//   normalizer, pre_tokenizer, post_processor, decoder   see tokenizer_pipeline.hpp
//
// A file that asks for anything else is refused: ids that are silently wrong are worse than an error.
// Reference: tokenizers, Tokenizer::from_str.
#pragma once
#include <array>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "../io/json_fields.hpp"
#include "added_tokens_json.hpp"
#include "merges.hpp"
#include "pipeline.hpp"
#include "sentencepiece_model.hpp"

namespace t5gemma2 {

namespace tokenizer_json_detail {

using nlohmann::json;

/// Reads the file in one go and keeps model.vocab and model.merges, nearly all of it, in a compact form.
class Reader final : public json_detail::Rules {
 public:
  Reader(std::string_view text, const std::string& file) : Rules(text, file), file_(file) {}

  json whole = nullptr;  // without the entries of model.vocab and model.merges
  std::vector<std::pair<std::string, json>> vocab;
  Merges merges;

  bool null() override { return single(nullptr); }
  bool boolean(bool value) override { return single(value); }
  bool number_integer(number_integer_t value) override { return single(value); }
  bool number_unsigned(number_unsigned_t value) override { return single(value); }
  bool number_float(number_float_t value, const string_t&) override { return single(value); }
  bool string(string_t& value) override { return single(std::move(value)); }

  bool start_object(std::size_t size) override { return Rules::start_object(size) && open(json::object()); }
  bool start_array(std::size_t size) override { return Rules::start_array(size) && open(json::array()); }
  bool end_object() override { return Rules::end_object() && close(); }
  bool end_array() override { return Rules::end_array() && close(); }

  bool key(string_t& name) override {
    Rules::key(name);
    key_ = name;
    if (open_.size() < path_.size()) path_[open_.size()] = std::move(name);
    return true;
  }

 private:
  bool single(json value) {
    *place() = std::move(value);
    return complete();
  }

  bool open(json container) {
    json* const value = place();
    *value = std::move(container);
    open_.push_back(value);
    if (open_.size() < path_.size()) path_[open_.size()].clear();
    return true;
  }

  bool close() {
    open_.pop_back();
    return complete();
  }

  /// Whether the value that stands here is an entry of model.vocab or model.merges.
  bool in_table() const {
    return open_.size() == 3 && path_[1] == "model" && (path_[2] == "vocab" || path_[2] == "merges");
  }

  /// Where the next value goes.
  json* place() {
    if (open_.empty()) return &whole;
    if (in_table()) return &entry_;
    if (open_.back()->is_array()) return &open_.back()->emplace_back();
    return &(*open_.back())[key_];
  }

  bool complete() {
    if (!in_table()) return true;
    if (path_[2] == "vocab") vocab.emplace_back(path_[3], std::move(entry_));
    if (path_[2] == "merges") add_merge();
    return true;
  }

  /// "a b", or since tokenizers 0.20 ["a", "b"].
  void add_merge() {
    if (entry_.is_array() && entry_.size() == 2 && entry_[0].is_string() && entry_[1].is_string()) {
      return merges.add(entry_[0].get_ref<std::string&>(), entry_[1].get_ref<std::string&>());
    }
    const std::string_view text = entry_.is_string() ? std::string_view(entry_.get_ref<std::string&>()) : "";
    const std::size_t space = text.find(' ');
    if (space == text.npos || text.find(' ', space + 1) != text.npos) {
      fail(file_, "model.merges[" + std::to_string(merges.size()) + "]", "two pieces",
           entry_.is_string() ? in_quotes(text) : std::string("a list or number of another kind"));
    }
    merges.add(text.substr(0, space), text.substr(space + 1));
  }

  const std::string& file_;
  std::vector<json*> open_;          // objects and arrays around the place
  std::array<std::string, 4> path_;  // the keys of the outer ones; empty in an array
  std::string key_;
  json entry_;
};

/// The settings of the model.
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
  model["vocab"].keys();  // refuses all but an object
}

/// The pieces in id order, all of them control (never made from text) so far; empty where no piece has the
/// id.
inline std::vector<Piece> pieces_by_id(std::vector<std::pair<std::string, json>>&& vocab,
                                       const std::string& file) {
  constexpr std::uint64_t most = 1 << 20;  // Gemma's are a quarter of this
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

/// The id of a piece that must be there.
inline TokenId require(const PieceIds& ids, const std::string& text, const std::string& file,
                       const char* field) {
  const auto id = ids.find(text);
  if (id == ids.end()) fail(file, field, "the piece " + in_quotes(text), "none");
  return id->second;
}

/// Marks the piece for what has none; with all bytes at hand it is never used, but SentencePiece wants one.
inline TokenId unknown(std::vector<Piece>& pieces, const PieceIds& ids, const JsonField& unk,
                       const std::string& file) {
  const TokenId id = require(ids, unk.text(), file, "model.unk_token");
  Piece& piece = pieces[static_cast<std::size_t>(id)];
  if (utf8_character(piece.text) == piece.text.size()) unk.refuse("a piece longer than one character");
  piece.type = PieceType::unknown;
  return id;
}

inline void mark_bytes(std::vector<Piece>& pieces, const PieceIds& ids, const std::string& file) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const std::string text = std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">";
    pieces[static_cast<std::size_t>(require(ids, text, file, "model.vocab"))].type = PieceType::byte;
  }
}

}  // namespace tokenizer_json_detail

/// The pieces of a tokenizer.json, whose content is `text`. Throws Error naming `file` and the field that is
/// not as it should be. Memory: about three times the text's size.
inline Vocabulary vocabulary_from_json(std::string_view text, const std::string& file) {
  namespace detail = tokenizer_json_detail;
  detail::Reader reader(text, file);
  nlohmann::json::sax_parse(text, &reader);
  const JsonField root(reader.whole, file), model = root["model"];
  detail::check_model(model);
  detail::check_normalizer(root["normalizer"]);
  detail::check_pre_tokenizer(root["pre_tokenizer"]);
  detail::check_decoder(root["decoder"]);

  Vocabulary vocabulary;
  const auto size = std::ssize(reader.vocab);
  vocabulary.pieces = detail::pieces_by_id(std::move(reader.vocab), file);
  const std::vector<JsonField> added_tokens = root["added_tokens"].items();
  vocabulary.pieces.reserve(vocabulary.pieces.size() +
                            added_tokens.size());  // ids looks into the pieces: keep them
  PieceIds ids;
  ids.reserve(vocabulary.pieces.size());
  for (std::size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const std::string& piece = vocabulary.pieces[id].text;
    if (!piece.empty()) ids.emplace(piece, static_cast<TokenId>(id));
  }
  vocabulary.unk = detail::unknown(vocabulary.pieces, ids, model["unk_token"], file);
  detail::mark_bytes(vocabulary.pieces, ids, file);
  apply_merges(vocabulary.pieces, ids, reader.merges, file);
  detail::TokenAdder adder(vocabulary.pieces, ids, size);
  for (const JsonField& token : added_tokens) adder.add(token);
  vocabulary.bos = detail::bos(root["post_processor"], vocabulary.pieces);
  return vocabulary;
}

}  // namespace t5gemma2
