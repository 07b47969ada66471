// Text to token ids and back, with the ids and texts of Hugging Face's tokenizers library:
//
//   encode   <bos>, then: find the added tokens (<start_of_image>, <table>, "\n\n", ...) in the raw text;
//            between them ' ' becomes '▁'; find the added tokens that are "normalized"; between these,
//            characters are merged, and one without a piece becomes its UTF-8 bytes <0x00> to <0xFF>
//   decode   leave out special pieces and ids without a piece; the others become text (see piece_decoder.hpp)
//
// The paper says only that it uses the tokenizer of Gemma 3. Its tokenizer puts nothing behind the text; that of an embedding model may put <eos> there.
// Beneath it: the tokenizers library, src/tokenizer/mod.rs, TokenizerImpl::encode and decode.
//
// Reference: transformers models/gemma/tokenization_gemma.py GemmaTokenizer
#pragma once
#include <filesystem>
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
#include "bpe.hpp"
#include "piece_decoder.hpp"
#include "utf8.hpp"
#include "vocabulary.hpp"
#include "vocabulary_file.hpp"

namespace t5gemma2 {

/// Gemma's tokenizer, from tokenizer.json or tokenizer.model. Const member functions may be called from many
/// threads at once.
class Tokenizer {
 public:
  /// From one of these files, or from a model's folder: its tokenizer.json, else its tokenizer.model. A
  /// tokenizer.json is converted on first use, and the result cached (cache.hpp). Throws Error naming the
  /// file and the field that is not as it should be.
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

  /// From a model's folder; nothing when it holds neither file. Throws Error where load does.
  static std::optional<Tokenizer> load_if_there(const std::filesystem::path& folder) {
    if (!is_there(folder / "tokenizer.json") && !is_there(folder / "tokenizer.model")) return {};
    return load(folder);
  }

  /// From a vocabulary; `source` is named in errors. Throws std::invalid_argument naming a field of the
  /// vocabulary that was left out, and Error when SentencePiece refuses the pieces (one is there twice, a
  /// byte is missing).
  explicit Tokenizer(const Vocabulary& vocabulary, const std::string& source = "vocabulary")
      : bpe_(vocabulary, source), bos_(vocabulary.bos), eos_(vocabulary.eos) {
    std::vector<AddedTokens::Entry> raw, normalized;
    for (const Piece& piece : vocabulary.pieces) {
      const auto id = static_cast<TokenId>(traits_.size());
      traits_.push_back(traits_of(piece));
      if (!piece.extra) vocab_size_ = id + 1;
      if (piece.added) {
        (piece.normalized ? normalized : raw)
            .push_back({searched_text(piece), id, piece.lstrip, piece.rstrip});
      }
    }
    raw_tokens_ = AddedTokens(std::move(raw));
    normalized_tokens_ = AddedTokens(std::move(normalized));
  }

  /// The ids of `text` as the encoder gets them: bos first, eos behind where the folder's tokenizer puts it. An
  /// added token may have an id of vocab_size() or more: the model has no embedding for it, which the caller has
  /// to check. Throws Error when `text` is not UTF-8, with the offset of the first wrong byte.
  std::vector<TokenId> encode(std::string_view text) const {
    std::vector<TokenId> ids = encode_start(text);
    if (eos_) ids.push_back(*eos_);
    return ids;
  }

  /// The same without anything behind it: the start of a longer text, such as the decoder continues.
  std::vector<TokenId> encode_start(std::string_view text) const {
    check_utf8(text);
    std::vector<TokenId> ids{bos_};
    const auto put = [&](TokenId id) { ids.push_back(id); };
    raw_tokens_.split(text, put, [&](std::string_view between) {
      normalized_tokens_.split(normalize(between), put,
                               [&](std::string_view rest) { bpe_.encode(rest, ids); });
    });
    return ids;
  }

  /// The text of `ids`; special pieces (is_special) only when `show_special`. An id without a piece, such as
  /// that of a row that pads the embedding, has no text. Throws Error on a negative id, as all functions
  /// below do.
  std::string decode(std::span<const TokenId> ids, bool show_special = false) const {
    PieceDecoder decoder;
    std::string text;
    for (const TokenId id : ids) text += decoder.push(shown_piece(id, show_special));
    return text += decoder.finish();
  }

  /// The size of the vocabulary: its ids are 0 to vocab_size() - 1. Added tokens may have ids beyond (Gemma
  /// has one).
  Index vocab_size() const { return vocab_size_; }

  TokenId bos_id() const { return bos_; }

  /// What encode puts behind every text.
  std::optional<TokenId> eos_id() const { return eos_; }

  /// The id of the piece with this text ("<eos>", "▁the"), as tokenizer.json spells it.
  std::optional<TokenId> id_of(std::string_view text) const {
    const TokenId id = bpe_.id_of(text);
    return !text.empty() && piece(id) == text ? std::optional(id) : std::nullopt;
  }

  /// The piece as tokenizer.json spells it; empty for an id without one.
  std::string_view piece(TokenId id) const { return traits(id).known ? bpe_.piece(id) : std::string_view(); }

  /// The piece if decode makes text of it; empty if it is left out.
  std::string_view shown_piece(TokenId id, bool show_special) const {
    return show_special || !is_special(id) ? piece(id) : std::string_view();
  }

  /// Whether decode leaves the piece out: <bos>, <start_of_image>, ...
  bool is_special(TokenId id) const { return traits(id).special; }

  /// Whether the piece is <unusedN>, which stands for a gap (fill.hpp).
  bool is_sentinel(TokenId id) const { return traits(id).sentinel; }

  /// Whether to hide the id from people: it has no piece, or a special one, or is a sentinel.
  bool is_hidden(TokenId id) const { return !traits(id).known || traits(id).special || traits(id).sentinel; }

  /// The byte that the piece <0x..> stands for; nothing for other pieces.
  std::optional<char> byte_of(TokenId id) const { return byte_of_piece(piece(id)); }

 private:
  struct Traits {
    bool known = false, special = false, sentinel = false;
  };

  /// The text of an added token as a text to encode holds it.
  static std::string searched_text(const Piece& piece) {
    return piece.normalized ? normalize(piece.text) : piece.text;
  }

  static Traits traits_of(const Piece& piece) {
    // When decoding, the tokenizers library looks for the searched text among the special tokens, so it
    // prints a special token that normalizing changes.
    const bool special = piece.special && searched_text(piece) == piece.text;
    return {!piece.text.empty(), special, is_unused_piece(piece.text)};
  }

  const Traits& traits(TokenId id) const {
    static constexpr Traits none;
    if (id < 0) fail("token ids", "id", "0 or more", std::to_string(id));
    return id < std::ssize(traits_) ? traits_[static_cast<std::size_t>(id)] : none;
  }

  static void check_utf8(std::string_view text) {
    const std::size_t good = valid_utf8(text);
    if (good == text.size()) return;
    const std::string hex = byte_piece(static_cast<unsigned char>(text[good])).substr(1, 4);
    fail("text", "byte " + std::to_string(good), "UTF-8", hex);
  }

  Bpe bpe_;
  std::vector<Traits> traits_;  // of each id
  AddedTokens raw_tokens_, normalized_tokens_;
  Index vocab_size_ = 0;
  TokenId bos_;
  std::optional<TokenId> eos_;
};

}  // namespace t5gemma2
