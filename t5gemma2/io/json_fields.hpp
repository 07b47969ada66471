// Reading JSON that may be wrong: a strict parser, and values that know their place, so that every complaint
// names the file and the field: "config.json: decoder.head_dim: expected an even number, found 63".
//
// Stricter than JSON itself: a key may stand only once in an object (which one counts is otherwise up to the
// reader), and nesting is bounded.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "../error.hpp"
#include "../tensor.hpp"

namespace t5gemma2 {

/// `text` for a one-line message: in quotes, control and non-ASCII characters escaped, cut after 60 bytes.
inline std::string in_quotes(std::string_view text) {
  constexpr std::size_t longest = 60;
  const auto replace = nlohmann::json::error_handler_t::replace;
  const std::string start = nlohmann::json(text.substr(0, longest)).dump(-1, ' ', true, replace);
  return text.size() > longest ? start + "..." : start;
}

/// A name out of a file: as it is when it is plain, else quoted.
inline std::string readable(std::string_view name) {
  const auto plain = [](char c) { return c > ' ' && c <= '~'; };
  const bool is_plain = !name.empty() && name.size() <= 200 && std::all_of(name.begin(), name.end(), plain);
  return is_plain ? std::string(name) : in_quotes(name);
}

namespace json_detail {

/// Walks over a JSON text without keeping it and throws Error where a rule is broken.
class Rules : public nlohmann::json_sax<nlohmann::json> {
 public:
  Rules(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_array() override { return close(); }

  bool key(string_t& key) override {
    if (!keys_.back().insert(key).second)
      fail(file_, readable(key), "one value", "the key twice in an object");
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    constexpr std::size_t shown = 20;  // bytes up to the one where the parser stopped
    const std::size_t start = position > shown ? position - shown : 0;
    const bool at_end = position > text_.size();
    fail(file_, "byte " + std::to_string(position), "JSON",
         at_end ? "the end of the text" : in_quotes(text_.substr(start, position - start)));
  }

 private:
  static constexpr std::size_t deepest = 64;

  bool open() {
    if (keys_.size() == deepest) {
      fail(file_, "nesting", "at most " + std::to_string(deepest) + " levels of JSON", "more");
    }
    keys_.emplace_back();
    return true;
  }

  bool close() {
    keys_.pop_back();
    return true;
  }

  std::string_view text_;
  const std::string& file_;
  std::vector<std::set<std::string, std::less<>>> keys_;  // of each open object; empty for arrays
};

}  // namespace json_detail

/// The JSON value that `text` holds. Throws Error naming `file` and the byte or the key that is wrong.
inline nlohmann::json parse_json(std::string_view text, const std::string& file) {
  json_detail::Rules rules(text, file);
  nlohmann::json::sax_parse(text, &rules);
  return nlohmann::json::parse(text);
}

/// A value in a JSON file, possibly missing, with the way to it. Refers to the parsed JSON, which must live
/// longer.
class JsonField {
 public:
  JsonField(const nlohmann::json& whole, std::string file) : value_(&whole), file_(std::move(file)) {}

  /// A field that is not there.
  static JsonField missing() { return {nullptr, "", ""}; }

  /// Whether the field is there and not null.
  bool given() const { return value_ != nullptr && !value_->is_null(); }

  /// Whether the field is there, if only as null.
  bool written() const { return value_ != nullptr; }

  bool is_array() const { return value_ != nullptr && value_->is_array(); }
  bool is_text() const { return value_ != nullptr && value_->is_string(); }

  /// Whether the field holds this number, or true or false.
  bool is(const nlohmann::json& value) const { return value_ != nullptr && *value_ == value; }

  /// "decoder.layer_types[3]"; empty for the whole file.
  const std::string& path() const { return path_; }

  /// Throws Error "FILE: PATH: expected EXPECTED, found FOUND".
  [[noreturn]] void refuse(const std::string& expected, const std::string& found) const {
    if (path_.empty()) throw Error(file_ + ": expected " + expected + ", found " + found);
    fail(file_, path_, expected, found);
  }

  /// The same, found what this field holds.
  [[noreturn]] void refuse(const std::string& expected) const { refuse(expected, content()); }

  /// The member `key` of this object. It may be missing, and is when the object itself is missing or null.
  JsonField operator[](std::string_view key) const {
    const std::string path = path_ + (path_.empty() ? "" : ".") + readable(key);
    if (!given()) return {nullptr, file_, path};
    if (!value_->is_object()) refuse("an object");
    const auto member = value_->find(key);
    return {member == value_->end() ? nullptr : &*member, file_, path};
  }

  /// The keys of this object, sorted.
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

  /// A whole number, written as one (not 2.0), within [low, high]; `what` it is, for the message.
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
