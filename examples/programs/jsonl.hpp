// --jsonl: one JSON request a line in, one answer a line out.
#pragma once
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "copied_keys.hpp"
#include "failure.hpp"
#include "jsonl_request.hpp"
#include "request_gaps.hpp"
#include "score_json.hpp"
#include "session.hpp"
#include "t5gemma2/io/json_fields.hpp"
#include "terminal.hpp"

namespace cli {

/// Text i of the answer; without "text" where the model has no tokenizer.
inline AnswerLine to_json(const Answer& answer, std::size_t i, const Tokenizer* tokenizer) {
  constexpr const char* reasons[] = {"eos", "stop", "length", "interrupted"};
  const Generated& made = answer.texts.at(i);
  AnswerLine json;
  if (tokenizer) json["text"] = made.text;
  json["finish_reason"] = reasons[static_cast<int>(made.reason)];
  json["ids"] = made.ids;
  if (!answer.filled.empty()) add_filled(json, answer.filled[i]);
  if (!answer.logprobs.empty()) json["logprobs"] = to_json(answer.logprobs[i], tokenizer, true);
  return json;
}

/// Adds the first text, and where there are several, all as `sequences`.
inline void add_answer(AnswerLine& line, const Answer& answer, const Tokenizer* tokenizer) {
  line.update(to_json(answer, 0, tokenizer));
  if (answer.seed) line["seed"] = *answer.seed;
  if (answer.texts.size() > 1)
    for (std::size_t i = 0; i < answer.texts.size(); ++i)
      line["sequences"].push_back(to_json(answer, i, tokenizer));
}

/// Answers one line after the other.
class LineAnswerer {
 public:
  /// `defaults` hold where a line does not say otherwise. The session must outlive this.
  LineAnswerer(Session& session, Request defaults, bool quiet)
      : session_(session),
        defaults_(std::move(defaults)),
        quiet_(quiet),
        keys_(request_keys(),
              {"text", "ids", "finish_reason", "error", "sequences", "filled", "gaps", "logprobs"}) {}

  /// Writes the answer, or the message as `error`, after the keys that are copied. Throws Interrupted.
  void answer(const std::string& line, const std::string& where) {
    const GracefulInterrupt graceful;
    AnswerLine written = AnswerLine::object();
    Answer answer;
    const std::string wrong = failure_of(where, [&] {
      const nlohmann::json json = parse_json(line, where);
      const JsonField object(json, where);
      keys_.copy(object, line, written);
      const Request request = read_request(object, defaults_);
      answer = session_.answer(request, [](std::string_view) { return !stop_requested; });
      add_answer(written, answer, session_.tokenizer());
    });
    if (!wrong.empty()) written["error"] = wrong;
    failed_ += wrong.empty() ? 0 : 1;
    ++lines_;
    fresh_line();
    print_text(to_text(written) + '\n');
    note_filled(answer.texts, answer.filled, where + ": ", quiet_);
  }

  const CopiedKeys& keys() const { return keys_; }

  /// The message at the end; empty when no line failed.
  std::string trouble() const {
    if (failed_ == 0) return {};
    return std::to_string(failed_) + " of " + std::to_string(lines_) +
           " lines failed: \"error\" in place of the answer says why";
  }

 private:
  Session& session_;
  Request defaults_;
  bool quiet_;
  CopiedKeys keys_;
  Index lines_ = 0, failed_ = 0;
};

/// `file`: - is stdin; `defaults` hold where a line does not say otherwise. Returns the message at the end,
/// empty when no line failed. Throws Error where the lines cannot be read, and Interrupted.
inline std::string answer_lines(Session& session, const std::string& file, const Request& defaults,
                                bool quiet) {
  std::ifstream opened;
  std::istream& in = open_input(file, opened);
  const bool is_stdin = &in == &std::cin;
  if (is_stdin) note_waiting("JSON requests, one a line,", quiet);
  LineAnswerer answerer(session, defaults, quiet);
  std::string line;
  for (Index number = 1; std::cout && !stop_requested && next_line(in, line); ++number)
    if (line.find_first_not_of(" \t\r") != std::string::npos)
      answerer.answer(line, (is_stdin ? "stdin" : file) + " line " + std::to_string(number));
  answerer.keys().note_all(quiet);
  return answerer.trouble();
}

}  // namespace cli
