// Text to token ids and back. BPE is run by the SentencePiece library; what Hugging Face's tokenizer.json
// does differently stands here:
//
//   encode   <bos>, then: cut out added tokens (<start_of_image>, <table>, "\n\n", ...) from the raw text;
//            between them ' ' becomes '▁'; cut out the added tokens that are "normalized"; between them
//            characters are merged, and one without a piece becomes its UTF-8 bytes <0x00> to <0xFF>
//   decode   leave out special pieces and ids without a piece; '▁' becomes ' '; a run of byte pieces becomes
//            the text that its bytes are, or one U+FFFD per byte when they are not UTF-8
//
// The paper says no more than "the tokenizer of Gemma 3". Nothing stands behind the text, not even <eos>.
// Reference: transformers GemmaTokenizerFast, tokenizers (AddedVocabulary, BPE, ByteFallback).
#pragma once
#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../error.hpp"
#include "../io/mapped_file.hpp"
#include "../tensor.hpp"
#include "added_tokens.hpp"
#include "cache.hpp"
#include "sentencepiece_model.hpp"
#include "utf8.hpp"

namespace t5gemma2 {

/// Gemma's tokenizer, from tokenizer.json or tokenizer.model. Const member functions may be called from many
/// threads at once.
class Tokenizer {
 public:
  /// From a model's folder (its tokenizer.json, else its tokenizer.model) or one of these files itself. A
  /// tokenizer.json is converted on first use and kept in the user's cache folder (tokenizer_cache.hpp).
  /// Throws Error naming the file and the field that is not as it should be.
  static Tokenizer load(const std::filesystem::path& folder_or_file) {
    std::filesystem::path file = folder_or_file;
    if (std::filesystem::is_directory(file)) {
      file = folder_or_file / "tokenizer.json";
      if (!is_there(file) && is_there(folder_or_file / "tokenizer.model")) {
        file = folder_or_file / "tokenizer.model";
      }
    }
    return Tokenizer(read_vocabulary(file), file.string());
  }

  /// From a model's folder, if a tokenizer lies there at all. Throws Error where load does.
  static std::optional<Tokenizer> load_if_there(const std::filesystem::path& folder) {
    if (!is_there(folder / "tokenizer.json") && !is_there(folder / "tokenizer.model")) return {};
    return load(folder);
  }

  /// From pieces at hand; `source` is named in errors.
  explicit Tokenizer(const Vocabulary& vocabulary, const std::string& source = "vocabulary")
      : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()), bos_(vocabulary.bos) {
    const auto loaded = processor_->LoadFromSerializedProto(to_sentencepiece(vocabulary));
    if (!loaded.ok())
      throw Error(source + ": expected pieces for SentencePiece, found: " + loaded.ToString());
    for (const Piece& piece : vocabulary.pieces) add(piece);
    raw_tokens_.sort();
    normalized_tokens_.sort();
  }

  /// The ids of `text` as the encoder and the decoder get them: bos first, nothing behind. An added token may
  /// have an id at or beyond vocab_size(): the model has no embedding for it, which the caller has to check.
  /// Throws Error when `text` is not UTF-8, with the offset of the first wrong byte.
  std::vector<TokenId> encode(std::string_view text) const {
    refuse_other_than_utf8(text);
    std::vector<TokenId> ids{bos_};
    const auto put = [&](TokenId id) { ids.push_back(id); };
    raw_tokens_.split(text, put, [&](std::string_view between) {
      normalized_tokens_.split(normalize(between), put, [&](std::string_view rest) { merge(rest, ids); });
    });
    return ids;
  }

  /// The text of `ids`; special pieces (is_special) only when `show_special`. An id without a piece, such as
  /// that of a row that pads the embedding, has no text. Throws Error on a negative id, as all below do.
  std::string decode(std::span<const TokenId> ids, bool show_special = false) const;

  /// Ids of the vocabulary: 0 to vocab_size() - 1. Added tokens may have ids from there on (Gemma's has one).
  Index vocab_size() const { return vocab_size_; }

  TokenId bos_id() const { return bos_; }

  /// The id of the piece with this text ("<eos>", "▁the"), as tokenizer.json spells it.
  std::optional<TokenId> id_of(std::string_view text) const {
    const TokenId id = processor_->PieceToId(text);
    return !text.empty() && piece(id) == text ? std::optional(id) : std::nullopt;
  }

  /// The piece as tokenizer.json spells it; empty for an id without one.
  std::string_view piece(TokenId id) const {
    return traits(id).known ? std::string_view(processor_->IdToPiece(id)) : std::string_view();
  }

  /// Whether decode leaves the piece out: <bos>, <start_of_image>, ...
  bool is_special(TokenId id) const { return traits(id).special; }

  /// Whether the piece is <unusedN>, which stands for a gap (fill.hpp).
  bool is_sentinel(TokenId id) const { return traits(id).sentinel; }

  /// Whether to hide the id from people: no piece, special or a sentinel.
  bool is_hidden(TokenId id) const { return !traits(id).known || traits(id).special || traits(id).sentinel; }

