// The texts that embed is given: one a line, or JSON lines.
#pragma once
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files.hpp"
#include "ids.hpp"
#include "input_flags.hpp"
#include "t5gemma2/io/json_fields.hpp"
#include "terminal.hpp"

namespace cli {

/// What a line asks for: a text, with images perhaps, or ids in its place.
struct EmbedRequest {
  std::string text;
  std::vector<std::string> images;
  std::optional<std::vector<TokenId>> ids;
};

/// Lines of stdin, which may come slowly.
class StdinLines {
 public:
  /// Throws Error where stdin cannot be read.
  bool next(std::string& line) {
    while (!has_line() && !ended_) fill();
    if (read_.empty()) return false;
    const std::size_t end = std::min(read_.find('\n'), read_.size());
    line = read_.substr(0, end);
    read_.erase(0, end + 1);
    return true;
  }

  /// Whether next() would return at once.
  bool is_ready() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    while (!has_line() && !ended_ && poll(&input, 1, 0) > 0) fill();
    return has_line() || ended_;
  }

 private:
  bool has_line() const { return read_.find('\n') != std::string::npos; }

  void fill() {
    char bytes[1 << 16];
    const ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
    if (count < 0 && errno != EINTR) throw Error("standard input: cannot be read");
    if (count == 0) ended_ = true;
    if (count > 0) read_.append(bytes, static_cast<std::size_t>(count));
  }

  std::string read_;
  bool ended_ = false;
};

/// Lines, one after the other: those of a file, of stdin, or one text.
class LineSource {
 public:
  static LineSource of_text(const std::string& text) {
    LineSource source("text", {{text}}, false);
    source.is_read_ = false;
    return source;
  }

  /// `file`: - is stdin. A file is read as a whole, so that the number of its lines is known. Throws Error where
  /// it cannot be read.
  static LineSource of_file(const std::string& file, bool jsonl, bool quiet) {
    std::ifstream opened;
    std::istream& in = open_input(file, opened);
    if (&in == &std::cin) {
      note_waiting(jsonl ? "JSON requests, one a line," : "texts, one a line,", quiet);
      return {"stdin", {}, jsonl};
    }
    std::vector<std::string> lines;
    for (std::string line; next_line(in, line);) lines.push_back(std::move(line));
    return {file, std::move(lines), jsonl};
  }

  /// The next line, and where it stands, without a byte order mark in front of all; blank lines between JSON lines are
  /// left out. Returns false where there is none.
  bool next(std::string& line, std::string& where) {
    do {
      if (lines_ ? number_ == std::ssize(*lines_) : !stdin_.next(line)) return false;
      if (lines_) line = std::move((*lines_)[static_cast<std::size_t>(number_)]);
      constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
      if (number_++ == 0 && is_read_ && line.starts_with(byte_order_mark))
        line.erase(0, byte_order_mark.size());
    } while (jsonl_ && line.find_first_not_of(" \t\r") == std::string::npos);
    if (is_read_ && line.ends_with('\r')) line.pop_back();
    where = name_ + " line " + std::to_string(number_);
    return true;
  }

  /// Whether next() would return at once.
  bool is_ready() { return lines_ || stdin_.is_ready(); }

  /// The number of lines; 0 where it is not known.
  Index all() const { return lines_ ? std::ssize(*lines_) : 0; }

 private:
  LineSource(std::string name, std::optional<std::vector<std::string>> lines, bool jsonl)
      : name_(std::move(name)), lines_(std::move(lines)), jsonl_(jsonl) {}

  std::string name_;
  std::optional<std::vector<std::string>> lines_;  // none: those of stdin
  StdinLines stdin_;
  bool jsonl_, is_read_ = true;  // from a file or stdin
  Index number_ = 0;
};

/// The request in a JSON line. Throws Error naming the key.
inline EmbedRequest read_embed_request(const JsonField& line) {
  EmbedRequest request;
  const JsonField prompt = line["prompt"], images = line["images"], ids = line["input_ids"];
  if (images.given())
    for (const JsonField& image : images.items()) request.images.push_back(image.text());
  if (ids.given()) {
    if (prompt.given()) ids.refuse("ids or prompt, not both", "both");
    request.ids = ids_in(ids);
    if (request.ids->empty()) ids.refuse("one id or more");
    return request;
  }
  if (prompt.given() || request.images.empty()) request.text = prompt.text();
  if (request.text.empty() && request.images.empty()) prompt.refuse("a text", "an empty one");
  return request;
}

}  // namespace cli
