// tokenizer.json, the format of Hugging Face's tokenizers library, as far as Gemma's uses it:
//
//   added_tokens     [{"id": 2, "content": "<bos>", "special": true, "normalized": false, ...}, ...]
//   normalizer       ' ' becomes '▁'
//   pre_tokenizer    none, or splits at ' ', of which none are left
//   post_processor   <bos> in front
//   decoder          '▁' becomes ' ', byte fallback, join
//   model            {"type": "BPE", "byte_fallback": true, "vocab": {"piece": id, ...}, "merges": [["a",
//   "b"], ...]}
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

#include "json_fields.hpp"
#include "tokenizer_merges.hpp"
#include "tokenizer_model.hpp"

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

/// Requires the part `name` of the file to be exactly `text`, which is JSON.
inline void expect(const json& whole, const char* name, const char* text, const std::string& file) {
  const auto part = whole.find(name);
  if (part == whole.end()) fail(file, name, text, "nothing");
  if (*part != json::parse(text)) fail(file, name, text, in_quotes(part->dump()));
}

/// What surrounds the model: Gemma's way and no other.
inline void check_pipeline(const json& whole, const std::string& file) {
  const JsonField root(whole, file);
  for (const char* name : {"truncation", "padding"}) {
    if (root[name].given()) root[name].refuse("null");
  }
  expect(whole, "normalizer", R"({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})", file);
  expect(
      whole, "decoder",
      R"({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, )"
      R"({"type": "ByteFallback"}, {"type": "Fuse"}]})",
      file);
  const JsonField split = root["pre_tokenizer"];
  if (!split.given()) return;
  if (split["type"].text() != "Split") split["type"].refuse("Split");
  if (split["pattern"]["String"].text() != " ") split["pattern"]["String"].refuse("a space");
  if (split["invert"].boolean()) split["invert"].refuse("false");
}

/// The settings of the model.
inline void check_model(const JsonField& model) {
  if (!model["type"].given() || model["type"].text() != "BPE") model["type"].refuse("BPE");
  if (!model["byte_fallback"].given() || !model["byte_fallback"].boolean())
    model["byte_fallback"].refuse("true");
  if (model["dropout"].given()) model["dropout"].refuse("null");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (model[affix].given() && !model[affix].text().empty()) model[affix].refuse("none");
  }
  if (model["ignore_merges"].given() && model["ignore_merges"].boolean())
    model["ignore_merges"].refuse("false");
  if (!model["merges"].is_array()) model["merges"].refuse("a list");
  model["vocab"].keys();  // refuses all but an object
}

/// The pieces in id order, all of them control (never made from text) so far.
inline std::vector<Piece> pieces_by_id(std::vector<std::pair<std::string, json>>&& vocab,
                                       const std::string& file) {
  std::vector<Piece> pieces(vocab.size());
  for (auto& [text, id] : vocab) {
    const auto refuse = [&, &text = text, &id = id](const std::string& expected) {
      fail(file, "model.vocab[" + in_quotes(text) + "]", expected, in_quotes(id.dump()));
    };
    if (text.empty()) refuse("a piece that is not empty");
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= vocab.size()) {
      refuse("an id from 0 to " + std::to_string(vocab.size() - 1) + ", as many as there are pieces");
    }
    Piece& piece = pieces[id.get<std::size_t>()];
    if (!piece.text.empty()) refuse("an id that is not that of " + in_quotes(piece.text));
    piece.text = std::move(text);
    piece.type = PieceType::control;
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

/// Marks the added tokens; those that the vocabulary lacks get the ids behind it.
inline void add_tokens(std::vector<Piece>& pieces, PieceIds& ids, const std::vector<JsonField>& tokens) {
  for (const JsonField& token : tokens) {
    const JsonField content = token["content"];
    const std::string& text = content.text();
    if (text.empty()) content.refuse("a text that is not empty");
    for (const char* rule : {"single_word", "lstrip", "rstrip", "normalized"}) {
      if (token[rule].boolean()) token[rule].refuse("false");
    }
    const auto known = ids.find(text);
    const bool extra = known == ids.end();
    const Index id = extra ? std::ssize(pieces) : known->second;
    if (token["id"].integer(0, std::numeric_limits<TokenId>::max()) != id) {
      const std::string reason = extra ? " (the next one: model.vocab lacks " : " (as model.vocab says of ";
      token["id"].refuse(std::to_string(id) + reason + in_quotes(text) + ")");
    }
    if (extra) {
      pieces.push_back({.text = text, .type = PieceType::control, .extra = true});
      ids.emplace(pieces.back().text, static_cast<TokenId>(id));
    }
    Piece& piece = pieces[static_cast<std::size_t>(id)];
    if (piece.added) content.refuse("a text that is not added twice");
    piece.added = true;
    piece.special = token["special"].boolean();
  }
}

/// The id in front of every text: the post-processor is <bos>, text.
inline TokenId bos(const JsonField& post_processor, const std::vector<Piece>& pieces) {
  if (post_processor["type"].text() != "TemplateProcessing")
    post_processor["type"].refuse("TemplateProcessing");
  const JsonField single = post_processor["single"];
  const std::vector<JsonField> parts = single.items();
  if (parts.size() != 2 || parts[1]["Sequence"]["id"].text() != "A") single.refuse("<bos>, then the text");
  const JsonField name = parts[0]["SpecialToken"]["id"];
  const JsonField ids = post_processor["special_tokens"][name.text()]["ids"];
  if (ids.items().size() != 1) ids.refuse("one id");
  const Index id = ids.items()[0].integer(0, std::ssize(pieces) - 1);
  const Piece& piece = pieces[static_cast<std::size_t>(id)];
  if (piece.text != name.text() || !piece.special)
    name.refuse("the special token with id " + std::to_string(id));
  return static_cast<TokenId>(id);
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
  detail::check_pipeline(reader.whole, file);

  Vocabulary vocabulary;
  vocabulary.pieces = detail::pieces_by_id(std::move(reader.vocab), file);
  const std::vector<JsonField> added_tokens = root["added_tokens"].items();
  vocabulary.pieces.reserve(vocabulary.pieces.size() +
                            added_tokens.size());  // ids looks into the pieces: keep them
  PieceIds ids;
  ids.reserve(vocabulary.pieces.size());
  for (std::size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    ids.emplace(vocabulary.pieces[id].text, static_cast<TokenId>(id));
  }
  vocabulary.unk = detail::unknown(vocabulary.pieces, ids, model["unk_token"], file);
  detail::mark_bytes(vocabulary.pieces, ids, file);
  apply_merges(vocabulary.pieces, ids, reader.merges, file);
  detail::add_tokens(vocabulary.pieces, ids, added_tokens);
  vocabulary.bos = detail::bos(root["post_processor"], vocabulary.pieces);
  return vocabulary;
}

}  // namespace t5gemma2
