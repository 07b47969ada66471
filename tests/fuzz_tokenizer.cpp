// libFuzzer: the same bytes as a tokenizer.json, as a SentencePiece model and as a text. A file becomes a
// tokenizer or an Error; the ids of a text decode to the same text (unless an added token includes white
// space), id by id or all at once. Seeds: tests/fuzz/tokenizer.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "t5gemma2/tokenizer/text_stream.hpp"
#include "t5gemma2/tokenizer/tokenizer.hpp"

namespace {

using namespace t5gemma2;

/// Special, added, byte and merged pieces, one with '▁' in the middle, an id without a piece, and ids of
/// added tokens beyond the vocabulary.
Tokenizer tiny() {
  Vocabulary vocabulary{.pieces = {}, .bos = 2, .unk = 3};
  const auto add = [&](const std::string& text, PieceType type, bool added = false, bool special = false) {
    const float score = -static_cast<float>(vocabulary.pieces.size());
    vocabulary.pieces.push_back(
        {.text = text, .score = score, .type = type, .added = added, .special = special});
  };
  for (const char* text : {"<pad>", "<eos>", "<bos>"}) add(text, PieceType::control, true, true);
  add("<unk>", PieceType::unknown, true, true);
  for (const char* text : {"\n", "\n\n", "<b>", "<unused0>"}) add(text, PieceType::control, true);
  for (const char* text : {"▁▁▁", "▁▁"}) add(text, PieceType::normal, true);
  for (unsigned byte = 0; byte < 256; ++byte) {
    add(byte_piece(static_cast<unsigned char>(byte)), PieceType::byte);
  }
  for (const char* text : {"ab", "▁a", "</", "▁</", ">▁</", "aba", "é", "▁", "a", "b", "<", ">", "/"}) {
    add(text, PieceType::normal);
  }
  add("<image_soft_token>", PieceType::control, true, true);
  vocabulary.pieces.back().extra = true;
  for (const char* text : {"a b", "b<", "b a\n"}) {
    add(text, PieceType::control, true);
    vocabulary.pieces.back().extra = vocabulary.pieces.back().normalized = true;
  }
  vocabulary.pieces.push_back({.text = {}, .type = PieceType::control, .extra = true});
  return Tokenizer(vocabulary);
}

/// The text of the ids of `text` without <bos>, decoded id by id and all at once.
std::string decoded_again(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<TokenId> ids = tokenizer.encode(text);
  if (ids[0] != tokenizer.bos_id()) std::abort();
  ids.erase(ids.begin());

  TextStream stream(tokenizer, true);
  std::string streamed;
  for (const TokenId id : ids) {
    const std::string part = stream.push(id);
    if (valid_utf8(part) != part.size()) std::abort();
    streamed += part;
  }
  streamed += stream.finish();
  if (streamed != tokenizer.decode(ids, true)) std::abort();
  return streamed;
}

/// Runs `action`, which may throw Error and nothing else.
template <class Action>
void allow_error(Action action) {
  try {
    action();
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Tokenizer tokenizer = tiny();
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  allow_error([&] {
    std::string expected = bytes;
    for (std::size_t at; (at = expected.find("▁")) != expected.npos;) expected.replace(at, 3, " ");
    if (decoded_again(tokenizer, bytes) != expected) std::abort();
  });
  allow_error(
      [&] { decoded_again(Tokenizer(vocabulary_from_json(bytes, "fuzz")), "a  b<bos>\n\n> </ ab\u00e9"); });
  allow_error([&] { Tokenizer(from_sentencepiece(bytes, "fuzz")).encode("a  b<bos>\n\n> </ ab\u00e9"); });
  return 0;
}
