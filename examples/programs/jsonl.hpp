// --jsonl: one JSON request a line in, one answer a line out.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "copied_keys.hpp"
#include "json_lines.hpp"
#include "jsonl_request.hpp"
#include "request_gaps.hpp"
#include "score_json.hpp"
#include "session.hpp"
#include "t5gemma2/io/json_fields.hpp"

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

/// `file`: - is stdin; `defaults` hold where a line does not say otherwise. Returns the message at the end,
/// empty when no line failed. Throws Error where the lines cannot be read, and Interrupted.
inline std::string answer_lines(Session& session, const std::string& file, const Request& defaults,
                                bool quiet) {
  LineAnswers lines(
      {request_keys(), {"text", "ids", "finish_reason", "error", "sequences", "filled", "gaps", "logprobs"}});
  read_json_lines(file, quiet, [&](const std::string& line, const std::string& where) {
    const GracefulInterrupt graceful;
    Answer answer;
    lines.write(line, where, [&](const JsonField& object, AnswerLine& written) {
      const Request request = read_request(object, defaults);
      answer = session.answer(request, [](std::string_view) { return !stop_requested; });
      add_answer(written, answer, session.tokenizer());
    });
    note_filled(answer.texts, answer.filled, where + ": ", quiet);
  });
  return lines.finish("answer", quiet);
}

}  // namespace cli
