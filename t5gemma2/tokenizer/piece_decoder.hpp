// Pieces to text: '▁' becomes ' '; a run of byte pieces becomes the text that its bytes are, or one U+FFFD
// per byte when they are not UTF-8. Reference: tokenizers src/decoders/byte_fallback.rs ByteFallback,
// src/normalizers/replace.rs Replace.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "utf8.hpp"
#include "vocabulary.hpp"

namespace t5gemma2 {

/// Decodes piece by piece and never returns half a character: bytes wait until their run ends, because a
/// single wrong one turns the whole run into U+FFFD.
class PieceDecoder {
 public:
  /// The text that is certain now (UTF-8, perhaps empty). An empty piece changes nothing.
  std::string push(std::string_view piece) {
    if (piece.empty()) return {};
    if (const std::optional<char> byte = byte_of_piece(piece)) {
      bytes_ += *byte;
      return {};
    }
    std::string text = finish();
    constexpr std::string_view space = "▁";
    for (std::size_t at; (at = piece.find(space)) != piece.npos; piece.remove_prefix(at + space.size())) {
      text.append(piece.substr(0, at)).append(" ");
    }
    return text.append(piece);
  }

  /// The text of the bytes that still wait. To be called at the end.
  std::string finish() {
    std::string run = std::exchange(bytes_, {});
    if (valid_utf8(run) == run.size()) return run;
    std::string text;
    for (std::size_t i = 0; i < run.size(); ++i) text += "\uFFFD";
    return text;
  }

 private:
  std::string bytes_;  // the run of byte pieces at the end
};

}  // namespace t5gemma2