  /// The byte that the piece <0x..> stands for; nothing for other pieces.
  std::optional<char> byte_of(TokenId id) const {
    return traits(id).byte
               ? std::optional(static_cast<char>(std::stoi(std::string(piece(id).substr(3, 2)), nullptr, 16)))
               : std::nullopt;
  }

 private:
  struct Traits {
    bool known = false, special = false, sentinel = false, byte = false;
  };

  void add(const Piece& piece) {
    const auto id = static_cast<TokenId>(traits_.size());
    const std::string text = piece.normalized ? normalize(piece.text) : piece.text;
    // tokenizers looks for the normalized text among the special ones, so it prints a token that changes.
    const bool special = piece.special && text == piece.text;
    traits_.push_back({!piece.text.empty(), special, is_sentinel(piece.text), is_byte(piece.text)});
    if (!piece.extra) vocab_size_ = id + 1;
    if (piece.added)
      (piece.normalized ? normalized_tokens_ : raw_tokens_).add({text, id, piece.lstrip, piece.rstrip});
    if (piece.type == PieceType::normal) forbid_cuts(piece.text);
  }

  static bool is_sentinel(std::string_view piece) {
    const std::string_view name = "<unused";
    if (!piece.starts_with(name) || !piece.ends_with(">")) return false;
    const std::string_view number = piece.substr(name.size(), piece.size() - name.size() - 1);
    return !number.empty() && number.find_first_not_of("0123456789") == number.npos;
  }

  static bool is_byte(std::string_view piece) {
    return piece.size() == 6 && piece.starts_with("<0x") && piece.ends_with(">") &&
           piece.find_first_not_of("0123456789ABCDEFabcdef", 3) == 5;
  }

  const Traits& traits(TokenId id) const {
    static constexpr Traits none;
    if (id < 0) fail("token ids", "id", "0 or more", std::to_string(id));
    return id < std::ssize(traits_) ? traits_[static_cast<std::size_t>(id)] : none;
  }

  static void refuse_other_than_utf8(std::string_view text) {
    const std::size_t good = valid_utf8(text);
    if (good == text.size()) return;
    const auto byte = static_cast<unsigned char>(text[good]);
    const std::string hex = {"0123456789ABCDEF"[byte / 16], "0123456789ABCDEF"[byte % 16]};
    fail("text", "byte " + std::to_string(good), "UTF-8", "0x" + hex);
  }

  /// A piece with '▁' behind another character merges across the front of a word: marks the byte before '▁'.
  void forbid_cuts(std::string_view piece) {
    for (std::size_t at = piece.find("▁", 1); at != piece.npos; at = piece.find("▁", at + 1)) {
      no_cut_behind_[static_cast<unsigned char>(piece[at - 1])] = true;
    }
  }

  /// Appends the ids of `text`, which is normalized and holds no added token. SentencePiece needs 65 bytes
  /// and more than linear time per byte, so long texts are cut in front of '▁' where no piece could hold what
  /// stands on both sides: nothing merges across such a place, the ids stay the same.
  void merge(std::string_view text, std::vector<TokenId>& ids) const {
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

  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  std::vector<Traits> traits_;  // of each id
  AddedTokens raw_tokens_, normalized_tokens_;
  std::array<bool, 256> no_cut_behind_{};
  Index vocab_size_ = 0;
  TokenId bos_;
};

/// Decodes id by id and never gives out half a character: byte pieces wait until their run ends, because one
/// wrong byte turns the whole run into U+FFFD. What push and finish return, joined, is what decode returns.
class TextStream {
 public:
  /// The tokenizer must live longer.
  explicit TextStream(const Tokenizer& tokenizer, bool show_special = false)
      : tokenizer_(&tokenizer), show_special_(show_special) {}

  /// The text that is certain now (UTF-8, perhaps empty). Throws Error on a negative id.
  std::string push(TokenId id) {
    std::string_view piece = tokenizer_->piece(id);
    if (piece.empty() || (!show_special_ && tokenizer_->is_special(id))) return {};
    if (const std::optional<char> byte = tokenizer_->byte_of(id)) {
      bytes_ += *byte;
      return {};
    }
    std::string text = finish();
    const std::string_view space = "▁";
    for (std::size_t at; (at = piece.find(space)) != piece.npos; piece.remove_prefix(at + space.size())) {
      text.append(piece.substr(0, at)).append(" ");
    }
    return text.append(piece);
  }

  /// What was held back. To be called at the end.
  std::string finish() {
    std::string run = std::exchange(bytes_, {});
    if (valid_utf8(run) == run.size()) return run;
    std::string text;
    for (std::size_t i = 0; i < run.size(); ++i) text += "\uFFFD";
    return text;
  }

 private:
  const Tokenizer* tokenizer_;
  bool show_special_;
  std::string bytes_;  // the run of byte pieces at the end
};

inline std::string Tokenizer::decode(std::span<const TokenId> ids, bool show_special) const {
  TextStream stream(*this, show_special);
  std::string text;
  for (const TokenId id : ids) text += stream.push(id);
  return text += stream.finish();
}

}  // namespace t5gemma2
