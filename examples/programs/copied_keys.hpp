// The keys of a JSON line that are copied to its answer: those that the request is not read from.
#pragma once
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "t5gemma2/io/json_fields.hpp"
#include "terminal.hpp"
#include "words.hpp"

namespace cli {

/// Keys keep the order in which they were added.
using AnswerLine = nlohmann::ordered_json;

/// A line as it is printed; bytes that are not UTF-8 are replaced.
inline std::string to_text(const AnswerLine& line) {
  return line.dump(-1, ' ', false, AnswerLine::error_handler_t::replace);
}

class CopiedKeys {
 public:
  /// Requests are read from keys in `read`, answers have keys in `answered`.
  CopiedKeys(std::set<std::string> read, std::set<std::string> answered)
      : read_(std::move(read)), answered_(std::move(answered)) {}

  /// Adds the other keys of `line`, whose text is given, to its answer. Throws Error where the line is no object.
  void copy(const t5gemma2::JsonField& object, const std::string& line, AnswerLine& to) {
    const std::vector<std::string> keys = object.keys();  // throws where the line is no object
    const AnswerLine in_order = AnswerLine::parse(line);
    for (const auto& [key, value] : in_order.items()) {
      if (read_.contains(key)) continue;
      (answered_.contains(key) ? dropped_ : copied_).insert(key);
      if (!answered_.contains(key)) to[key] = value;
    }
  }

  /// Notes at the end: keys that were not copied, and copied ones that look like mistyped keys of a request.
  void note_all(bool quiet) const {
    std::string dropped;
    for (const std::string& key : dropped_) dropped.append(dropped.empty() ? "" : ", ").append(key);
    if (!dropped.empty())
      note("not copied from the lines, as answers have keys of these names: " + dropped, quiet);
    const std::vector<std::string> known(read_.begin(), read_.end());
    for (const std::string& key : copied_)
      if (const std::string hint = did_you_mean(key, known); !hint.empty())
        note(std::string("copied from the lines, not obeyed: ").append(key).append(hint), quiet);
  }

 private:
  std::set<std::string> read_, answered_, dropped_, copied_;
};

}  // namespace cli
