// The text of one token, for people and for JSON.
#pragma once
#include <string>

#include "t5gemma2/tokenizer/tokenizer.hpp"

namespace cli {

/// One token by itself; a byte that is no character as <0xE9>, an id without a piece as its number.
inline std::string token_text(const t5gemma2::Tokenizer& tokenizer, t5gemma2::TokenId id) {
  if (tokenizer.piece(id).empty()) return "id " + std::to_string(id);
  const bool is_part = static_cast<unsigned char>(tokenizer.byte_of(id).value_or(' ')) >= 0x80;
  return is_part ? std::string(tokenizer.piece(id)) : tokenizer.decode({&id, 1}, true);
}

}  // namespace cli
