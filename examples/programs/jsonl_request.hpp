// A line of --jsonl as a request: its keys are the names of the flags, in snake_case.
#pragma once
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "habits.hpp"
#include "habits_tables.hpp"
#include "ids.hpp"
#include "request.hpp"
#include "t5gemma2/io/json_fields.hpp"
#include "words.hpp"

namespace cli {

/// The flag that a key means: --top-k for top_k, --temp for temperature; for other keys no flag's name.
inline std::string flag_named(std::string key) {
  if (key.find('-') != key.npos) return {};
  std::replace(key.begin(), key.end(), '_', '-');
  return parameter_for("--" + key);
}

/// "--top-k" of "-k,--top-k"
inline std::string_view long_name(std::string_view names) { return names.substr(names.find("--")); }

/// Reads the values of the settings that for_each_setting passes from the keys of a line. A key that is null
/// counts as missing.
class SettingKeys {
 public:
  /// The line must outlive this.
  explicit SettingKeys(const JsonField& line) : line_(line) {}

  void operator()(std::string_view names, std::optional<Index>& value, Range r, std::string_view) const {
    if (const auto field = find(names))
      value = field->integer(static_cast<Index>(r.low), static_cast<Index>(r.high));
  }
  void operator()(std::string_view names, std::optional<double>& value, Range r, std::string_view) const {
    if (const auto field = find(names)) value = field->number(r.low, r.high);
  }
  /// One of `words`; JSON's true and false are the words "true" and "false".
  void operator()(std::string_view names, std::optional<std::string>& value,
                  const std::vector<std::string>& words, std::string_view) const {
    const auto field = find(names);
    if (!field) return;
    const std::string as_word = field->is(true) ? "true" : field->is(false) ? "false" : "";
    const std::string word = field->is_text() ? field->text() : as_word;
    if (std::ranges::count(words, word) == 0) field->refuse("one of " + joined(words, ", "));
    value = word;
  }
  /// A text, or a list of texts.
  void operator()(std::string_view names, std::vector<std::string>& values, std::string_view) const {
    const auto field = find(names);
    if (!field) return;
    values.clear();
    if (!field->is_array()) return values.push_back(field->text());
    for (const JsonField& text : field->items()) values.push_back(text.text());
  }
  void operator()(std::string_view names, bool& value, std::string_view) const {
    if (const auto field = find(names)) value = field->boolean();
  }

 private:
  /// The field of this flag. Throws Error where the line has it under two names.
  std::optional<JsonField> find(std::string_view names) const {
    std::optional<JsonField> found;
    for (const std::string& key : line_.keys()) {
      if (flag_named(key) != long_name(names) || !line_[key].given()) continue;
      if (found) line_[key].refuse("one name for " + std::string(long_name(names)), found->path() + ", too");
      found = line_[key];
    }
    return found;
  }

  const JsonField& line_;
};

/// --top-k as top_k
inline std::string key_of(std::string_view flag) {
  std::string key(flag.substr(2));
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

/// The keys that a request is read from; other keys are copied to its answer.
inline const std::set<std::string>& request_keys() {
  static const std::set<std::string> keys = [] {
    std::set<std::string> names = {"prompt",    "decoder_prompt",    "images",
                                   "input_ids", "decoder_input_ids", "raw_prompt"};
    GenerationSettings none;
    for_each_setting(none,
                     [&](std::string_view flag, const auto&...) { names.insert(key_of(long_name(flag))); });
    for (const auto& [other, ours] : habits::parameters) names.insert(key_of(other));
    return names;
  }();
  return keys;
}

/// A list of ids as the text that the flags take.
inline std::optional<std::string> ids_text(const JsonField& field) {
  return field.given() ? std::optional(ids_as_text(ids_in(field))) : std::nullopt;
}

/// Throws Error where a line has both ids and the text in whose place they stand.
inline void refuse_both(const JsonField& line, const char* ids, const char* text) {
  if (line[ids].given() && line[text].given() && !line[text].is(false))
    line[ids].refuse("ids or " + std::string(text) + ", not both", "both");
}

/// The source and the decoder prompt of a line; they take the place of those in `input`, but images are added. Throws
/// Error naming the key.
inline void read_input(const JsonField& line, Input& input) {
  const auto text = [](const JsonField& field) {
    return field.given() ? std::optional(field.text()) : std::nullopt;
  };
  refuse_both(line, "input_ids", "prompt");
  refuse_both(line, "input_ids", "raw_prompt");
  refuse_both(line, "decoder_input_ids", "decoder_prompt");
  input.prompt = text(line["prompt"]);
  input.decoder_prompt = text(line["decoder_prompt"]);
  if (line["images"].given())
    for (const JsonField& image : line["images"].items()) input.images.push_back(image.text());
  input.input_ids = ids_text(line["input_ids"]);
  input.decoder_input_ids = ids_text(line["decoder_input_ids"]);
  if (line["raw_prompt"].given()) input.raw_prompt = line["raw_prompt"].boolean();
}

/// The request of the flags with what the line says in its place. Throws Error naming the key.
inline Request read_request(const JsonField& line, Request request) {
  for_each_setting(request.settings, SettingKeys(line));
  if (line["first_sentinel"].given() && !request.settings.fill)
    line["first_sentinel"].refuse("fill, too, whose gaps it is for", "none");
  read_input(line, request.input);
  if (request.input.empty()) line["prompt"].refuse("a text");
  return request;
}

}  // namespace cli
