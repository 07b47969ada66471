// Protobuf's wire format, as far as a SentencePiece model needs it: a message is a list of fields (number,
// wire type, value), and a value may be a message again. Reference: protobuf.dev/programming-guides/encoding.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "../error.hpp"

namespace t5gemma2 {

namespace wire {

/// How a value is stored: `varint` in 7 bits a byte, `bytes` with its length in front.
enum Type : unsigned { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

inline void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

/// Appends a field that holds a number.
inline void put(std::string& out, unsigned number, std::uint64_t value) {
  put_varint(out, number << 3 | varint);
  put_varint(out, value);
}

/// Appends a field that holds a text or a message.
inline void put(std::string& out, unsigned number, std::string_view value) {
  put_varint(out, number << 3 | bytes);
  put_varint(out, value.size());
  out += value;
}

/// Appends a field that holds a number of 4 or 8 bytes, little-endian.
template <class Number>
void put_fixed(std::string& out, unsigned number, Number value) {
  static_assert(std::endian::native == std::endian::little);
  static_assert(sizeof value == 4 || sizeof value == 8);
  put_varint(out, number << 3 | (sizeof value == 8 ? fixed64 : fixed32));
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;     // of a varint
  std::string_view content{};  // of all other types

  /// The content as a float; 0 when it has another size.
  float as_float() const {
    float value_read = 0;
    if (content.size() == sizeof value_read) std::memcpy(&value_read, content.data(), sizeof value_read);
    return value_read;
  }
};

/// Reads the fields of a message one after the other. The message and the name of the file must live longer.
class Reader {
 public:
  Reader(std::string_view message, const std::string& file) : rest_(message), file_(file) {}
  Reader(std::string_view message, std::string&& file) = delete;

  /// Reads the next field; false at the end. Throws Error naming the file when the message is broken.
  bool next(Field& field) {
    if (rest_.empty()) return false;
    const std::uint64_t tag = take_varint();
    field = {tag >> 3};
    switch (tag & 7) {
      case varint:
        field.value = take_varint();
        break;
      case fixed64:
        field.content = take(8);
        break;
      case bytes:
        field.content = take(take_varint());
        break;
      case fixed32:
        field.content = take(4);
        break;
      default:
        refuse("an unknown kind of field");
    }
    return true;
  }

 private:
  [[noreturn]] void refuse(const std::string& found) const {
    throw Error(file_ + ": expected a SentencePiece model (protobuf), found " + found);
  }

  std::uint64_t take_varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    refuse("a number without an end");
  }

  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) refuse("the end of the file inside a field");
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
  const std::string& file_;
};

}  // namespace wire

}  // namespace t5gemma2
