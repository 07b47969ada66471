// Values of a JSON file, checked as they are read. Each knows its path, so that every message names the file
// and the field: "config.json: decoder.head_dim: expected an even number, found 63".
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../error.hpp"
#include "../tensor.hpp"
#include "json_parser.hpp"
#include "readable.hpp"

namespace t5gemma2 {

/// A value of a JSON file, possibly missing, and its path. Refers to the parsed JSON, which must live longer.
class JsonField {
 public:
  JsonField(const nlohmann::json& whole, std::string file) : value_(&whole), file_(std::move(file)) {}

  /// A field that is missing.
  static JsonField missing() { return {nullptr, "", ""}; }

  /// Whether the field is in the file and not null.
  bool given() const { return value_ != nullptr && !value_->is_null(); }

  /// Whether the field is in the file, even as null.
  bool written() const { return value_ != nullptr; }

  bool is_array() const { return value_ != nullptr && value_->is_array(); }
  bool is_object() const { return value_ != nullptr && value_->is_object(); }
  bool is_text() const { return value_ != nullptr && value_->is_string(); }

  /// Whether the field is equal to `value`.
  bool is(const nlohmann::json& value) const { return value_ != nullptr && *value_ == value; }

  /// "decoder.layer_types[3]"; empty for the whole file.
  const std::string& path() const { return path_; }

  /// Throws Error "FILE: PATH: expected EXPECTED, found FOUND".
  [[noreturn]] void refuse(const std::string& expected, const std::string& found) const {
    if (path_.empty()) throw Error(file_ + ": expected " + expected + ", found " + found);
    fail(file_, path_, expected, found);
  }

  /// The same; FOUND is this field's value.
  [[noreturn]] void refuse(const std::string& expected) const { refuse(expected, content()); }

  /// The member `key` of this object. It is missing when the object has no such key, is null or is missing.
  JsonField operator[](std::string_view key) const {
    const std::string path = path_ + (path_.empty() ? "" : ".") + readable(key);
    if (!given()) return {nullptr, file_, path};
    if (!value_->is_object()) refuse("an object");
    const auto member = value_->find(key);
    return {member == value_->end() ? nullptr : &*member, file_, path};
  }

  /// The keys of this object, sorted. This and all functions below throw Error when the field is missing or
  /// not of the type asked for.
  std::vector<std::string> keys() const {
    if (value_ == nullptr || !value_->is_object()) refuse("an object");
    std::vector<std::string> keys;
    for (const auto& member : value_->items()) keys.push_back(member.key());
    return keys;
  }

  /// The elements of this array.
  std::vector<JsonField> items() const {
    if (!is_array()) refuse("a list");
    std::vector<JsonField> items;
    for (std::size_t i = 0; i < value_->size(); ++i) {
      items.push_back({&(*value_)[i], file_, path_ + "[" + std::to_string(i) + "]"});
    }
    return items;
  }

  /// A whole number, written as one (not 2.0), within [low, high]. `what` names it in the message.
  Index integer(Index low, Index high, const std::string& what = "a whole number") const {
    const std::string expected = what + " from " + std::to_string(low) + " to " + std::to_string(high);
    if (value_ == nullptr || !value_->is_number_integer()) refuse(expected);
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<Index>::max());
    if (value_->is_number_unsigned() && value_->get<std::uint64_t>() > most) refuse(expected);
    const Index number = value_->get<Index>();
    if (number < low || number > high) refuse(expected);
    return number;
  }

  /// A number within [low, high].
  double number(double low, double high) const {
    const auto text = [](double x) { return nlohmann::json(x).dump(); };
    const bool is_number = value_ != nullptr && value_->is_number();
    const double number = is_number ? value_->get<double>() : 0;
    if (!is_number || !(number >= low && number <= high)) {
      refuse("a number from " + text(low) + " to " + text(high));
    }
    return number;
  }

  bool boolean() const {
    if (value_ == nullptr || !value_->is_boolean()) refuse("true or false");
    return value_->get<bool>();
  }

  const std::string& text() const {
    if (value_ == nullptr || !value_->is_string()) refuse("a text");
    return value_->get_ref<const std::string&>();
  }

 private:
  JsonField(const nlohmann::json* value, std::string file, std::string path)
      : value_(value), file_(std::move(file)), path_(std::move(path)) {}

  std::string content() const {
    if (value_ == nullptr) return "nothing";
    if (value_->is_object()) return "an object";
    if (value_->is_array()) return "a list of " + std::to_string(value_->size());
    if (value_->is_string()) return in_quotes(value_->get_ref<const std::string&>());
    return value_->dump();
  }

  const nlohmann::json* value_;
  std::string file_, path_;
};

}  // namespace t5gemma2
