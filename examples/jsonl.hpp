// --jsonl: a request a line in, an answer a line out.
#pragma once
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "fill.hpp"
#include "session.hpp"
#include "t5gemma2/json_fields.hpp"
#include "terminal.hpp"

namespace cli {

/// The next line, if there is one.
inline bool next_line(std::istream& in, std::string& line) {
  const bool found = static_cast<bool>(std::getline(in, line));
  check_stdin();
  if (found && in.eof()) end_typed_line(in, line);
  return found;
}

/// The line over the sampling that the flags ask for.
inline Request read_request(const std::string& line, const std::string& where, const Sampling& sampling) {
  const nlohmann::json json = parse_json(line, where);
  const JsonField object(json, where);
  Request request{.input = {}, .sampling = sampling};
  Input& input = request.input;
  for (const std::string& key : object.keys()) {
    const JsonField field = object[key];
    if (key == "prompt") {
      input.prompt = field.text();
    } else if (key == "decoder_prompt") {
      input.decoder_prompt = field.text();
    } else if (key == "images") {
      for (const JsonField& image : field.items()) input.images.push_back(image.text());
    } else if (key == "fill") {
      request.sampling.fill = field.boolean();
    } else {
      field.refuse("prompt, decoder_prompt, images and fill only");
    }
  }
  if (input.empty()) object["prompt"].refuse("a text");
  return request;
}

inline nlohmann::ordered_json to_json(const Answer& answer, std::size_t i) {
  constexpr const char* reasons[] = {"eos", "stop", "length", "interrupted"};
  const Generated& made = answer.texts.at(i);
  nlohmann::ordered_json json = {
      {"text", made.text}, {"finish_reason", reasons[static_cast<int>(made.reason)]}, {"ids", made.ids}};
  if (!answer.filled.empty()) add_filled(json, answer.filled[i]);
  return json;
}

/// The first text, and all of several as `sequences`.
inline void print_answer(const Answer& answer) {
  nlohmann::ordered_json line = to_json(answer, 0);
  if (answer.seed) line["seed"] = *answer.seed;
  if (answer.texts.size() > 1)
    for (std::size_t i = 0; i < answer.texts.size(); ++i) line["sequences"].push_back(to_json(answer, i));
  fresh_line();
  print_text(line.dump() + '\n');
}

/// `file`: "" and - are stdin; `sampling` is what lines do not say otherwise. Throws Error naming the line.
inline void answer_lines(Session& session, const std::string& file, const Sampling& sampling, bool quiet) {
  std::ifstream opened;
  std::istream& in = open_input(file.empty() ? "-" : file, opened);
  if (&in == &std::cin) note_waiting("JSON requests, one a line,", quiet);
  std::string line;
  for (Index number = 1; std::cout && !stop_requested && next_line(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = (&in == &std::cin ? "stdin" : file) + " line " + std::to_string(number);
    const Request request = read_request(line, where, sampling);
    const GracefulInterrupt graceful;
    try {
      const Answer answer = session.answer(request, [](std::string_view) { return !stop_requested; });
      print_answer(answer);
      note_filled(answer.texts, answer.filled, where + ": ", quiet);
    } catch (const Error& error) {
      throw Error(where + ": " + error.what());
    }
  }
}

}  // namespace cli
