// A JSON parser that is stricter than JSON: a key may stand only once in an object (JSON does not say which
// of two values counts), and nesting is limited to 64 levels.
#pragma once
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "../error.hpp"
#include "readable.hpp"

namespace t5gemma2 {

namespace json_detail {

/// Reads a JSON text without keeping its values, and throws Error where the text breaks a rule.
class RuleChecker : public nlohmann::json_sax<nlohmann::json> {
 public:
  RuleChecker(std::string_view text, const std::string& file) : text_(text), file_(file) {}

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
  json_detail::RuleChecker rules(text, file);
  nlohmann::json::sax_parse(text, &rules);
  return nlohmann::json::parse(text);
}

}  // namespace t5gemma2
