// tokenizer.json, parsed. Nearly all of its 33 MB are the entries of model.vocab and model.merges, which are
// kept in a compact form instead of as JSON values.
#pragma once
#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../error.hpp"
#include "../io/json_fields.hpp"
#include "merges.hpp"

namespace t5gemma2 {

struct TokenizerJson {
  nlohmann::json rest = nullptr;  // the file without the entries of model.vocab and model.merges
  std::vector<std::pair<std::string, nlohmann::json>> vocab;  // piece, id
  Merges merges;
};

namespace tokenizer_json_detail {

using nlohmann::json;

/// Fills a TokenizerJson, value by value as the parser comes to them.
class Reader final : public json_detail::RuleChecker {
 public:
  Reader(std::string_view text, const std::string& file) : RuleChecker(text, file), file_(file) {}

  TokenizerJson result;

  bool null() override { return single(nullptr); }
  bool boolean(bool value) override { return single(value); }
  bool number_integer(number_integer_t value) override { return single(value); }
  bool number_unsigned(number_unsigned_t value) override { return single(value); }
  bool number_float(number_float_t value, const string_t&) override { return single(value); }
  bool string(string_t& value) override { return single(std::move(value)); }

  bool start_object(std::size_t size) override {
    return RuleChecker::start_object(size) && open(json::object());
  }
  bool start_array(std::size_t size) override {
    return RuleChecker::start_array(size) && open(json::array());
  }
  bool end_object() override { return RuleChecker::end_object() && close(); }
  bool end_array() override { return RuleChecker::end_array() && close(); }

  bool key(string_t& name) override {
    RuleChecker::key(name);
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

  /// Whether the next value is an entry of model.vocab or model.merges.
  bool is_entry() const {
    return open_.size() == 3 && path_[1] == "model" && (path_[2] == "vocab" || path_[2] == "merges");
  }

  /// Where the next value is to be stored.
  json* place() {
    if (open_.empty()) return &result.rest;
    if (is_entry()) return &entry_;
    if (open_.back()->is_array()) return &open_.back()->emplace_back();
    return &(*open_.back())[key_];
  }

  bool complete() {
    if (!is_entry()) return true;
    if (path_[2] == "vocab") result.vocab.emplace_back(path_[3], std::move(entry_));
    if (path_[2] == "merges") add_merge();
    return true;
  }

  /// "a b", or since tokenizers 0.20 ["a", "b"].
  void add_merge() {
    if (entry_.is_array() && entry_.size() == 2 && entry_[0].is_string() && entry_[1].is_string()) {
      return result.merges.add(entry_[0].get_ref<std::string&>(), entry_[1].get_ref<std::string&>());
    }
    const std::string_view text = entry_.is_string() ? std::string_view(entry_.get_ref<std::string&>()) : "";
    const std::size_t space = text.find(' ');
    if (space == text.npos || text.find(' ', space + 1) != text.npos) {
      fail(file_, "model.merges[" + std::to_string(result.merges.size()) + "]", "two pieces",
           entry_.is_string() ? in_quotes(text) : std::string("a list or number of another kind"));
    }
    result.merges.add(text.substr(0, space), text.substr(space + 1));
  }

  const std::string& file_;
  std::vector<json*> open_;          // the objects and arrays that the next value is in, the outermost first
  std::array<std::string, 4> path_;  // its keys in the outermost of them; empty in an array
  std::string key_;                  // its key in the innermost
  json entry_;                       // of model.vocab or model.merges
};

}  // namespace tokenizer_json_detail

/// Parses `text`, a tokenizer.json. Throws Error naming `file` and the place that is not JSON, or the entry
/// of model.merges that is not two pieces. Memory: about three times the size of `text`.
inline TokenizerJson read_tokenizer_json(std::string_view text, const std::string& file) {
  tokenizer_json_detail::Reader reader(text, file);
  nlohmann::json::sax_parse(text, &reader);
  return std::move(reader.result);
}

}  // namespace t5gemma2
