// t5gemma2-generate: a prompt in, text out as it is made. The text goes to stdout, everything else to stderr.
#include <omp.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "programs.hpp"
#include "session.hpp"
#include "terminal.hpp"

namespace generate_program {

using namespace t5gemma2;
using cli::Flags, cli::Request, cli::Session, cli::stop_requested;

/// The stream to read: stdin for "" and "-", else `file`, opened in `opened`.
std::istream& input(const std::string& file, std::ifstream& opened) {
  if (file.empty() || file == "-") return std::cin;
  if (std::filesystem::is_directory(file)) fail_file(file, "a file to read", "a folder");
  opened.open(file);
  if (!opened) fail_file(file, "a file to read", std::strerror(errno));
  return opened;
}

/// A whole file, or all of stdin.
std::string read_prompt(const Flags& f) {
  std::ifstream file;
  std::istream& in = input(f.file, file);
  if (&in == &std::cin) cli::note_waiting("the prompt", f.quiet);
  std::string text(std::istreambuf_iterator<char>(in), {});
  cli::check_stdin();
  cli::end_typed_line(in, text);
  return text;
}

/// The next line, if there is one.
bool next_line(std::istream& in, std::string& line) {
  const bool found = static_cast<bool>(std::getline(in, line));
  cli::check_stdin();
  if (found && in.eof()) cli::end_typed_line(in, line);
  return found;
}

void answer_one(Session& session, const Flags& f) {
  Request request{.prompt = {}, .decoder_prompt = {}, .images = f.images};
  if (!f.file.empty()) request.prompt = read_prompt(f);
  if (f.has_prompt) request.prompt = f.prompt;
  if (f.has_decoder_prompt) request.decoder_prompt = f.decoder_prompt;
  const std::string echoed = f.echo ? f.decoder_prompt : "";
  std::string before = echoed;
  const cli::GracefulInterrupt graceful;
  const std::vector<Generated> made = session.answer(request, [&](std::string_view text) {
    cli::print_text(std::exchange(before, "").append(text));
    return !stop_requested && std::cout;
  });
  cli::print_text(before);                       // where no text came
  for (std::size_t i = 1; i < made.size(); ++i)  // a line or more for each of several
    cli::print_text((made[i - 1].text.ends_with('\n') ? "" : "\n") + echoed + made[i].text);
  if (made.size() > 1 && !made.back().text.ends_with('\n')) cli::print_text("\n");
}

Request read_request(const std::string& line, const std::string& where) {
  const nlohmann::json json = parse_json(line, where);
  const JsonField object(json, where);
  Request request;
  for (const std::string& key : object.keys()) {
    const JsonField field = object[key];
    if (key == "prompt") {
      request.prompt = field.text();
    } else if (key == "decoder_prompt") {
      request.decoder_prompt = field.text();
    } else if (key == "images") {
      for (const JsonField& image : field.items()) request.images.push_back(image.text());
    } else {
      field.refuse("prompt, decoder_prompt and images only");
    }
  }
  if (!request.prompt && !request.decoder_prompt && request.images.empty()) object["prompt"].refuse("a text");
  return request;
}

nlohmann::ordered_json to_json(const Generated& made) {
  constexpr const char* reasons[] = {"eos", "stop", "length", "interrupted"};
  return {{"text", made.text}, {"finish_reason", reasons[static_cast<int>(made.reason)]}, {"ids", made.ids}};
}

/// The first text, and all of several as `sequences`.
void print_answer(const std::vector<Generated>& made) {
  nlohmann::ordered_json line = to_json(made.at(0));
  if (made.size() > 1)
    for (const Generated& one : made) line["sequences"].push_back(to_json(one));
  cli::fresh_line();
  cli::print_text(line.dump() + '\n');
}

void answer_lines(Session& session, const Flags& f) {
  std::ifstream file;
  std::istream& in = input(f.file, file);
  if (&in == &std::cin) cli::note_waiting("JSON requests, one a line,", f.quiet);
  std::string line;
  for (Index number = 1; std::cout && !stop_requested && next_line(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = (&in == &std::cin ? "stdin" : f.file) + " line " + std::to_string(number);
    const Request request = read_request(line, where);
    const cli::GracefulInterrupt graceful;
    try {
      print_answer(session.answer(request, [](std::string_view) { return !stop_requested; }));
    } catch (const Error& error) {
      throw Error(where + ": " + error.what());
    }
  }
}

int run(const cli::App& app, Flags& f) {
  f.has_prompt = app.count("--prompt") > 0;
  f.has_decoder_prompt = app.count("--decoder-prompt") > 0;
  if (f.has_prompt && !f.file.empty()) throw cli::UsageError("-p and -f: one of them, not both");
  if (f.jsonl && (f.has_prompt || f.has_decoder_prompt || f.echo || !f.images.empty()))
    throw cli::UsageError("--jsonl: prompts and images come line by line, not from flags; no --echo");
  if (!f.jsonl && !f.has_prompt && f.file.empty() && !f.has_decoder_prompt && f.images.empty())
    throw cli::UsageError("-p, -f, --image or --decoder-prompt is required");
  omp_set_num_threads(f.threads);
  try {
    Session session(f);
    f.jsonl ? answer_lines(session, f) : answer_one(session, f);
    session.print_timings();
  } catch (const cli::Interrupted&) {
  }
  return stop_requested ? cli::interrupted : cli::ok;
}

}  // namespace generate_program

int programs::generate(int argc, char** argv) {
  using namespace generate_program;
  cli::App app("Writes the text that follows a prompt.", "t5gemma2-generate");
  Flags flags;
  cli::add_flags(app, flags);
  return app.run(argc, argv, [&] { return run(app, flags); });
}
